"""Scores of one layer of a sequence, over the pixels where that layer can be seen; one value a sequence.

Layers are (B, C, T, H, W); `where` is (B, 1, T, H, W) bool, or of a shape that broadcasts to the layer's.
"""

import torch
from torch import Tensor

from htcv_lib.metrics.flip import linear

FLAT = 1e-12  # variance below which a map is a constant
LUMINANCE = (0.2126, 0.7152, 0.0722)  # of linear red, green and blue (IEC 61966-2-1)
DARKEST = 0.02  # luminance of a pigment that still tells how much light falls on it
FLOOR = 0.01  # added to irradiance before the logarithm


def mean_where(values: Tensor, where: Tensor) -> Tensor:
    """Mean over the chosen values of each sequence: (B, ...) -> (B,) float64; NaN if none is chosen."""
    where = where.expand_as(values).flatten(1)
    return torch.where(where, values.double().flatten(1), 0).sum(dim=1) / where.sum(dim=1)


def layer_mae(pred: Tensor, target: Tensor, where: Tensor) -> Tensor:
    """Mean absolute error of each sequence; a layer with one channel is compared with every channel of the other."""
    pred, target = torch.broadcast_tensors(pred.double(), target.double())
    return mean_where((pred - target).abs(), where)


def layer_correlation(pred: Tensor, target: Tensor, where: Tensor) -> Tensor:
    """Pearson's correlation of each sequence over all chosen values of its views.

    Returns (B,) float64 in [-1, 1]; NaN where the truth is constant (there is nothing to find), 0 where only the
    prediction is.
    """
    pred, target = torch.broadcast_tensors(pred.double(), target.double())
    x, y = centred(pred, where), centred(target, where)
    count = where.expand_as(target).flatten(1).sum(dim=1)
    variance_x, variance_y = (x * x).sum(dim=1), (y * y).sum(dim=1)
    flat_x, flat_y = variance_x <= FLAT * count, variance_y <= FLAT * count
    found = (x * y).sum(dim=1) / (variance_x * variance_y).sqrt()
    return torch.where(flat_x, 0.0, found).masked_fill(flat_y, torch.nan)


def irradiance_scores(pred: Tensor, target: Tensor, original: Tensor, where: Tensor) -> dict[str, Tensor]:
    r"""How well the light on the picture is known, up to a factor common to the whole sequence.

    correlation: of the logarithms of the luminances, 0.01 added; the factor does not matter there. mae: mean
    :math:`|a p - t|` of the luminances with the least-squares factor `a` of the sequence; 1 is the light under which
    the clean picture was taken. Both over the chosen pixels that can tell: those whose true pigment has a luminance of
    at least 0.02 (black says nothing of its light) and that the true light leaves below white in every channel
    (beyond, a camera clips).

    Args:
        pred, target: (B, 3, T, H, W) >= 0, linear.
        original: (B, 3, 1, H, W), the true clean picture, sRGB in [0, 1].

    Returns "correlation" and "mae", (B,) float64 each; NaN as in `layer_correlation`, and where no pixel is left.
    """
    pigment = linear(original.double())
    where = where & (luminance(pigment) >= DARKEST) & (pigment * target.double() < 1).all(dim=1, keepdim=True)
    x, y = luminance(pred.double()), luminance(target.double())
    both = torch.where(where, x * y, 0).flatten(1).sum(dim=1)
    own = torch.where(where, x * x, 0).flatten(1).sum(dim=1)
    factor = torch.where(own > 0, both / own, 0.0)[:, None, None, None, None]
    return {"correlation": layer_correlation((x + FLOOR).log(), (y + FLOOR).log(), where),
            "mae": layer_mae(factor * x, y, where)}


def luminance(values: Tensor) -> Tensor:
    """Luminance of linear colours: (B, 3, T, H, W) -> (B, 1, T, H, W)."""
    return torch.tensordot(values, values.new_tensor(LUMINANCE), dims=([1], [0]))[:, None]


def centred(values: Tensor, where: Tensor) -> Tensor:
    """The chosen values less their mean, 0 elsewhere: (B, ...) -> (B, N)."""
    off = values - mean_where(values, where).view(-1, *[1] * (values.ndim - 1))
    return torch.where(where.expand_as(values), off, 0).flatten(1)
