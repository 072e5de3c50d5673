"""Segmentation: the objective, the scores of a split, and predicted class maps."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from htcv_lib.losses.masks import ce_dice_loss, cross_entropy_loss, dice_loss, log_dice_loss
from htcv_lib.metrics.segmentation import (
    boundary_confusion,
    confusion_matrix,
    dice_score,
    iou_per_class,
    mean_iou,
    pixel_accuracy,
)
from htcv_lib.training.device import autocast

LOSSES = {"ce": cross_entropy_loss, "dice": dice_loss, "log_dice": log_dice_loss, "ce_dice": ce_dice_loss}
CLASSES = ("pet", "background", "border")


class Images(Protocol):
    """What is predicted on: uint8 pictures of one size."""

    images: Tensor  # (N, 3, H, W) uint8


def segmentation_objective(model: nn.Module, batch: dict[str, Tensor], loss: str = "ce") -> dict[str, Tensor]:
    """The chosen loss of one batch.

    Args:
        batch: image (B, 3, H, W) in [0, 1], mask (B, H, W) int64 classes.
        loss: "ce", "dice" (soft, per class), "log_dice" (the report's) or "ce_dice".
    """
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {loss!r}")
    value = LOSSES[loss](model(batch["image"]).float(), batch["mask"])  # bfloat16 ends here
    return value if isinstance(value, dict) else {"loss": value}


@torch.inference_mode()
def evaluate_segmentation(model: nn.Module, batches: Iterable[dict[str, Tensor]], loss: str = "ce",
                          classes: Sequence[str] = CLASSES, amp: bool | None = None) -> dict[str, float]:
    """Scores of a split, counted over all its pixels together.

    Args:
        batches: Dicts with image (B, 3, H, W) in [0, 1] and mask (B, H, W) int64.
        loss: As in `segmentation_objective`; mean over images.
        amp: bfloat16 autocast; by default on CUDA only.

    Returns accuracy, mean_iou, iou_<class>, boundary_iou (mean over classes), dice, all in [0, 1], and loss.
    """
    size = len(classes)
    counts = bands = total = 0
    images = 0
    with evaluation(model):
        for batch in batches:
            target = batch["mask"]
            with autocast(target.device, amp):
                logits = model(batch["image"]).float()
                value = LOSSES[loss](logits, target)
            value = value["loss"] if isinstance(value, dict) else value
            pred = logits.argmax(dim=1)  # (B, H, W)
            counts = counts + confusion_matrix(pred, target, size)
            bands = bands + boundary_confusion(pred, target, size)
            total = total + value.double() * len(target)
            images += len(target)
    if images == 0:
        raise ValueError("no batches to evaluate")
    return summarized(counts, bands, classes) | {"loss": float(total / images)}


def score_maps(pred: Tensor, target: Tensor, classes: Sequence[str] = CLASSES) -> dict[str, float]:
    """The scores of given class maps, as `evaluate_segmentation` counts them, without a loss.

    Shapes: pred, target (N, H, W), integer classes.
    """
    size = len(classes)
    counts = bands = 0
    for part, truth in zip(pred.split(64), target.split(64), strict=True):
        part, truth = part.long(), truth.long()
        counts = counts + confusion_matrix(part, truth, size)
        bands = bands + boundary_confusion(part, truth, size)
    return summarized(counts, bands, classes)


def summarized(counts: Tensor, bands: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Scores from the confusion of all pixels (C, C) and of the boundary bands (C + 1, C + 1)."""
    band_iou = iou_per_class(bands)[: len(classes)].nanmean()
    scores = [pixel_accuracy(counts), mean_iou(counts), band_iou, dice_score(counts)]
    names = ["accuracy", "mean_iou", "boundary_iou", "dice", *(f"iou_{name}" for name in classes)]
    return dict(zip(names, torch.cat([torch.stack(scores), iou_per_class(counts)]).tolist(), strict=True))


@torch.inference_mode()
def predict_segmentation(model: nn.Module, dataset: Images, batch_size: int = 32,
                         device: str | torch.device = "cpu", amp: bool | None = None) -> Tensor:
    """Most probable class of every pixel of every image, in the data set's order: (N, H, W) uint8 on the CPU."""
    maps = []
    with evaluation(model), autocast(torch.device(device), amp):
        for images in dataset.images.split(batch_size):
            logits = model(images.to(device).float() / 255)
            maps.append(logits.argmax(dim=1).to(torch.uint8))
    return torch.cat(maps).cpu()


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the `with`, the mode before it afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
