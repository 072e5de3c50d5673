"""Scores of one mask in each image, one value an image so that images can be resampled.

A mask in [0, 1] covers the pixels above one half.
"""

import torch
from torch import Tensor

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
