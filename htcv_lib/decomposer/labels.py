"""Pseudo-labels: made from a sequence and its clean picture alone, put into sets, and scored against the truth.

Light and shadow are what a view has more and less than the clean picture, blurred; occlusions are what then still
differs. Values are rounded to 8 bits, as the reports' were.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from htcv_lib.data.batches import Batches
from htcv_lib.decomposer.layers import check_order
from htcv_lib.decomposer.losses import floats
from htcv_lib.decomposer.objective import LIGHT_LAST
from htcv_lib.decomposer.scores import OCCLUDED, average_precision, light_scores, relighting
from htcv_lib.decomposer.sequences import SequenceSet
from htcv_lib.image import grey, separable_filter, ssim_map, to_levels
from htcv_lib.metrics.segmentation import mask_dice, mask_iou
from htcv_lib.training.evaluate import mean_scores, score_batches
from htcv_lib.training.phase import Batch

TRUNCATE = 4.0  # a Gaussian ends after so many sigmas
SMALL_BLUR = (5, 5)  # pixels
WHITE = 255
EQUAL = 1e-6  # a smaller range of dissimilarities is rounding
MASKS = ("ssim", "residual")


class LightingLabels(NamedTuple):
    """Pseudo-labels of light and shadow, multiples of 1/255 in [0, 1]."""

    light: Tensor  # (B, 1, T, H, W)  added
    shadow: Tensor  # (B, 1, T, H, W)  multiplied; 1 is unshadowed
    relit: Tensor  # (B, 3, T, H, W)  the clean picture under both, in colour


@torch.no_grad()
def lighting_labels(image: Tensor, original: Tensor, radius: float = 20 / 256,
                    order: str = "light_first") -> LightingLabels:
    r"""Light and shadow of every view.

    .. math:: l = G * \max(x - o, 0), \quad s = 1 - G * \max(o - x, 0),
        \quad \hat x = \min(o + l, 1)\, s

    The report's labels are coloured, and its training sees no more of them than the relit picture, which is made of all
    three channels here as well. The networks predict one channel of light and of shadow; to that belong `light` and
    `shadow`, the means over the three, for figures and scores.

    The shadow is measured as a difference and used as a factor: of a pigment o under a true shadow s, 1 - o (1 - s) of
    o is left, which is too bright wherever o < 1. Occluders go into both.

    Args:
        image: (B, 3, T, H, W) in [0, 1]; original: (B, 3, 1, H, W).
        radius: Standard deviation of the Gaussian `G`, as a share of the longer side: the report's 20 of 256 pixels.
            0 blurs nothing.
        order: Of the relit picture: "light_first" is the report's formula above, "light_last" is min(o s + l, 1), the
            order of its networks.

    Errors: ValueError for another order, and for pictures that do not fit together.
    """
    check_order(order)
    if original.shape != (*image.shape[:2], 1, *image.shape[3:]):
        raise ValueError(f"need views (B, 3, T, H, W) and originals (B, 3, 1, H, W), got {tuple(image.shape)}, "
                         f"{tuple(original.shape)}")
    sigma = radius * max(image.shape[-2:])
    difference = image - original
    light = eight_bits(blur(difference.clamp_min(0), sigma))
    shadow = 1 - eight_bits(blur((-difference).clamp_min(0), sigma))
    relit = (original + light).clamp(max=1) * shadow if order == "light_first" else original * shadow + light
    return LightingLabels(eight_bits(light.mean(dim=1, keepdim=True)), eight_bits(shadow.mean(dim=1, keepdim=True)),
                          eight_bits(relit.clamp(0, 1)))


@torch.no_grad()
def occlusion_labels(image: Tensor, relit: Tensor) -> Tensor:
    """Occluders as what is unlike every relit picture of its sequence (the report's "adaptive thresholding").

    Every view is compared with all T relit pictures: 1 - SSIM of the grey pictures at every pixel, stretched to 0-255,
    blurred over 5 pixels, and cut at the level that Otsu's method (1979) finds. A pixel is occluded if all T
    comparisons say so. Otsu parts any map in two, so a view without occluders gets some, if its comparisons agree.

    Windows of SSIM as in `ssim_map`, values of range 1.

    Args:
        image, relit: (B, 3, T, H, W) in [0, 1].

    Returns (B, 1, T, H, W) float32 in {0, 1}.
    """
    views, lit = (grey(values.double())[:, 0] for values in (image, relit))  # (B, T, H, W)
    found = [[unlike_all(view, others) for view in sequence] for sequence, others in zip(views, lit, strict=True)]
    return torch.from_numpy(np.array(found, dtype=np.float32))[:, None].to(image.device)


@torch.no_grad()
def residual_labels(image: Tensor, relit: Tensor, threshold: float = 0.1) -> Tensor:
    """Occluders as what a trained model of the clean picture, light and shadow leaves over (the report's last labels).

    A pixel is occluded if any of its channels differs by more than the threshold. The code had 0.1 and 0.15.

    Args:
        image, relit: (B, 3, T, H, W) in [0, 1], the views, and the lit pictures without occluders.

    Returns (B, 1, T, H, W) float32 in {0, 1}.
    """
    return ((image - relit).abs() > threshold).any(dim=1, keepdim=True).float()


def unlike_all(view: Tensor, others: Tensor) -> np.ndarray:
    """Where a view (H, W) differs from all of several grey pictures (U, H, W): (H, W) bool."""
    unlike = 1 - ssim_map(view.expand_as(others)[:, None], others[:, None])[:, 0]
    low, high = unlike.amin(dim=(1, 2), keepdim=True), unlike.amax(dim=(1, 2), keepdim=True)
    span = torch.where(high - low > EQUAL, high - low, 1)
    votes = []
    for levels in (WHITE * (unlike - low) / span).to(torch.uint8).cpu().numpy():  # cut off, as in the report
        blurred = cv2.GaussianBlur(levels, SMALL_BLUR, 0, borderType=cv2.BORDER_REPLICATE)
        votes.append(cv2.threshold(blurred, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1])
    return np.all(votes, axis=0)


def blur(values: Tensor, sigma: float) -> Tensor:
    """Gaussian blur, edge pixels repeated outwards; (..., H, W), sigma in pixels."""
    if sigma <= 0:
        return values
    reach = int(TRUNCATE * sigma + 0.5)
    offset = torch.arange(-reach, reach + 1, dtype=torch.float64)
    bell = torch.exp(-offset.square() / (2 * sigma**2))
    bell = bell / bell.sum()
    return separable_filter(values, bell, bell)


def eight_bits(values: Tensor) -> Tensor:
    """The nearest multiple of 1/255."""
    return (values * WHITE).round() / WHITE


@torch.no_grad()
def with_pseudo_labels(sequences: SequenceSet, mask: str = "ssim", model: nn.Module | None = None,
                       order: str = "light_first", threshold: float = 0.1, device: str | torch.device = "cpu",
                       batch_size: int = 8) -> SequenceSet:
    """The set with the fields pseudo_light, pseudo_shadow, pseudo_relit and pseudo_mask, all in 8 bits.

    Light, shadow and the relit picture are `lighting_labels` of views and clean picture. The mask is "ssim":
    `occlusion_labels` against those relit pictures; or "residual": `residual_labels` against the pictures that the
    heads of a trained `model` relight, which is what the final advances turned to.

    Args:
        model: Returns the layers original, light and shadow of (B, 3, T, H, W); for "residual" only.
        order: Of the relit pictures of `lighting_labels`; what a model relights has "light_last".
        threshold: Of `residual_labels`.

    Errors: ValueError for another mask, and for a residual without a model.
    """
    if mask not in MASKS or (mask == "residual") != (model is not None):
        raise ValueError(f"mask is ssim, or residual with a model; got {mask!r} with {type(model).__name__}")

    def label(batch: Batch) -> dict[str, Tensor]:
        image = batch["image"]
        labels = lighting_labels(image, batch["original"], order=order)
        if model is None:
            found = occlusion_labels(image, labels.relit)
        else:
            relit = floats(model(image, heads=("original", "lighting"))).relit(LIGHT_LAST)
            found = residual_labels(image, relit, threshold)
        return {f"pseudo_{name}": to_levels(values) for name, values in (*labels._asdict().items(), ("mask", found))}

    return sequences.with_fields(**score_batches(label, Batches(sequences, batch_size, device=device), model,
                                                 amp=False))


def score_labels(batches: Iterable[Batch]) -> dict[str, float]:
    """Scores of pseudo-labels, means over sequences that have them.

    Args:
        batches: With image, original, mask, what is known of shadow, light and irradiance, and the fields of
            `with_pseudo_labels`. Where there is a second mask, of the residual, it is called pseudo_residual.

    Returns what `light_scores` measures outside occluders, of the labels as if they were predictions; mask_iou, mask_f1
    and mask_share, the share of positives, of pseudo_mask; mask_iou_residual and mask_f1_residual of pseudo_residual.
    """
    def score(batch: Batch) -> dict[str, Tensor]:
        found = light_scores({"shadow": batch["pseudo_shadow"], "light": batch["pseudo_light"]},
                             relighting(batch["pseudo_relit"], batch["original"]), batch, batch["mask"] <= OCCLUDED)
        for ending, field in (("", "pseudo_mask"), ("_residual", "pseudo_residual")):
            if field in batch:
                found |= {f"mask_iou{ending}": mask_iou(batch[field], batch["mask"]),
                          f"mask_f1{ending}": mask_dice(batch[field], batch["mask"])}
        return found | {"mask_share": batch["pseudo_mask"].double().flatten(1).mean(dim=1)}

    return mean_scores(score_batches(score, batches, amp=False), known=True)


def score_found_masks(find: Callable[[Tensor], Any], batches: Iterable[Batch]) -> dict[str, float]:
    """mask_iou, mask_f1 and mask_auprc of whatever finds masks, means over sequences.

    Args:
        find: image (B, 3, T, H, W) -> something with `mask` (B, 1, T, H, W) in [0, 1], for example the `layers` of
            `RobustPCAOfViews`. Where it also has `sparse` (B, 3, T, H, W), mask_auprc ranks pixels by the largest of
            its magnitudes.
    """
    def score(batch: Batch) -> dict[str, Tensor]:
        found = find(batch["image"])
        ranked = found.sparse.abs().amax(dim=1, keepdim=True) if hasattr(found, "sparse") else found.mask
        return {"mask_iou": mask_iou(found.mask.float(), batch["mask"]),
                "mask_f1": mask_dice(found.mask.float(), batch["mask"]),
                "mask_auprc": average_precision(ranked.float(), batch["mask"] > OCCLUDED)}

    return mean_scores(score_batches(score, batches, amp=False), known=True)
