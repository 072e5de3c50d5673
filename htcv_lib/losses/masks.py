"""Losses of masks: cross-entropy per pixel, Dice and its relatives, from logits and from probabilities."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Cross-entropy per pixel.


def cross_entropy_loss(logits: Tensor, target: Tensor) -> Tensor:
    r"""Negative log-probability of the true class, mean over all pixels.

    .. math:: -\frac{1}{n} \sum_i \log p_i(y_i)

    Args:
        logits: (B, C, H, W), before the softmax.
        target: (B, H, W) int64 class indices.

    Returns a scalar >= 0; 0 is certainty about the right class, log C is a uniform guess.
    """
    return F.cross_entropy(logits, target)


# Soft Dice, the report's logarithmic relative of it, and Dice with cross-entropy.


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


# Losses of one mask that is given as a probability, not as logits: the networks that stretch their output to [0, 1]
# have no logits.

FLOOR = 1e-6  # a probability is never taken to be smaller, so that certainty about the wrong thing stays finite


def mask_bce_loss(prob: Tensor, target: Tensor) -> Tensor:
    r"""Binary cross-entropy of probabilities, mean over all pixels.

    .. math:: -\frac{1}{n} \sum_i y_i \log p_i + (1 - y_i) \log(1 - p_i)

    Args:
        prob: (B, 1, H, W) in [0, 1], float32 or wider.
        target: (B, 1, H, W) in [0, 1]; a feathered edge is a probability of its own.

    Returns a scalar in [0, 13.8]; 0 is a perfect mask if the truth is 0 or 1 everywhere, else the entropy of the truth
    is the least there is.
    """
    return bce_map(prob, target).mean()


def mask_dice_loss(prob: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    r"""Soft Dice loss of one mask (Milletari et al., 2016, arXiv:1606.04797; here with p, not p squared, below).

    .. math:: 1 - \frac{2 \sum_i p_i y_i + s}{\sum_i p_i + \sum_i y_i + s}

    Pixels of the whole batch are summed, so that an image without an object does not ask for certainty alone.

    Args:
        prob: (B, 1, H, W) in [0, 1].
        target: (B, 1, H, W) in [0, 1].
        smooth: `s`, so that a batch without objects predicted empty costs 0.

    Returns a scalar in [0, 1]; 0 is a perfect mask if the truth is 0 or 1 everywhere.
    """
    return 1 - (2 * (prob * target).sum() + smooth) / (prob.sum() + target.sum() + smooth)


def mask_bce_dice_loss(prob: Tensor, target: Tensor, dice_weight: float = 0.5) -> dict[str, Tensor]:
    """Binary cross-entropy and soft Dice, weighted `1 - dice_weight` and `dice_weight`.

    Args:
        prob, target: (B, 1, H, W) in [0, 1].
        dice_weight: In [0, 1].

    Returns the total under "loss", and the weighted terms "bce" and "dice" that sum to it.
    """
    bce = (1 - dice_weight) * mask_bce_loss(prob, target)
    dice = dice_weight * mask_dice_loss(prob, target)
    return {"loss": bce + dice, "bce": bce, "dice": dice}


def bce_map(prob: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy at every pixel, any shape."""
    return -(target * prob.clamp_min(FLOOR).log() + (1 - target) * (1 - prob).clamp_min(FLOOR).log())
