"""The loss with every layer known, for the reports' own formula: light is added, shadow multiplies."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

from htcv_lib.losses.distances import charbonnier, distance
from htcv_lib.losses.set_decomposition import require, weighted, widened
from htcv_lib.losses.soft_mask import mask_dice_loss

MATCHED = MappingProxyType({"original": 1.0, "structure": 0.1, "recomposition": 1.0, "shadow": 1.0, "light": 1.0,
                            "mask_bce": 0.1, "mask_dice": 0.1, "occlusion": 0.5})


class Prediction(Protocol):
    """Layers as in `Decomposition`: original (B, 3, 1, H, W), light, shadow and mask (B, 1, T, H, W), occlusion
    (B, 3, T, H, W), in [0, 1], mask_logits (B, 1, T, H, W)."""

    original: Tensor
    light: Tensor
    shadow: Tensor
    occlusion: Tensor
    mask: Tensor
    mask_logits: Tensor

    def recompose(self, hard: bool = True) -> Tensor: ...


def matched_loss(pred: Prediction, batch: Mapping[str, Tensor], **weights: float) -> dict[str, Tensor]:
    """Every layer against its label.

    Terms, each >= 0, 0 for what is labelled right (cross-entropy: for a mask that is sure of it); weights by default
    `MATCHED`, 0 leaves a term out: original and recomposition with a soft mask (`charbonnier`); structure (1 - SSIM of
    the original); shadow and light (`charbonnier`) where no occluder is, which hides both; mask_bce and mask_dice;
    occlusion (`charbonnier`) where one is.

    Args:
        batch: image, occlusion (B, 3, T, H, W), original (B, 3, 1, H, W), shadow, light, mask (B, 1, T, H, W).

    Returns the total under "loss", and the weighted terms that sum to it.
    Errors: ValueError for a weight of another name, and for a field that the batch lacks.
    """
    pred = widened(pred)
    given = require(batch, "image", "original", "shadow", "light", "mask", "occlusion")
    mask = given["mask"]
    terms = {
        "original": lambda: charbonnier(pred.original, given["original"]),
        "structure": lambda: distance("ssim")(pred.original, given["original"]),
        "recomposition": lambda: charbonnier(pred.recompose(hard=False), given["image"]),
        "shadow": lambda: charbonnier(pred.shadow, given["shadow"], weight=1 - mask),
        "light": lambda: charbonnier(pred.light, given["light"], weight=1 - mask),
        "mask_bce": lambda: F.binary_cross_entropy_with_logits(pred.mask_logits, mask),
        "mask_dice": lambda: mask_dice_loss(pred.mask, mask),
        "occlusion": lambda: charbonnier(pred.occlusion, given["occlusion"], weight=mask),
    }
    return weighted(terms, MATCHED, weights)
