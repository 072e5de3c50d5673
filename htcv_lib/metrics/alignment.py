"""Judging depth against a truth whose scale and zero nobody knows.

As for MiDaS (Ranftl et al., 2020, arXiv:1907.01341, section 5), but in the values as they are, not in
inverse depth: for each image the line through its pixels that brings the prediction closest to the target.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Line(NamedTuple):
    """`scale * pred + shift` of each image."""

    scale: Tensor  # (B,)
    shift: Tensor  # (B,)

    def apply(self, pred: Tensor) -> Tensor:
        """The predictions (B, C, H, W) on the target's scale, same shape; values may leave [0, 1]."""
        scale, shift = (value.to(pred).view(-1, *[1] * (pred.ndim - 1)) for value in self)
        return scale * pred + shift


def scale_and_shift(pred: Tensor, target: Tensor, valid: Tensor | None = None) -> Line:
    r"""Least-squares scale and shift of each image.

    .. math:: (s, t) = \arg\min \sum_i (s\, d_i + t - d^*_i)^2

    A prediction without contrast gets scale 0 and the mean of the target as shift: the best constant. A negative scale
    means that near and far were exchanged on the whole; count those before averaging errors.

    Args:
        pred, target: (B, C, H, W).
        valid: (B, C, H, W) bool, pixels that count; all by default. An image without any gets NaN.

    Returns two (B,) float64.
    """
    if pred.shape != target.shape or (valid is not None and valid.shape != pred.shape):
        raise ValueError(f"pred, target and valid differ in shape: {tuple(pred.shape)}, {tuple(target.shape)}"
                         + ("" if valid is None else f", {tuple(valid.shape)}"))
    x, y = pred.flatten(1).double(), target.flatten(1).double()
    weight = torch.ones_like(x) if valid is None else valid.flatten(1).to(x)
    x, y = torch.where(weight > 0, x, 0), torch.where(weight > 0, y, 0)  # what is left out may be NaN
    count = weight.sum(dim=1)
    mean_x, mean_y = (weight * x).sum(dim=1) / count, (weight * y).sum(dim=1) / count
    off_x, off_y = x - mean_x[:, None], y - mean_y[:, None]
    variance = (weight * off_x.square()).sum(dim=1)
    flat = variance <= 1e-12 * count
    scale = (weight * off_x * off_y).sum(dim=1) / variance.masked_fill(flat, 1)
    scale = scale.masked_fill(flat, 0)
    return Line(scale, mean_y - scale * mean_x)


def aligned(pred: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """`pred` after its own `scale_and_shift` towards `target`: (B, C, H, W). Arguments as there."""
    return scale_and_shift(pred, target, valid).apply(pred)
