"""Absolute and squared error, as a sum over the batch or as a mean: two factors of one study."""

import torch.nn.functional as F
from torch import Tensor

REDUCTIONS = ("mean", "sum")


def l1_loss(pred: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    r"""Absolute error :math:`\sum_i |x_i - y_i|` over all values of the batch, or its mean.

    Args:
        pred, target: Tensors of one shape; in [0, 1] for masks and depths.
        reduction: "mean" or "sum". The sum grows with batch size and resolution, and so does its gradient: under
            plain gradient descent that is a larger learning rate, while Adam divides it out again.

    Returns a scalar >= 0; 0 is equality.
    """
    return F.l1_loss(pred, target, reduction=checked(reduction))


def mse_loss(pred: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    r"""Squared error :math:`\sum_i (x_i - y_i)^2` over all values of the batch, or its mean.

    Args:
        pred, target: Tensors of one shape.
        reduction: "mean" or "sum", see `l1_loss`.

    Returns a scalar >= 0; 0 is equality.
    """
    return F.mse_loss(pred, target, reduction=checked(reduction))


def checked(reduction: str) -> str:
    """The reduction, if it is one of the two: "none" would hand a picture to the optimizer."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be mean or sum, got {reduction!r}")
    return reduction
