"""Soft Dice, the report's logarithmic relative of it, and Dice with cross-entropy."""

import torch
from torch import Tensor

from htcv_lib.losses.cross_entropy import cross_entropy_loss


def dice_loss(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    r"""Soft Dice loss (Milletari et al., 2016, arXiv:1606.04797; here with p, not p squared, below).

    .. math:: 1 - \frac{1}{C} \sum_c \frac{2 \sum_i p_{ic} y_{ic} + s}{\sum_i p_{ic} + \sum_i y_{ic} + s}

    Pixels of the whole batch are summed per class, then classes are averaged.

    Args:
        logits: (B, C, H, W), before the softmax.
        target: (B, H, W) int64 class indices.
        smooth: `s`, so that a class absent from both costs 0.

    Returns a scalar in [0, 1]; 0 is a perfect map.
    """
    prob = logits.softmax(dim=1)
    classes = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1)
    truth = target.unsqueeze(1) == classes  # (B, C, H, W)
    overlap = (prob * truth).sum(dim=(0, 2, 3))  # (C,)
    total = prob.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))  # (C,)
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()


def log_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    r"""What the Session 18 report calls Dice: not the soft Dice, and blind to the classes.

    .. math:: -\log \frac{2a}{1 + a}, \quad a = \frac{1}{n} \sum_i p_i(y_i)

    Args:
        logits: (B, C, H, W), before the softmax.
        target: (B, H, W) int64 class indices.

    Returns a scalar >= 0; 0 is certainty about the right class at every pixel. Because `a` is a mean over
    pixels, a small class weighs only as much as its area.
    """
    prob = logits.softmax(dim=1)
    a = prob.gather(1, target.unsqueeze(1)).mean()
    return -torch.log(2 * a / (1 + a))


def ce_dice_loss(logits: Tensor, target: Tensor, dice_weight: float = 0.5) -> dict[str, Tensor]:
    """Cross-entropy and soft Dice, weighted `1 - dice_weight` and `dice_weight`.

    Args:
        logits: (B, C, H, W), before the softmax.
        target: (B, H, W) int64 class indices.
        dice_weight: In [0, 1].

    Returns the total under "loss", and the weighted terms "ce" and "dice" that sum to it.
    """
    ce = (1 - dice_weight) * cross_entropy_loss(logits, target)
    dice = dice_weight * dice_loss(logits, target)
    return {"loss": ce + dice, "ce": ce, "dice": dice}
