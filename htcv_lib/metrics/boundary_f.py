"""Boundary F-score (Perazzi et al., 2016, doi:10.1109/CVPR.2016.85): do two outlines meet within a tolerance?"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.metrics.binary_mask import covered


def boundary_f_score(pred: Tensor, target: Tensor, tolerance: float = 0.008) -> Tensor:
    r"""Harmonic mean of the share of the predicted outline near the true one, and of the true near the predicted.

    .. math:: F = \frac{2 P R}{P + R}

    Near is within `tolerance` times the image diagonal, rounded up to whole pixels, in Euclidean distance: 1 pixel up
    to 88 x 88, 3 at 224 x 224. As in the benchmark's code, an outline pixel may be near several of the other's; the
    paper's one-to-one matching is approximated by that.

    Args:
        pred, target: (B, 1, H, W) in [0, 1], or bool.
        tolerance: Share of the diagonal.

    Returns (B,) float64 in [0, 1]. Two masks without outlines score 1, one without scores 0; a mask that covers the
    whole image has no outline.
    """
    radius = math.ceil(tolerance * math.hypot(*target.shape[-2:]))
    first, second = outline(covered(pred)), outline(covered(target))
    precision = share_near(first, second, radius)
    recall = share_near(second, first, radius)
    return torch.where(precision + recall > 0, 2 * precision * recall / (precision + recall).clamp_min(1e-12), 0.0)


def outline(mask: Tensor) -> Tensor:
    """Pixels that differ from the one to the right, below, or right below: (B, 1, H, W) bool -> the same."""
    beyond = F.pad(mask.float(), (0, 1, 0, 1), mode="replicate") > 0.5
    here = beyond[..., :-1, :-1]
    return (here ^ beyond[..., :-1, 1:]) | (here ^ beyond[..., 1:, :-1]) | (here ^ beyond[..., 1:, 1:])


def share_near(pixels: Tensor, others: Tensor, radius: int) -> Tensor:
    """Share of an outline within `radius` pixels of another: (B, 1, H, W) bool, twice -> (B,); 1 without pixels."""
    offset = torch.arange(-radius, radius + 1, device=pixels.device)
    disc = (offset[:, None] ** 2 + offset[None, :] ** 2 <= radius**2).float()
    reached = F.conv2d(others.float(), disc[None, None], padding=radius) > 0.5
    near, count = (pixels & reached).flatten(1).sum(dim=1), pixels.flatten(1).sum(dim=1)
    return torch.where(count > 0, near.double() / count, 1.0)
