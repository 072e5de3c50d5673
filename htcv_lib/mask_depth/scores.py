"""Scores of a predicted mask and depth, the common judges of networks trained with different losses."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.metrics.pictures import image_ssim
from htcv_lib.metrics.segmentation import covered, mask_dice, mask_iou, mask_rmse

# Depth against a truth whose scale and zero nobody knows, as for MiDaS (Ranftl et al., 2020, arXiv:1907.01341,
# section 5), but in the values as they are, not in inverse depth: for each image the line through its pixels that
# brings the prediction closest to the target.


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


# Boundary F-score (Perazzi et al., 2016, doi:10.1109/CVPR.2016.85): do two outlines meet within a tolerance?


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


# Errors of depth in each image, one value an image so that images can be resampled (Eigen et al., 2014).

RATIO = 1.25


def depth_rmse(pred: Tensor, target: Tensor) -> Tensor:
    """Root mean squared error, as `mask_rmse`: (B, 1, H, W) twice -> (B,) float64, in the unit of the depths."""
    return mask_rmse(pred, target)


def abs_rel(pred: Tensor, target: Tensor) -> Tensor:
    """Mean of the absolute error over the true depth.

    Args:
        pred, target: (B, 1, H, W); the truth > 0.

    Returns (B,) float64 >= 0.
    """
    return ((pred.double() - target.double()).abs() / positive(target)).flatten(1).mean(dim=1)


def delta_accuracy(pred: Tensor, target: Tensor, power: int = 1) -> Tensor:
    """Share of pixels whose larger depth, predicted or true, is below `1.25 ** power` times the smaller.

    Args:
        pred, target: (B, 1, H, W); the truth > 0. A predicted 0 is wrong at any power.
        power: 1, 2 or 3 for the usual delta 1 to 3.

    Returns (B,) float64 in [0, 1].
    """
    limit = RATIO**power
    guess, truth = pred.double(), positive(target)
    return ((guess < limit * truth) & (truth < limit * guess)).flatten(1).double().mean(dim=1)


def positive(target: Tensor) -> Tensor:
    """The true depth in float64, if ratios to it exist."""
    if bool((target <= 0).any()):
        raise ValueError("ratios of depths need a true depth above 0 everywhere")
    return target.double()


def score_mask_depth(pred_mask: Tensor, pred_depth: Tensor, mask: Tensor, depth: Tensor) -> dict[str, Tensor]:
    """Every score of every image.

    Args:
        pred_mask, pred_depth, mask, depth: (B, 1, H, W) in [0, 1], the true depth > 0; H and W at least 11.

    Returns (B,) float64 each: mask_iou, mask_dice, boundary_f (higher is better), mask_rmse (lower); depth_rmse in the
    depth's unit, abs_rel (lower), delta1, delta2, delta3, depth_ssim (higher).
    """
    scores = {
        "mask_iou": mask_iou(pred_mask, mask), "mask_dice": mask_dice(pred_mask, mask),
        "boundary_f": boundary_f_score(pred_mask, mask), "mask_rmse": mask_rmse(pred_mask, mask),
        "depth_rmse": depth_rmse(pred_depth, depth), "abs_rel": abs_rel(pred_depth, depth),
    }
    scores |= {f"delta{power}": delta_accuracy(pred_depth, depth, power) for power in (1, 2, 3)}
    return scores | {"depth_ssim": image_ssim(pred_depth.float(), depth.float()).double()}
