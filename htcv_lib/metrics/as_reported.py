"""Scores as the report on the neural renderer computed them, so that its table can be compared.

They are not what their names promise elsewhere. `hausdorff_reported` is with the other Hausdorff distance.
"""

import torch
from torch import Tensor

from htcv_lib.metrics.edges import to_bytes
from htcv_lib.metrics.separable import separable_filter

WINDOW = 7


def ssim_reported(pred: Tensor, target: Tensor) -> Tensor:
    """SSIM of 8-bit pictures, said to be of range 1 (models 2 and 3 of the report).

    The range sets the two constants that keep the quotients calm where a picture is flat. Here they are 255^2 times
    too small, so that a change by one grey level in the black background counts as a loss of all structure.

    Args:
        pred, target: (B, 3, H, W) in [0, 1].

    Returns (B,) float64, at most 1.
    """
    return flat_ssim(to_bytes(pred), to_bytes(target), data_range=1.0)


def flat_ssim(pred: Tensor, target: Tensor, data_range: float = 1.0) -> Tensor:
    """SSIM with scikit-image's defaults: flat windows of 7 pixels, sample covariance, no border, mean over channels.

    The report's figure for model 1 is that of `stretched` pictures, with range 1.

    Args:
        pred, target: (B, C, H, W), H and W at least 7.
        data_range: What the scores believe is the distance of black and white.

    Returns (B,) float64, at most 1.
    """
    x, y = pred.double(), target.double()
    flat = torch.full((WINDOW,), 1 / WINDOW, dtype=torch.float64)
    whole = slice(WINDOW // 2, -(WINDOW // 2))  # windows inside the image
    maps = separable_filter(torch.stack([x, y, x * x, y * y, x * y]), flat, flat)[..., whole, whole]
    mean_x, mean_y, xx, yy, xy = maps
    sample = WINDOW**2 / (WINDOW**2 - 1)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    covariance = 2 * sample * (xy - mean_x * mean_y) + c2
    variance = sample * (xx - mean_x**2 + yy - mean_y**2) + c2
    return (luminance * covariance / variance).mean(dim=(1, 2, 3))


def mean_l1_reported(pred: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference with black at -1 and white at 1: (B, 3, H, W) in [0, 1], twice -> (B,)."""
    return 2 * (pred - target).abs().flatten(1).mean(dim=1)


def stretched(image: Tensor) -> Tensor:
    """Every picture stretched so that its own extremes become 0 and 1, as those of model 1 were before its scores.

    A picture of one value becomes 0. (B, C, H, W), any range -> the same, in [0, 1].
    """
    low, high = image.amin(dim=(1, 2, 3), keepdim=True), image.amax(dim=(1, 2, 3), keepdim=True)
    return (image - low) / torch.where(high > low, high - low, 1)
