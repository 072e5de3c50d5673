"""Labels that the reports made from a sequence and its clean picture alone, without knowing any layer.

Light and shadow are what a view has more and less than the clean picture, blurred; occlusions are what then still
differs. Values are rounded to 8 bits, as the reports' were.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from htcv_lib.metrics.edges import otsu_threshold
from htcv_lib.metrics.object_region import ssim_map
from htcv_lib.metrics.separable import separable_filter

ORDERS = ("light_first", "light_last")
GREY = (0.299, 0.587, 0.114)  # weights of stored red, green and blue (ITU-R BT.601)
TRUNCATE = 4.0  # a Gaussian ends after so many sigmas
SMALL_BLUR = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # OpenCV's Gaussian of 5 pixels
WHITE = 255
EQUAL = 1e-6  # a smaller range of dissimilarities is rounding


class LightingLabels(NamedTuple):
    """Pseudo-labels of light and shadow, multiples of 1/255 in [0, 1]."""

    light: Tensor  # (B, 1, T, H, W)  added
    shadow: Tensor  # (B, 1, T, H, W)  multiplied; 1 is unshadowed
    relit: Tensor  # (B, 3, T, H, W)  the clean picture under both, in colour


@torch.no_grad()
def lighting_labels(image: Tensor, original: Tensor, radius: float = 20 / 256,
                    order: str = "light_first") -> LightingLabels:
    r"""Light and shadow of every view.

    .. math:: l = G * \max(x - o, 0), \quad s = 1 - G * \max(o - x, 0),
        \quad \hat x = \min(o + l, 1)\, s

    The report's labels are coloured, and its training sees no more of them than the relit picture, which is made of all
    three channels here as well. The networks predict one channel of light and of shadow; to that belong `light` and
    `shadow`, the means over the three, for figures and scores.

    The shadow is measured as a difference and used as a factor: of a pigment o under a true shadow s, 1 - o (1 - s) of
    o is left, which is too bright wherever o < 1. Occluders go into both.

    Args:
        image: (B, 3, T, H, W) in [0, 1]; original: (B, 3, 1, H, W).
        radius: Standard deviation of the Gaussian `G`, as a share of the longer side: the report's 20 of 256 pixels.
            0 blurs nothing.
        order: Of the relit picture: "light_first" is the report's formula above, "light_last" is min(o s + l, 1), the
            order of its networks.

    Errors: ValueError for another order, and for pictures that do not fit together.
    """
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {order!r}")
    if original.shape != (*image.shape[:2], 1, *image.shape[3:]):
        raise ValueError(f"need views (B, 3, T, H, W) and originals (B, 3, 1, H, W), got {tuple(image.shape)}, "
                         f"{tuple(original.shape)}")
    sigma = radius * max(image.shape[-2:])
    difference = image - original
    light = eight_bits(blur(difference.clamp_min(0), sigma))
    shadow = 1 - eight_bits(blur((-difference).clamp_min(0), sigma))
    relit = (original + light).clamp(max=1) * shadow if order == "light_first" else original * shadow + light
    return LightingLabels(eight_bits(light.mean(dim=1, keepdim=True)), eight_bits(shadow.mean(dim=1, keepdim=True)),
                          eight_bits(relit.clamp(0, 1)))


@torch.no_grad()
def occlusion_labels(image: Tensor, relit: Tensor) -> Tensor:
    """Occluders as what is unlike every relit picture of its sequence (the report's "adaptive thresholding").

    Every view is compared with all T relit pictures: 1 - SSIM of the grey pictures at every pixel, stretched to 0-255,
    blurred over 5 pixels, and cut at the level that Otsu's method (1979) finds. A pixel is occluded if all T
    comparisons say so. Otsu parts any map in two, so a view without occluders gets some, if its comparisons agree.

    Windows of SSIM as in `ssim_map`, values of range 1.

    Args:
        image, relit: (B, 3, T, H, W) in [0, 1].

    Returns (B, 1, T, H, W) float32 in {0, 1}.
    """
    views, lit = (grey_views(values) for values in (image, relit))  # (B, T, H, W)
    return torch.stack([unlike_all(*pair) for pair in zip(views, lit, strict=True)])[:, None].float()


@torch.no_grad()
def residual_labels(image: Tensor, relit: Tensor, threshold: float = 0.1) -> Tensor:
    """Occluders as what a trained model of the clean picture, light and shadow leaves over (the report's last labels).

    A pixel is occluded if any of its channels differs by more than the threshold. The code had 0.1 and 0.15.

    Args:
        image, relit: (B, 3, T, H, W) in [0, 1], the views, and the lit pictures without occluders.

    Returns (B, 1, T, H, W) float32 in {0, 1}.
    """
    return ((image - relit).abs() > threshold).any(dim=1, keepdim=True).float()


def unlike_all(views: Tensor, others: Tensor) -> Tensor:
    """Where each view of one sequence differs from all of several pictures: (T, H, W), (U, H, W) -> (T, H, W) bool."""
    levels = torch.stack([unlikeness(view, others) for view in views])  # (T, U, H, W)
    cuts = otsu_threshold(levels.flatten(0, 1)).view(*levels.shape[:2], 1, 1)
    return (levels > cuts).all(dim=1)


def unlikeness(view: Tensor, others: Tensor) -> Tensor:
    """1 - SSIM, each map stretched to 0-255 and blurred: (H, W), (U, H, W) -> (U, H, W) int32."""
    unlike = 1 - ssim_map(view.expand_as(others)[:, None], others[:, None])[:, 0]
    low, high = unlike.amin(dim=(1, 2), keepdim=True), unlike.amax(dim=(1, 2), keepdim=True)
    span = high - low
    levels = (WHITE * (unlike - low) / torch.where(span > EQUAL, span, 1)).int()  # cut off, as in the report
    kernel = torch.tensor(SMALL_BLUR, dtype=torch.float64)
    return (separable_filter(levels.double(), kernel, kernel) + 0.5).int()


def blur(values: Tensor, sigma: float) -> Tensor:
    """Gaussian blur, edge pixels repeated outwards; (..., H, W), sigma in pixels."""
    if sigma <= 0:
        return values
    reach = int(TRUNCATE * sigma + 0.5)
    offset = torch.arange(-reach, reach + 1, dtype=torch.float64)
    bell = torch.exp(-offset.square() / (2 * sigma**2))
    bell = bell / bell.sum()
    return separable_filter(values, bell, bell)


def grey_views(values: Tensor) -> Tensor:
    """Grey of stored colours: (B, 3, T, H, W) -> (B, T, H, W) float64."""
    return torch.tensordot(values.double(), torch.tensor(GREY, dtype=torch.float64, device=values.device),
                           dims=([1], [0]))


def eight_bits(values: Tensor) -> Tensor:
    """The nearest multiple of 1/255."""
    return (values * WHITE).round() / WHITE
