"""Boundary IoU (Cheng et al., 2021, arXiv:2103.16562): IoU of the bands just inside the outlines."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.metrics.confusion import confusion_matrix, iou_per_class


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
