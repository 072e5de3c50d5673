"""Depth by ratios and by edges: the scale-invariant logarithmic loss, and gradient matching."""

import torch
from torch import Tensor

FLOOR = 1e-3  # added before the logarithm; where 1 is 10 m, this is 1 cm


def silog_loss(pred: Tensor, target: Tensor, scale_weight: float = 0.5, floor: float = FLOOR) -> Tensor:
    r"""Scale-invariant logarithmic loss (Eigen et al., 2014, arXiv:1406.2283, equation 4), mean over images.

    .. math:: \frac{1}{n} \sum_i d_i^2 - \frac{\lambda}{n^2} \Big(\sum_i d_i\Big)^2, \quad d_i = \log x_i - \log y_i

    Args:
        pred, target: (B, 1, H, W) >= 0.
        scale_weight: Lambda in [0, 1]: 0 is the mean squared error of logarithms, 1 forgives any factor common to
            the whole image, 1/2 is the paper's.
        floor: Added to both depths, so that a predicted 0 costs a finite amount and still has a gradient.

    Returns a scalar >= 0; 0 is equality.
    """
    difference = log_difference(pred, target, floor).flatten(1)
    return (difference.square().mean(dim=1) - scale_weight * difference.mean(dim=1).square()).mean()


def gradient_matching_loss(difference: Tensor, scales: int = 4) -> Tensor:
    r"""How much an error changes from pixel to pixel, at several scales
    (Li & Snavely, 2018, arXiv:1804.00607; Ranftl et al., 2020, arXiv:1907.01341).

    .. math:: \sum_k \frac{1}{n_k} \sum_i |\nabla_x R_i^k| + |\nabla_y R_i^k|

    `R^k` is every 2^k-th row and column of the error. A constant error costs nothing: edges must be in the right
    place and of the right height, whatever the level.

    Args:
        difference: (B, 1, H, W) prediction minus truth, of logarithms (as Li & Snavely have it) or of depths; H and W
            larger than `2 ** (scales - 1)`.

    Returns a scalar >= 0; each scale and direction is a mean over its pairs of neighbours.
    """
    if min(difference.shape[-2:]) <= 2 ** (scales - 1):
        raise ValueError(f"{scales} scales need sides above {2 ** (scales - 1)}, got {tuple(difference.shape)}")
    coarser = (difference[..., :: 2**k, :: 2**k] for k in range(scales))
    return sum(part.diff(dim=-1).abs().mean() + part.diff(dim=-2).abs().mean() for part in coarser)


def silog_gradient_loss(pred: Tensor, target: Tensor, gradient_weight: float = 0.5,
                        floor: float = FLOOR) -> dict[str, Tensor]:
    """`silog_loss` and the gradient matching of the logarithms, weighted as by Li & Snavely (0.5).

    Args:
        pred, target: (B, 1, H, W) >= 0.

    Returns the total under "loss", and the weighted terms "silog" and "gradient" that sum to it.
    """
    silog = silog_loss(pred, target, floor=floor)
    gradient = gradient_weight * gradient_matching_loss(log_difference(pred, target, floor))
    return {"loss": silog + gradient, "silog": silog, "gradient": gradient}


def log_difference(pred: Tensor, target: Tensor, floor: float) -> Tensor:
    """Logarithm of the ratio of two depths, both raised by `floor`."""
    return torch.log(pred + floor) - torch.log(target + floor)
