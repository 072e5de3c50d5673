"""Scores of the object alone: in pictures of a small thing on black, the background decides every other score.

Positions are in pixels from the upper left corner of the image; the centre of the first pixel is (0.5, 0.5).
A box is (left, top, right, bottom). What a picture does not show has no score (NaN).
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from htcv_lib.metrics.separable import separable_filter

MARGIN = 4.0  # pixels around the box
SSIM_RADIUS, SSIM_SIGMA = 5, 1.5
AMBIENT = 0.03  # the darkest a pixel of the object can be, in every channel: ambient light 0.1 times material 0.3
COVERAGES = (0.0, 0.01, 0.05, 0.2, 1.0)  # edges of the bins


def box_mask(box: Tensor, size: tuple[int, int], margin: float = MARGIN) -> Tensor:
    """The pixels whose centres lie in the box after it grew by `margin` on every side.

    Args:
        box: (B, 4) left, top, right, bottom; a box with a NaN has no pixels.
        size: H, W.

    Returns (B, 1, H, W) bool.
    """
    y, x = (torch.arange(n, device=box.device, dtype=box.dtype) + 0.5 for n in size)
    left, top, right, bottom = box[:, :, None].unbind(dim=1)  # (B, 1) each
    columns = (x >= left - margin) & (x <= right + margin)  # (B, W)
    rows = (y >= top - margin) & (y <= bottom + margin)  # (B, H)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def box_mse(pred: Tensor, target: Tensor, box: Tensor, margin: float = MARGIN) -> Tensor:
    """Mean squared error in the grown box: (B, 3, H, W) twice and (B, 4) -> (B,), NaN if no pixel is in it."""
    return mean_in((pred - target).double().square(), box_mask(box, target.shape[-2:], margin))


def box_psnr(pred: Tensor, target: Tensor, box: Tensor, margin: float = MARGIN) -> Tensor:
    """PSNR in dB in the grown box, see `box_mse`; infinite where the pictures are equal."""
    return -10 * box_mse(pred, target, box, margin).log10()


def box_ssim(pred: Tensor, target: Tensor, box: Tensor, margin: float = MARGIN) -> Tensor:
    """Structural similarity, the mean of `ssim_map` in the grown box; arguments and NaN as `box_mse`.

    The windows of pixels at the edge of the box look up to 5 pixels further.
    """
    return mean_in(ssim_map(pred, target), box_mask(box, target.shape[-2:], margin))


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


def picture_silhouette(image: Tensor, threshold: float = AMBIENT / 2) -> Tensor:
    """Where a picture shows something: the mean of a pixel's channels exceeds half the ambient light.

    In a rendered picture this is exactly the object, because no pixel of it is darker than the ambient light, and
    everything else is black.

    Args:
        image: (B, 3, H, W) in [0, 1].

    Returns (B, 1, H, W) bool.
    """
    return image.mean(dim=1, keepdim=True) > threshold


def silhouette_iou(pred: Tensor, target: Tensor, threshold: float = AMBIENT / 2) -> Tensor:
    """Intersection over union of the silhouettes of two pictures.

    Args:
        pred, target: (B, 3, H, W) in [0, 1].

    Returns (B,) in [0, 1]; NaN where both pictures are black.
    """
    first, second = (picture_silhouette(image, threshold).flatten(1) for image in (pred, target))
    return (first & second).sum(dim=1).double() / (first | second).sum(dim=1)


def brightest_spot(image: Tensor, share: float = 0.95) -> Tensor:
    """Centre of the whitest pixels of a picture.

    A highlight is white: it adds the same to all channels, so it shows in the smallest of the three, where it also
    saturates last. The spot is the mean position of the pixels that reach `share` of the largest such value.

    Args:
        image: (B, 3, H, W) in [0, 1].

    Returns (B, 2) float64 x, y; NaN where no pixel exceeds half the ambient light in all channels.
    """
    whiteness = image.amin(dim=1)  # (B, H, W)
    peak = whiteness.amax(dim=(1, 2))
    spot = (whiteness >= share * peak[:, None, None]).double()
    y, x = (torch.arange(n, device=image.device, dtype=torch.float64) + 0.5 for n in image.shape[-2:])
    total = spot.sum(dim=(1, 2))
    centre = torch.stack([spot.sum(dim=1) @ x, spot.sum(dim=2) @ y], dim=1) / total[:, None]
    return torch.where((peak > AMBIENT / 2)[:, None], centre, math.nan)


def highlight_error(pred: Tensor, target: Tensor, visible: float = 0.5) -> Tensor:
    """Distance in pixels between the brightest spots of two pictures, found in both in the same way.

    Args:
        pred, target: (B, 3, H, W) in [0, 1].
        visible: The target has a highlight if some pixel of it exceeds this in all channels.

    Returns (B,) float64; NaN where the target has no highlight, the diagonal of the image where only the prediction
    has no bright spot.
    """
    distance = (brightest_spot(pred) - brightest_spot(target)).norm(dim=1)
    distance = distance.nan_to_num(nan=math.hypot(*target.shape[-2:]))
    return torch.where(target.amin(dim=1).amax(dim=(1, 2)) > visible, distance, math.nan)


def by_coverage(scores: Mapping[str, Tensor], coverage: Tensor,
                edges: Sequence[float] = COVERAGES) -> list[dict[str, float | int | str]]:
    """Mean scores of the pictures in each range of coverage, and of all; the rows of a table.

    Args:
        scores: Name -> (B,) score of each picture; NaN is left out of means and counted.
        coverage: (B,) share of the pixels that show the object, in [0, 1].
        edges: Increasing, the first 0. A bin holds its upper edge, not its lower one; empty pictures are a bin of
            their own.

    Returns dicts with coverage (a label), pictures (how many), and for each score its mean, and under the name with
    " n" how many pictures it is the mean of. Bins without pictures are left out.
    """
    bins = {"empty": coverage <= 0}
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        bins[f"{100 * low:g}-{100 * high:g} %"] = (coverage > low) & (coverage <= high)
    bins["all"] = torch.ones_like(coverage, dtype=torch.bool)
    rows = []
    for label, chosen in bins.items():
        if not chosen.any():
            continue
        row = {"coverage": label, "pictures": int(chosen.sum())}
        for name, values in scores.items():
            inside = values.to(coverage.device)[chosen].double()
            row |= {name: float(inside.nanmean()), f"{name} n": int((~inside.isnan()).sum())}
        rows.append(row)
    return rows


def mean_in(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over channels and the pixels of a mask: (B, C, H, W), (B, 1, H, W) bool -> (B,), NaN if it is empty."""
    total = torch.where(mask, values, 0).sum(dim=(1, 2, 3))
    return total / (mask.sum(dim=(1, 2, 3)) * values.shape[1])
