"""Stored pictures as amounts of light, and pictures made smaller as a coarser camera would have seen them.

The transfer function is that of sRGB (IEC 61966-2-1). Light adds up, stored values do not: a coarse pixel sees the
mean of the light, so pictures are decoded, averaged over areas, and encoded again.
"""

from functools import cache

import torch
from torch import Tensor

from htcv_lib.data.scene_view import Size, height_width


def to_linear(srgb: Tensor) -> Tensor:
    """Light of sRGB values, any shape: floating point in [0, 1], or uint8, which gives float32. 1 is white."""
    if srgb.dtype == torch.uint8:
        return _table(srgb.device)[srgb.int()]
    return torch.where(srgb > 0.04045, ((srgb.clamp(min=0) + 0.055) / 1.055) ** 2.4, srgb / 12.92)


def to_srgb(light: Tensor) -> Tensor:
    """sRGB values in [0, 1] of amounts of light, any shape; what is brighter than white is clipped."""
    light = light.clamp(0, 1)
    return torch.where(light > 0.0031308, 1.055 * light.clamp(min=1e-9) ** (1 / 2.4) - 0.055, 12.92 * light)


def area_average(picture: Tensor, size: Size) -> Tensor:
    """Exact means over areas: (..., H, W) floating point -> (..., H', W').

    Each new pixel is the mean of the part of the picture it covers; pixels that it covers in part count in part, so the
    mean of the whole picture stays, whatever the sizes.

    Errors: ValueError if the new picture has more pixels than the old one along a side.
    """
    height, width = height_width(size)
    if height > picture.shape[-2] or width > picture.shape[-1]:
        found = "{} x {}".format(*picture.shape[-2:])
        raise ValueError(f"pictures of {found} pixels cannot be shown at {height} x {width}: averages only shrink")
    if (height, width) == tuple(picture.shape[-2:]):
        return picture
    rows = _shares(picture.shape[-2], height).to(picture)
    columns = _shares(picture.shape[-1], width).to(picture)
    return rows @ picture @ columns.T


def shrunk(levels: Tensor, size: Size) -> Tensor:
    """Stored pictures (..., H, W) uint8 at another size, (..., H', W') uint8, averaged in linear light."""
    if height_width(size) == tuple(levels.shape[-2:]):
        return levels
    return to_levels(to_srgb(area_average(to_linear(levels), size)))


def to_levels(share: Tensor) -> Tensor:
    """[0, 1] to uint8, rounded."""
    return (share.clamp(0, 1) * 255).round().to(torch.uint8)


def _shares(old: int, new: int) -> Tensor:
    """(new, old) float64, how much of each new pixel each old one covers; rows add up to 1."""
    edges = torch.arange(new + 1, dtype=torch.float64) * old / new
    start = torch.arange(old, dtype=torch.float64)
    covered = torch.minimum(edges[1:, None], start + 1) - torch.maximum(edges[:-1, None], start)
    return covered.clamp(min=0) * new / old


@cache
def _table(device: torch.device) -> Tensor:
    """The light of all 256 levels."""
    return to_linear(torch.arange(256, dtype=torch.float64, device=device) / 255).float()
