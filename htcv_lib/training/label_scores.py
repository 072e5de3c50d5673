"""Pseudo-labels and masks found without learning, against the truth of generated and rendered sequences."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from htcv_lib.metrics.binary_mask import mask_dice, mask_iou
from htcv_lib.metrics.decomposition_scores import OCCLUDED, light_scores
from htcv_lib.metrics.precision_recall import average_precision
from htcv_lib.training.decomposition_scores import gathered, mean_scores
from htcv_lib.training.phase import Batch


class RelitLabels(NamedTuple):
    """Labels of light and shadow as a prediction would give them; the clean picture is the true one."""

    original: Tensor  # (B, 3, 1, H, W)
    light: Tensor  # (B, 1, T, H, W)
    shadow: Tensor  # (B, 1, T, H, W)
    made: Tensor  # (B, 3, T, H, W), the labels' own relit picture, coloured

    def relit(self, order: str) -> Tensor:
        """The labels' relit picture, in whichever order it was made."""
        return self.made


@torch.no_grad()
def score_labels(batches: Iterable[Batch]) -> dict[str, float]:
    """Scores of pseudo-labels, means over sequences that have them.

    Args:
        batches: With image, original, mask, what is known of shadow, light and irradiance, and the fields of
            `with_pseudo_labels`. Where there is a second mask, of the residual, it is called pseudo_residual.

    Returns what `light_scores` measures outside occluders, of the labels as if they were predictions; mask_iou, mask_f1
    and mask_share, the share of positives, of pseudo_mask; mask_iou_residual and mask_f1_residual of pseudo_residual.
    """
    rows = []
    for batch in batches:
        labels = RelitLabels(batch["original"], batch["pseudo_light"], batch["pseudo_shadow"], batch["pseudo_relit"])
        row = light_scores(labels, batch, ~(batch["mask"] > OCCLUDED), "light_first")
        for ending, field in (("", "pseudo_mask"), ("_residual", "pseudo_residual")):
            if field in batch:
                row |= {f"mask_iou{ending}": mask_iou(batch[field], batch["mask"]),
                        f"mask_f1{ending}": mask_dice(batch[field], batch["mask"])}
        rows.append(row | {"mask_share": batch["pseudo_mask"].double().flatten(1).mean(dim=1)})
    return mean_scores(gathered(rows))


@torch.no_grad()
def score_found_masks(find: Callable[[Tensor], Any], batches: Iterable[Batch]) -> dict[str, float]:
    """mask_iou, mask_f1 and mask_auprc of whatever finds masks, means over sequences.

    Args:
        find: image (B, 3, T, H, W) -> something with `mask` (B, 1, T, H, W) in [0, 1], for example the `layers` of
            `RobustPCAOfViews`. Where it also has `sparse` (B, 3, T, H, W), mask_auprc ranks pixels by the largest of
            its magnitudes.
    """
    rows = []
    for batch in batches:
        found = find(batch["image"])
        ranked = found.sparse.abs().amax(dim=1, keepdim=True) if hasattr(found, "sparse") else found.mask
        rows.append({"mask_iou": mask_iou(found.mask.float(), batch["mask"]),
                     "mask_f1": mask_dice(found.mask.float(), batch["mask"]),
                     "mask_auprc": average_precision(ranked.float(), batch["mask"] > OCCLUDED)})
    return mean_scores(gathered(rows))
