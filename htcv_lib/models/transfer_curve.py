"""The sRGB transfer function (IEC 61966-2-1) and its inverse, with finite gradients everywhere.

Light adds and multiplies in linear values; pictures are stored, and judged by the eye, in sRGB values.
"""

import torch
from torch import Tensor

KNEE = 0.0031308  # linear; below it the curve is a line
SLOPE = 12.92


def linear(srgb: Tensor) -> Tensor:
    """Stored values in [0, 1] as light in [0, 1], of any shape; values outside continue the curve or the line."""
    curve = ((srgb.clamp(min=KNEE * SLOPE) + 0.055) / 1.055) ** 2.4
    return torch.where(srgb <= KNEE * SLOPE, srgb / SLOPE, curve)


def srgb(linear: Tensor) -> Tensor:
    """Light in [0, 1] as stored values in [0, 1], of any shape; nothing is clipped here."""
    curve = 1.055 * linear.clamp(min=KNEE) ** (1 / 2.4) - 0.055
    return torch.where(linear <= KNEE, linear * SLOPE, curve)
