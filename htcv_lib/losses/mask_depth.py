"""The losses of the report on mask and depth, by name: one term for each of the two maps.

A prediction is anything with `mask` (B, 1, H, W) in [0, 1], `depth` (B, 1, H, W) in [0, 1] and `raw` (B, C, H, W), the
network's output before it was scaled: channel 0 the mask, the rest the depth, one value or the logits of its bins.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from htcv_lib.losses.depth_bins import depth_bin_loss
from htcv_lib.losses.focal import focal_depth_loss
from htcv_lib.losses.log_depth import silog_gradient_loss
from htcv_lib.losses.pixelwise import l1_loss, mse_loss
from htcv_lib.losses.soft_mask import mask_bce_dice_loss, mask_dice_loss
from htcv_lib.losses.structural import ms_ssim_loss, ssim_loss

L1_WEIGHT = 0.16  # the rest is MS-SSIM
LEAST_MASK_LOSS = 1e-3  # below it, the author's factor does not grow further


class Prediction(Protocol):
    """What is judged; see above."""

    mask: Tensor
    depth: Tensor
    raw: Tensor


Terms = dict[str, Tensor]
MaskDepthLoss = Callable[[Prediction, Tensor, Tensor], Terms]


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


def pair(pred: Prediction, mask: Tensor, depth: Tensor, mask_loss: Callable[[Tensor, Tensor], Tensor],
         depth_loss: Callable[[Tensor, Tensor], Tensor], weight: float = 1.0) -> Terms:
    """A loss of the mask and one of the depth, both times `weight`."""
    return total(weight * mask_loss(wide(pred.mask), wide(mask)), weight * depth_loss(wide(pred.depth), wide(depth)))


def onehot_terms(pred: Prediction, mask: Tensor, depth: Tensor) -> Terms:
    """Squared error of the mask plus the cross-entropy of the depth's bin; as many bins as `raw` has logits."""
    logits = pred.raw[:, 1:]
    if logits.shape[1] < 2:
        raise ValueError("the one-hot loss needs a network with depth bins; this one has a single value")
    return total(mse_loss(wide(pred.mask), wide(mask)), depth_bin_loss(wide(logits), wide(depth)))


def l1_ms_ssim_terms(pred: Prediction, mask: Tensor, depth: Tensor, most: float = 4.0,
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
