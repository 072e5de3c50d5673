"""FLIP: the difference a viewer sees when two pictures are flipped back and forth.

Andersson et al., 2020, "FLIP: A Difference Evaluator for Alternating Images" (HPG), for pictures of low dynamic
range. All images of a batch at once, on their device; values agree with NVIDIA's evaluator. It is a metric, not a
loss: its powers have no gradient where two pictures agree.
"""

import math

import torch
from torch import Tensor

from htcv_lib.image import linear, separable_filter

PIXELS_PER_DEGREE = 0.7 * (3840 / 0.7) * math.pi / 180  # 67.02: a 0.7 m wide 4K screen seen from 0.7 m
RGB_TO_XYZ = ((10135552 / 24577794, 8788810 / 24577794, 4435075 / 24577794),  # linear sRGB, white D65
              (2613072 / 12288897, 8788810 / 12288897, 887015 / 12288897),
              (1425312 / 73733382, 8788810 / 73733382, 70074185 / 73733382))
# The eye's contrast sensitivity as sums of Gaussians a * sqrt(pi / b) * exp(-pi^2 x^2 / b), x in degrees: (a, b).
SENSITIVITY = {"achromatic": ((1.0, 0.0047),), "red_green": ((1.0, 0.0053),),
               "blue_yellow": ((34.1, 0.04), (13.5, 0.025))}
COLOUR_EXPONENT = 0.7  # q_c
KNEE, KNEE_VALUE = 0.4, 0.95  # p_c, p_t: errors below 40 % of the largest fill [0, 0.95]
FEATURE_WIDTH = 0.082  # degrees, the width of the edges and points we look at
FEATURE_EXPONENT = 0.5  # q_f


def flip_error(pred: Tensor, target: Tensor, pixels_per_degree: float = PIXELS_PER_DEGREE) -> Tensor:
    """Mean FLIP error of each image.

    Args:
        pred, target: (B, 3, H, W) sRGB in [0, 1]; values outside are clipped.
        pixels_per_degree: Of the viewer's field of view; the default is the authors'.

    Returns (B,) in [0, 1]; 0 is an identical image.
    """
    return flip_map(pred, target, pixels_per_degree).mean(dim=(1, 2))


def flip_map(pred: Tensor, target: Tensor, pixels_per_degree: float = PIXELS_PER_DEGREE) -> Tensor:
    """FLIP error of each pixel: (B, 3, H, W) sRGB in [0, 1], twice -> (B, H, W) in [0, 1]."""
    if pred.shape != target.shape or pred.dim() != 4 or pred.shape[1] != 3:
        raise ValueError(f"two batches (B, 3, H, W) are needed, got {tuple(pred.shape)} and {tuple(target.shape)}")
    first, second = (opponent(linear(image.clamp(0, 1))) for image in (pred, target))
    colour = colour_error(blurred_lab(first, pixels_per_degree), blurred_lab(second, pixels_per_degree))
    feature = feature_error(luminance(first), luminance(second), pixels_per_degree)
    return colour ** (1 - feature)


def colour_error(first: Tensor, second: Tensor) -> Tensor:
    """HyAB distance of two adjusted Lab images, compressed and stretched to [0, 1]: (B, 3, H, W) -> (B, H, W)."""
    primaries = torch.eye(3, dtype=first.dtype, device=first.device).view(3, 3, 1, 1)
    green_blue = lab(primaries[1:])  # the two colours of the display farthest apart
    largest = float(hyab(green_blue[:1], green_blue[1:]) ** COLOUR_EXPONENT)
    error = hyab(first, second) ** COLOUR_EXPONENT
    knee = KNEE * largest
    above = KNEE_VALUE + (error - knee) / (largest - knee) * (1 - KNEE_VALUE)
    return torch.where(error < knee, error * (KNEE_VALUE / knee), above).clamp(0, 1)


def hyab(first: Tensor, second: Tensor) -> Tensor:
    """City-block distance in lightness plus Euclidean distance in (a, b): (B, 3, H, W) -> (B, H, W)."""
    difference = first - second
    return difference[:, 0].abs() + torch.hypot(difference[:, 1], difference[:, 2])


def feature_error(first: Tensor, second: Tensor, pixels_per_degree: float) -> Tensor:
    """Difference in how much of an edge or of a point there is at each pixel, in [0, 1].

    Args:
        first, second: (B, H, W) luminance in [0, 1].
    """
    sd = 0.5 * FEATURE_WIDTH * pixels_per_degree
    x = centred(math.ceil(3 * sd))
    bell = torch.exp(-x.square() / (2 * sd**2))
    slope, bump = -x * bell, (x.square() / sd**2 - 1) * bell
    kernels = {"edge": balanced(slope), "point": balanced(bump)}
    bell = bell / bell.sum()
    errors = []
    for kernel in kernels.values():
        strengths = [torch.hypot(separable_filter(image, bell, kernel), separable_filter(image, kernel, bell))
                     for image in (first, second)]
        errors.append((strengths[0] - strengths[1]).abs())
    return (torch.maximum(*errors) / math.sqrt(2)) ** FEATURE_EXPONENT


def blurred_lab(ycxcz: Tensor, pixels_per_degree: float) -> Tensor:
    """What the eye resolves of an opponent-colour image, in Lab with chroma faded in the dark: (B, 3, H, W)."""
    degrees_largest = math.sqrt(max(b for terms in SENSITIVITY.values() for _, b in terms) / (2 * math.pi**2))
    x = centred(math.ceil(3 * degrees_largest * pixels_per_degree)) / pixels_per_degree  # degrees
    channels = []
    for channel, terms in zip(ycxcz.unbind(dim=1), SENSITIVITY.values(), strict=True):
        bells = [torch.exp(-math.pi**2 * x.square() / b) for _, b in terms]
        mass = [a * math.sqrt(math.pi / b) * float(bell.sum()) ** 2
                for (a, b), bell in zip(terms, bells, strict=True)]
        channels.append(sum(separable_filter(channel, bell / bell.sum(), bell / bell.sum()) * (m / sum(mass))
                            for m, bell in zip(mass, bells, strict=True)))
    y, cx, cz = channels
    y = (y + 16) / 116
    xyz = torch.stack([y + cx / 500, y, y - cz / 200], dim=1)  # relative to the white point
    rgb = recolour(xyz * white(xyz), torch.tensor(RGB_TO_XYZ, dtype=xyz.dtype, device=xyz.device).inverse())
    return lab(rgb.clamp(0, 1))


def lab(rgb: Tensor) -> Tensor:
    """CIELAB of linear RGB, a and b times L / 100 (the Hunt effect): (B, 3, H, W)."""
    t = relative_xyz(rgb)
    delta = 6 / 29
    t = torch.where(t > delta**3, t.clamp(min=delta**3) ** (1 / 3), t / (3 * delta**2) + 4 / 29)
    x, y, z = t.unbind(dim=1)
    lightness = 116 * y - 16
    fade = 0.01 * lightness
    return torch.stack([lightness, 500 * (x - y) * fade, 200 * (y - z) * fade], dim=1)


def opponent(rgb: Tensor) -> Tensor:
    """YCxCz of linear RGB, the linear cousin of Lab: achromatic, red-green, blue-yellow. (B, 3, H, W)."""
    x, y, z = relative_xyz(rgb).unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def luminance(ycxcz: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, H, W) in [0, 1]."""
    return (ycxcz[:, 0] + 16) / 116


def relative_xyz(rgb: Tensor) -> Tensor:
    """XYZ of linear RGB, with white at (1, 1, 1): (B, 3, H, W)."""
    return recolour(rgb, torch.tensor(RGB_TO_XYZ, dtype=rgb.dtype, device=rgb.device)) / white(rgb)


def white(like: Tensor) -> Tensor:
    return torch.tensor(RGB_TO_XYZ, dtype=like.dtype, device=like.device).sum(dim=1).view(3, 1, 1)


def recolour(image: Tensor, matrix: Tensor) -> Tensor:
    """A matrix applied to every pixel, written out so that no GPU rounds the products: (B, 3, H, W)."""
    return (image[:, None] * matrix[..., None, None]).sum(dim=2)


def centred(radius: int) -> Tensor:
    return torch.arange(-radius, radius + 1, dtype=torch.float64)


def balanced(kernel: Tensor) -> Tensor:
    """Scaled so that the positive weights add up to 1 and the negative ones to -1."""
    return torch.where(kernel > 0, kernel / kernel.clamp(min=0).sum(), kernel / -kernel.clamp(max=0).sum())
