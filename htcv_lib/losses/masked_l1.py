"""Mean absolute error that counts the object more than the black around it."""

from torch import Tensor

BLACK = -0.98  # darker is background; the object's pixels are at least -0.94, its ambient light


def masked_l1_loss(pred: Tensor, target: Tensor, object_weight: float = 10.0) -> Tensor:
    r"""Weighted mean absolute error of the report on the neural renderer.

    .. math:: \frac{1}{n} \sum_i (1 + w\, [y_i > -0.98]) \, |x_i - y_i|

    Args:
        pred, target: (B, 3, H, W) in [-1, 1], black is -1.
        object_weight: `w`; 10 for the report's models 2 and 3, 19 for model 1, 0 for the plain L1 loss.

    Returns a scalar >= 0; 0 is a perfect picture.
    """
    return ((pred - target).abs() * (1 + object_weight * (target > BLACK))).mean()
