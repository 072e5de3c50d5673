"""The losses of the report on mask and depth by name, one term for each of the two maps."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.losses.masks import bce_map, mask_bce_dice_loss, mask_dice_loss
from htcv_lib.losses.similarity import ms_ssim_loss, ssim_loss
from htcv_lib.mask_depth.output import MaskDepth

# Depth as a class: one of equal bins of [0, 1].

BINS = 64


def quantise_depth(depth: Tensor, bins: int = BINS) -> Tensor:
    """The bin of every depth: bin k holds [k / bins, (k + 1) / bins), and the last one 1 as well.

    Args:
        depth: (B, 1, H, W) in [0, 1].
        bins: The author's code has 255.

    Returns (B, H, W) int64 in [0, bins). The centre of bin k is (k + 0.5) / bins.
    """
    if depth.ndim != 4 or depth.shape[1] != 1:
        raise ValueError(f"depth must be (B, 1, H, W), got {tuple(depth.shape)}")
    return (depth[:, 0] * bins).floor().long().clamp(0, bins - 1)


def depth_bin_loss(logits: Tensor, depth: Tensor) -> Tensor:
    r"""Cross-entropy of the depth's bin against its one-hot encoding, mean over all pixels.

    .. math:: -\frac{1}{n} \sum_i \log p_i(k_i)

    A neighbouring bin costs as much as a distant one.

    Args:
        logits: (B, bins, H, W), before the softmax.
        depth: (B, 1, H, W) in [0, 1].

    Returns a scalar >= 0; 0 is certainty about the right bin, log(bins) is a uniform guess.
    """
    return F.cross_entropy(logits, quantise_depth(depth, logits.shape[1]))


# Focal losses for depth: pixels that are almost right count little (Lin et al., 2017, arXiv:1708.02002).
#
# The report has the heading "Focal loss for Depth" and nothing under it, and none of the author's code says which was
# meant. Lin's loss is for classes; there are two ways to depth.


def focal_depth_loss(pred: Tensor, depth: Tensor, gamma: float = 2.0) -> Tensor:
    r"""Cross-entropy of a value in [0, 1], weighted by a power of its error; mean over all pixels.

    .. math:: -\frac{1}{n} \sum_i |x_i - y_i|^\gamma \left(y_i \log x_i + (1 - y_i) \log(1 - x_i)\right)

    Where the truth is 0 or 1 this is the focal loss; between them it is its extension to continuous targets by
    Li et al. (2020, arXiv:2006.04388, "quality focal loss").

    Args:
        pred, depth: (B, 1, H, W) in [0, 1].
        gamma: 0 is the plain cross-entropy; 2 is Lin's and Li's best.

    Returns a scalar >= 0; 0 is equality (if gamma > 0).
    """
    return ((pred - depth).abs() ** gamma * bce_map(pred, depth)).mean()


# Depth by ratios and by edges: the scale-invariant logarithmic loss, and gradient matching.

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
    r"""Squared error :math:`\sum_i (x_i - y_i)^2` over all values of the batch, or its mean; otherwise as `l1_loss`."""
    return F.mse_loss(pred, target, reduction=checked(reduction))


def checked(reduction: str) -> str:
    """The reduction, if it is one of the two: "none" would hand a picture to the optimizer."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be mean or sum, got {reduction!r}")
    return reduction


# Losses by name: one term for each of the two maps.

L1_WEIGHT = 0.16  # the rest is MS-SSIM
LEAST_MASK_LOSS = 1e-3  # below it, the author's factor does not grow further

Terms = dict[str, Tensor]
MaskDepthLoss = Callable[[MaskDepth, Tensor, Tensor], Terms]


def mask_depth_loss(name: str) -> MaskDepthLoss:
    """The loss of that name: `(pred, mask, depth) -> {"loss", "mask", "depth"}`; the last two add up to the first.

    "l1_sum", "l1_mean", "mse_sum", "mse_mean", "ssim": one loss for both maps. Means are over the two together, as the
    report's two-channel target has it, so each map's term is half of its own mean.
    "mse_ssim" and "dice_ssim": squared error or soft Dice of the mask plus SSIM of the depth, unweighted.
    "mse_focal": squared error of the mask plus `focal_depth_loss`.
    "onehot": squared error of the mask plus the cross-entropy of the depth's bin; needs a network with bins.
    "l1_msssim": `l1_ms_ssim_terms`.
    "bce_dice_silog": cross-entropy and soft Dice of the mask plus `silog_gradient_loss`.

    Shapes: mask and depth (B, 1, H, W), the truth, in [0, 1].
    """
    if name not in TERMS:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {name!r}")
    return TERMS[name]


def pair(pred: MaskDepth, mask: Tensor, depth: Tensor, mask_loss: Callable[[Tensor, Tensor], Tensor],
         depth_loss: Callable[[Tensor, Tensor], Tensor], weight: float = 1.0) -> Terms:
    """A loss of the mask and one of the depth, both times `weight`."""
    return total(weight * mask_loss(wide(pred.mask), wide(mask)), weight * depth_loss(wide(pred.depth), wide(depth)))


def onehot_terms(pred: MaskDepth, mask: Tensor, depth: Tensor) -> Terms:
    """Squared error of the mask plus the cross-entropy of the depth's bin; as many bins as `raw` has logits."""
    logits = pred.raw[:, 1:]
    if logits.shape[1] < 2:
        raise ValueError("the one-hot loss needs a network with depth bins; this one has a single value")
    return total(mse_loss(wide(pred.mask), wide(mask)), depth_bin_loss(wide(logits), wide(depth)))


def l1_ms_ssim_terms(pred: MaskDepth, mask: Tensor, depth: Tensor, most: float = 4.0,
                     scales: int | None = None) -> Terms:
    r"""The author's later loss, absolute error and several scales of structure.

    .. math:: f\, \ell(mask) + \ell(depth), \quad \ell = 0.16\, L_1 + 0.84\, L_{MS\text{-}SSIM}

    The weights are those of Zhao et al. (2017, arXiv:1511.08861). The factor evens out the two terms: the ratio of
    the depth's loss to the mask's, at least 1, at most `most`; no gradient flows through it.

    Args:
        most: The author began with 20 and went on with 4.
        scales: Of `ms_ssim_loss`; the author's code had 5, with windows that shrink to the picture.
    """
    losses = []
    for guess, truth in ((wide(pred.mask), wide(mask)), (wide(pred.depth), wide(depth))):
        structure = ms_ssim_loss(guess, truth, scales=scales)
        losses.append(L1_WEIGHT * l1_loss(guess, truth) + (1 - L1_WEIGHT) * structure)
    of_mask, of_depth = losses
    factor = (of_depth.detach() / of_mask.detach().clamp_min(LEAST_MASK_LOSS)).clamp(1, most)
    return total(factor * of_mask, of_depth)


def total(of_mask: Tensor, of_depth: Tensor) -> Terms:
    """The sum under "loss", and its two terms."""
    return {"loss": of_mask + of_depth, "mask": of_mask, "depth": of_depth}


def wide(values: Tensor) -> Tensor:
    """At least float32: a loss must not be summed in bfloat16."""
    return values if values.dtype == torch.float64 else values.float()


def bce_dice(prob: Tensor, target: Tensor) -> Tensor:
    return mask_bce_dice_loss(prob, target)["loss"]


def silog_gradient(pred: Tensor, target: Tensor) -> Tensor:
    return silog_gradient_loss(pred, target)["loss"]


l1_sum, mse_sum = partial(l1_loss, reduction="sum"), partial(mse_loss, reduction="sum")
TERMS: dict[str, MaskDepthLoss] = {
    "l1_sum": partial(pair, mask_loss=l1_sum, depth_loss=l1_sum),
    "l1_mean": partial(pair, mask_loss=l1_loss, depth_loss=l1_loss, weight=0.5),
    "mse_sum": partial(pair, mask_loss=mse_sum, depth_loss=mse_sum),
    "mse_mean": partial(pair, mask_loss=mse_loss, depth_loss=mse_loss, weight=0.5),
    "ssim": partial(pair, mask_loss=ssim_loss, depth_loss=ssim_loss, weight=0.5),
    "mse_ssim": partial(pair, mask_loss=mse_loss, depth_loss=ssim_loss),
    "dice_ssim": partial(pair, mask_loss=mask_dice_loss, depth_loss=ssim_loss),
    "mse_focal": partial(pair, mask_loss=mse_loss, depth_loss=focal_depth_loss),
    "onehot": onehot_terms,
    "l1_msssim": l1_ms_ssim_terms,
    "bce_dice_silog": partial(pair, mask_loss=bce_dice, depth_loss=silog_gradient),
}
LOSSES = tuple(TERMS)
