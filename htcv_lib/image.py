"""Pictures as numbers, once for every report: sRGB and light, luma, bytes and [0, 1], sizes, filters, similarity maps.

An image is (B, 3, H, W) in [0, 1], sRGB unless a name says linear.
"""

import io
from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Size = int | tuple[int, int]  # H = W, or (H, W)


def height_width(size: Size) -> tuple[int, int]:
    """(H, W) of a size given as one side or as both."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def ssim_map(pred: Tensor, target: Tensor) -> Tensor:
    """Structural similarity at every pixel (Wang et al., 2004): (B, C, H, W) in [0, 1], twice -> the same, float64.

    Gaussian windows of 11 pixels, sigma 1.5; the image is mirrored at its borders; range 1.
    """
    offset = torch.arange(-SSIM_RADIUS, SSIM_RADIUS + 1, dtype=torch.float64)
    bell = torch.exp(-offset.square() / (2 * SSIM_SIGMA**2))
    bell = bell / bell.sum()
    x, y = pred.double(), target.double()
    maps = separable_filter(torch.stack([x, y, x * x, y * y, x * y]), bell, bell, border="symmetric")
    mean_x, mean_y, xx, yy, xy = maps
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance * (2 * (xy - mean_x * mean_y) + c2) / (xx - mean_x**2 + yy - mean_y**2 + c2)


SSIM_RADIUS, SSIM_SIGMA = 5, 1.5


# The sRGB transfer function (IEC 61966-2-1) and its inverse, with finite gradients everywhere.
#
# Light adds and multiplies in linear values; pictures are stored, and judged by the eye, in sRGB values.

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


# Stored pictures as amounts of light, and pictures made smaller as a coarser camera would have seen them.
#
# The transfer function is that of sRGB (IEC 61966-2-1). Light adds up, stored values do not: a coarse pixel sees the
# mean of the light, so pictures are decoded, averaged over areas, and encoded again.


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


# Filters of a row and a column kernel, as two small matrix products.
#
# The products run in float64: on a GPU, float32 ones may be rounded to 10 bits (TF32), too coarse for a metric.


def separable_filter(images: Tensor, down: Tensor, across: Tensor, border: str = "replicate") -> Tensor:
    """Correlate every map with the outer product of two kernels; the size is kept.

    Args:
        images: (..., H, W), floating point.
        down, across: (2r + 1,) weights along a column and along a row; their lengths may differ.
        border: What lies outside the image: "replicate" a a|a b c|c c, or "symmetric" b a|a b c|c b.

    Returns (..., H, W), of the type of `images`.
    """
    height, width = images.shape[-2:]
    rows = filter_matrix(down.to(images.device), height, border)
    columns = filter_matrix(across.to(images.device), width, border)
    return (rows @ images.double() @ columns.T).to(images.dtype)


def filter_matrix(kernel: Tensor, size: int, border: str = "replicate") -> Tensor:
    """The matrix that correlates a vector of `size` numbers with a kernel, borders folded in: (size, size)."""
    radius = len(kernel) // 2
    out = torch.arange(size, device=kernel.device)
    source = out[:, None] + torch.arange(-radius, radius + 1, device=kernel.device)  # (size, 2r + 1)
    if border == "replicate":
        source = source.clamp(0, size - 1)
    elif border == "symmetric":
        source = source.remainder(2 * size)
        source = torch.minimum(source, 2 * size - 1 - source)
    else:
        raise ValueError(f"border is 'replicate' or 'symmetric', got {border!r}")
    matrix = torch.zeros(size, size, dtype=torch.float64, device=kernel.device)
    return matrix.index_put_((out[:, None].expand_as(source), source), kernel.double().expand_as(source), True)


# An encoded picture as a tensor.


def decode_picture(content: bytes, mode: str = "RGB") -> Tensor:
    """(3, H, W) uint8; with mode "L", levels of grey, (1, H, W).

    Errors: OSError if the bytes are no picture.
    """
    levels = np.array(Image.open(io.BytesIO(content)).convert(mode))
    return torch.from_numpy(levels.reshape(*levels.shape[:2], -1)).permute(2, 0, 1).contiguous()
