"""Scores of class maps and of single masks: accuracy, IoU, Dice, boundary IoU; and which images to show."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Scores of class maps, all read from one matrix of pixel counts.
#
# The matrix is additive: sum it over batches, then score the sum. A class that is neither in the truth
# nor in the prediction has no score (NaN) and is left out of means.


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


# Boundary IoU (Cheng et al., 2021, arXiv:2103.16562): IoU of the bands just inside the outlines.


def boundary_labels(labels: Tensor, num_classes: int, dilation_ratio: float = 0.02) -> Tensor:
    """Keep the class of pixels near the outline of their own region; `num_classes` elsewhere.

    A pixel belongs to the band when eroding the mask of its class by d pixels removes it: when the
    (2d + 1)-square around it holds another class or leaves the image. d is `dilation_ratio` times the image diagonal,
    rounded, at least 1, as in the authors' code. One max-pool and one min-pool serve all classes.

    Args:
        labels: (B, H, W) integer class maps.

    Returns (B, H, W) int64 in [0, num_classes].
    """
    height, width = labels.shape[-2:]
    d = max(1, round(dilation_ratio * math.hypot(height, width)))
    values = labels.unsqueeze(1).float()
    outside = F.pad(values, (d, d, d, d), value=float(num_classes))  # beyond the image: another class
    highest = square_max(outside, d)
    lowest = -square_max(-outside, d)
    inner = (highest == values) & (lowest == values)
    return torch.where(inner.squeeze(1), num_classes, labels.long())


def boundary_confusion(pred: Tensor, target: Tensor, num_classes: int, dilation_ratio: float = 0.02) -> Tensor:
    """Confusion of the two boundary bands, with "not in a band" as one more class; additive over batches.

    Args:
        pred, target: (B, H, W) integer class maps.

    Returns (num_classes + 1, num_classes + 1) int64.
    """
    bands = [boundary_labels(labels, num_classes, dilation_ratio) for labels in (pred, target)]
    return confusion_matrix(bands[0], bands[1], num_classes + 1)


def boundary_iou(pred: Tensor, target: Tensor, num_classes: int, dilation_ratio: float = 0.02) -> Tensor:
    """Boundary IoU of each class over the whole batch.

    Args:
        pred, target: (B, H, W) integer class maps.
        dilation_ratio: Width of the band as a share of the image diagonal.

    Returns (num_classes,) in [0, 1]; NaN where neither map has the class.
    """
    return iou_per_class(boundary_confusion(pred, target, num_classes, dilation_ratio))[:num_classes]


def square_max(values: Tensor, d: int) -> Tensor:
    """Maximum over (2d + 1)-squares, one axis after the other: (B, 1, H + 2d, W + 2d) -> (B, 1, H, W)."""
    size = 2 * d + 1
    return F.max_pool2d(F.max_pool2d(values, (size, 1), stride=1), (1, size), stride=1)


# Scores of one mask in each image, one value an image so that images can be resampled.
#
# A mask in [0, 1] covers the pixels above one half.

THRESHOLD = 0.5


def mask_iou(pred: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of each image's two masks.

    Args:
        pred, target: (B, 1, H, W) in [0, 1], or bool.

    Returns (B,) float64 in [0, 1]. Where the truth is empty: 1 if the prediction is empty too, else 0.
    """
    both, sizes = overlap(pred, target)
    return filled(both / (sizes - both), sizes)


def mask_dice(pred: Tensor, target: Tensor) -> Tensor:
    """Dice coefficient (F1) of each image's two masks at one half; arguments and empty masks as `mask_iou`."""
    both, sizes = overlap(pred, target)
    return filled(2 * both / sizes, sizes)


def mask_rmse(pred: Tensor, target: Tensor) -> Tensor:
    """Root mean squared error of the masks as they are, soft: (B, 1, H, W) in [0, 1], twice -> (B,) float64."""
    return (pred.double() - target.double()).square().flatten(1).mean(dim=1).sqrt()


def covered(mask: Tensor) -> Tensor:
    """The pixels a mask covers, bool."""
    return mask if mask.dtype == torch.bool else mask > THRESHOLD


def overlap(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels in both masks, and the sum of their sizes: (B,) float64 each."""
    first, second = covered(pred).flatten(1), covered(target).flatten(1)
    return (first & second).sum(dim=1).double(), (first.sum(dim=1) + second.sum(dim=1)).double()


def filled(score: Tensor, sizes: Tensor) -> Tensor:
    """1 where both masks are empty: nothing is found where nothing is."""
    return torch.where(sizes == 0, 1.0, score)


# Which images to show: the median, the best, the worst, and some that no result has chosen.


def order_statistics(scores: Sequence[float], fixed: int = 5) -> list[dict]:
    """Rows for a picture grid.

    Args:
        scores: (N,) one score per image, higher is better.
        fixed: How many images to add at equal distances in the list, the same for every model.

    Returns dicts with index, label ("median", "best", "worst", then "photo 1", ...) and score.
    """
    scores = np.asarray(scores, dtype=float)
    order = np.argsort(scores, kind="stable")
    chosen = [("median", order[len(order) // 2]), ("best", order[-1]), ("worst", order[0])]
    places = np.linspace(0, len(scores) - 1, fixed + 2)[1:-1].round().astype(int)
    chosen += [(f"photo {number}", place) for number, place in enumerate(places, start=1)]
    return [{"index": int(i), "label": label, "score": round(float(scores[i]), 4)} for label, i in chosen]
