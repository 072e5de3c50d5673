"""Errors of depth in each image, one value an image so that images can be resampled (Eigen et al., 2014)."""

from torch import Tensor

RATIO = 1.25


def depth_rmse(pred: Tensor, target: Tensor) -> Tensor:
    """Root mean squared error: (B, 1, H, W) twice -> (B,) float64, in the unit of the depths."""
    return (pred.double() - target.double()).square().flatten(1).mean(dim=1).sqrt()


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
