"""Segmentation: the objective, the scores of a split, and predicted class maps."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from htcv_lib.data.batches import SegmentationSet
from htcv_lib.image import in_unit
from htcv_lib.losses.masks import ce_dice_loss, cross_entropy_loss, dice_loss, log_dice_loss
from htcv_lib.metrics.segmentation import (
    boundary_labels,
    confusion_matrix,
    dice_score,
    iou_per_class,
    mean_iou,
    pixel_accuracy,
)
from htcv_lib.pets_unet.data import PET_CLASSES
from htcv_lib.training.evaluate import score_batches
from htcv_lib.training.phase import Batch

LOSSES = {"ce": cross_entropy_loss, "dice": dice_loss, "log_dice": log_dice_loss, "ce_dice": ce_dice_loss}


def segmentation_objective(model: nn.Module, batch: dict[str, Tensor], loss: str = "ce") -> dict[str, Tensor]:
    """The chosen loss of one batch.

    Args:
        batch: image (B, 3, H, W) in [0, 1], mask (B, H, W) int64 classes.
        loss: "ce", "dice" (soft, per class), "log_dice" (the report's) or "ce_dice".
    """
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {loss!r}")
    return named_loss(model(batch["image"]).float(), batch["mask"], loss)  # bfloat16 ends here


def named_loss(logits: Tensor, target: Tensor, loss: str) -> dict[str, Tensor]:
    """The loss of that name under "loss", with its terms if it has several."""
    value = LOSSES[loss](logits, target)
    return value if isinstance(value, dict) else {"loss": value}


def evaluate_segmentation(model: nn.Module, batches: Iterable[Batch], loss: str = "ce",
                          classes: Sequence[str] = PET_CLASSES, amp: bool | None = None) -> dict[str, float]:
    """Scores of a split, counted over all its pixels together.

    Args:
        batches: Dicts with image (B, 3, H, W) in [0, 1] and mask (B, H, W) int64.
        loss: As in `segmentation_objective`; mean over images.
        amp: bfloat16 autocast; by default on CUDA only.

    Returns accuracy, mean_iou, iou_<class>, boundary_iou (mean over classes), dice, all in [0, 1], and loss.
    """
    def score(batch: Batch) -> dict[str, Tensor]:
        logits, target = model(batch["image"]).float(), batch["mask"]
        counts = counts_of_images(logits.argmax(dim=1), target, len(classes))
        return counts | {"loss": named_loss(logits, target, loss)["loss"]}

    found = score_batches(score, batches, model, amp=amp)
    return summarized(found, classes) | {"loss": float(found["loss"].double().mean())}


def score_maps(pred: Tensor, target: Tensor, classes: Sequence[str] = PET_CLASSES) -> dict[str, float]:
    """The scores of given class maps, as `evaluate_segmentation` counts them, without a loss.

    Shapes: pred, target (N, H, W), integer classes.
    """
    parts = zip(pred.split(64), target.split(64), strict=True)
    return summarized(score_batches(lambda maps: counts_of_images(maps["pred"], maps["target"], len(classes)),
                                    ({"pred": part, "target": truth} for part, truth in parts)), classes)


def counts_of_images(pred: Tensor, target: Tensor, size: int) -> dict[str, Tensor]:
    """Confusion of each image's pixels, (B, C, C), and of its boundary bands, (B, C + 1, C + 1)."""
    bands = (boundary_labels(labels, size) for labels in (pred, target))
    return {name: torch.stack([confusion_matrix(*maps, classes) for maps in zip(*pair, strict=True)])
            for name, pair, classes in (("pixels", (pred, target), size), ("bands", bands, size + 1))}


def summarized(found: dict[str, Tensor], classes: Sequence[str]) -> dict[str, float]:
    """Scores from the `counts_of_images` of a whole split."""
    counts, bands = found["pixels"].sum(0), found["bands"].sum(0)
    band_iou = iou_per_class(bands)[: len(classes)].nanmean()
    scores = [pixel_accuracy(counts), mean_iou(counts), band_iou, dice_score(counts)]
    names = ["accuracy", "mean_iou", "boundary_iou", "dice", *(f"iou_{name}" for name in classes)]
    return dict(zip(names, torch.cat([torch.stack(scores), iou_per_class(counts)]).tolist(), strict=True))


def predict_segmentation(model: nn.Module, dataset: SegmentationSet, batch_size: int = 32,
                         device: str | torch.device = "cpu", amp: bool | None = None) -> Tensor:
    """Most probable class of every pixel of every image, in the data set's order: (N, H, W) uint8 on the CPU."""
    batches = ({"image": images.to(device)} for images in dataset.images.split(batch_size))
    return score_batches(lambda batch: {"classes": model(in_unit(batch["image"])).argmax(dim=1).to(torch.uint8)},
                         batches, model, amp=amp)["classes"]
