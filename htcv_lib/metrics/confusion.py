"""Scores of class maps, all read from one matrix of pixel counts.

The matrix is additive: sum it over batches, then score the sum. A class that is neither in the truth
nor in the prediction has no score (NaN) and is left out of means.
"""

import torch
from torch import Tensor


def confusion_matrix(pred: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """Count pixels by true and predicted class, on their device.

    Args:
        pred, target: Integer class maps of one shape, values in [0, num_classes).

    Returns (num_classes, num_classes) int64; row = truth, column = prediction.
    """
    pair = target.reshape(-1).long() * num_classes + pred.reshape(-1)
    return torch.bincount(pair, minlength=num_classes**2).view(num_classes, num_classes)


def pixel_accuracy(confusion: Tensor) -> Tensor:
    """Share of pixels given their true class, in [0, 1]. confusion: (..., C, C) -> (...)."""
    return confusion.diagonal(dim1=-2, dim2=-1).sum(-1) / confusion.sum((-2, -1))


def iou_per_class(confusion: Tensor) -> Tensor:
    """Intersection over union, in [0, 1]. confusion: (..., C, C) -> (..., C)."""
    hits, total = hits_and_total(confusion)
    return hits / (total - hits)


def dice_per_class(confusion: Tensor) -> Tensor:
    """Dice coefficient (F1), 2 * intersection / (size + size). confusion: (..., C, C) -> (..., C)."""
    hits, total = hits_and_total(confusion)
    return 2 * hits / total


def mean_iou(confusion: Tensor) -> Tensor:
    """Mean of `iou_per_class` over the classes that occur. confusion: (..., C, C) -> (...)."""
    return iou_per_class(confusion).nanmean(-1)


def dice_score(confusion: Tensor) -> Tensor:
    """Mean of `dice_per_class` over the classes that occur. confusion: (..., C, C) -> (...)."""
    return dice_per_class(confusion).nanmean(-1)


def per_image_iou(pred: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """IoU of every image and class.

    Args:
        pred, target: (B, H, W) integer class maps.

    Returns (B, num_classes) in [0, 1]; NaN where neither map has the class.
    """
    size = num_classes**2
    image = torch.arange(len(pred), device=pred.device).view(-1, 1)
    pair = target.flatten(1).long() * num_classes + pred.flatten(1)
    counts = torch.bincount((image * size + pair).reshape(-1), minlength=len(pred) * size)
    return iou_per_class(counts.view(len(pred), num_classes, num_classes))


def hits_and_total(confusion: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels right about each class, and its true plus its predicted pixels: (..., C) each, float64."""
    confusion = confusion.double()
    hits = confusion.diagonal(dim1=-2, dim2=-1)
    return hits, confusion.sum(-1) + confusion.sum(-2)
