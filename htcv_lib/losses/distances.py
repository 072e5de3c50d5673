"""How far pictures are apart: the distances that the reports on decomposition choose by name, and robust ones."""

from collections.abc import Callable

import torch
from torch import Tensor

from htcv_lib.losses.structural import WINDOW, similarity_maps

Distance = Callable[[Tensor, Tensor], Tensor]  # (pred, target) of one shape -> scalar >= 0; 0 is equality


def distance(name: str) -> Distance:
    """The distance of that name between pictures (B, C, H, W) or views (B, C, T, H, W) in [0, 1].

    "mae": mean absolute error, of the report's later trainings. "mse": mean squared error, of its first one.
    "ssim": 1 - SSIM (Wang et al., 2004), in [0, 2], each view a picture of its own, Gaussian windows of 11 pixels that
    stay inside it. The report's library takes windows of 11 views and pixels where there is a dimension of views.

    Returns a function (pred, target) -> scalar, a mean over everything, computed in float32 or wider. It refuses
    tensors of different shapes with ValueError: broadcasting would compare every view with every other.
    """
    if name not in DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(DISTANCES)}, got {name!r}")
    return DISTANCES[name]


def mae(pred: Tensor, target: Tensor) -> Tensor:
    pred, target = pair(pred, target)
    return (pred - target).abs().mean()


def mse(pred: Tensor, target: Tensor) -> Tensor:
    pred, target = pair(pred, target)
    return (pred - target).square().mean()


def dissimilarity(pred: Tensor, target: Tensor) -> Tensor:
    pred, target = (as_pictures(values) for values in pair(pred, target))
    return 1 - similarity_maps(pred, target, WINDOW, "inside")[0].mean()


def weighted_mae(pred: Tensor, target: Tensor, weight: float = 50.0) -> Tensor:
    r"""Mean absolute error that counts what is there more than the black around it.

    .. math:: \frac{1}{n} \sum_i \left(1 + (w - 1)\,[y_i \neq 0]\right) |x_i - y_i|

    The code of the second report had it for colour targets that are 0 outside the occluded pixels.

    Args:
        pred, target: Of one shape, in [0, 1].
        weight: `w`; 1 is the plain mean.

    Returns a scalar >= 0; 0 is equality.
    """
    pred, target = pair(pred, target)
    return ((pred - target).abs() * (1 + (weight - 1) * (target != 0))).mean()


def charbonnier(pred: Tensor, target: Tensor, epsilon: float = 1e-3, weight: Tensor | None = None) -> Tensor:
    r"""Charbonnier's penalty, an absolute error that is smooth at 0 (Charbonnier et al., 1994,
    doi:10.1109/ICIP.1994.413553; for pictures Lai et al., 2017, arXiv:1704.03915, with this epsilon).

    .. math:: \frac{\sum_i w_i \left(\sqrt{(x_i - y_i)^2 + \epsilon^2} - \epsilon\right)}{\sum_i w_i}

    Epsilon is taken off, unlike in the papers, so that equality costs 0.

    Args:
        pred, target: Of one shape, any range.
        weight: >= 0, of a shape that broadcasts to theirs, for example a mask (B, 1, T, H, W). All 0: the loss is 0.

    Returns a scalar >= 0.
    """
    pred, target = pair(pred, target)
    values = ((pred - target).square() + epsilon**2).sqrt() - epsilon
    if weight is None:
        return values.mean()
    weight = weight.to(values.dtype).expand_as(values)
    return (values * weight).sum() / weight.sum().clamp_min(torch.finfo(values.dtype).tiny)


def pair(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float32 or wider, if they have one shape."""
    if pred.shape != target.shape:
        raise ValueError(f"pred and target differ in shape: {tuple(pred.shape)}, {tuple(target.shape)}")
    return wide(pred), wide(target)


def wide(values: Tensor) -> Tensor:
    """At least float32: a loss must not be summed in bfloat16."""
    return values if values.dtype == torch.float64 else values.float()


def as_pictures(values: Tensor) -> Tensor:
    """Views as pictures of a batch: (B, C, T, H, W) -> (B * T, C, H, W); pictures stay as they are."""
    return values.transpose(1, 2).flatten(0, 1) if values.ndim == 5 else values


DISTANCES: dict[str, Distance] = {"mae": mae, "mse": mse, "ssim": dissimilarity}
