"""The losses of the decomposition done well: soft masks, light that is multiplied and coloured, priors.

A prediction is anything with the fields and the method below, for example a NamedTuple:
original (B, 3, 1, H, W), shadow (B, 1, T, H, W), occlusion (B, 3, T, H, W) and mask (B, 1, T, H, W) in [0, 1], light
(B, 3, T, H, W) >= 0, multiplied, highlight (B, 1, T, H, W) >= 0, added, mask_logits (B, 1, T, H, W) or None, and
`recompose(hard=False)`, the views (B, 3, T, H, W) that these explain.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

from htcv_lib.losses.distances import charbonnier, distance, wide
from htcv_lib.losses.layer_priors import exclusion, mask_prior, smoothness, sparsity
from htcv_lib.losses.soft_mask import mask_bce_loss, mask_dice_loss
from htcv_lib.metrics.flip import linear

DARK = 0.05  # added to light before its logarithm: below, a pixel shows next to nothing
PRIORS = MappingProxyType({"shadow_smooth": 0.01, "light_smooth": 0.1, "highlight": 0.02, "exclusion": 0.01})
LABELLED = MappingProxyType({
    "original": 1.0, "structure": 0.1, "recomposition": 1.0,
    "irradiance": 0.2, "mask_bce": 0.1, "mask_dice": 0.1, "occlusion": 0.5, **PRIORS,
})
UNLABELLED = MappingProxyType({
    "original": 1.0, "structure": 0.1, "recomposition": 1.0, "entropy": 0.01, "area": 0.15, **PRIORS,
})


class Prediction(Protocol):
    """What is judged; see above."""

    original: Tensor
    light: Tensor
    shadow: Tensor
    occlusion: Tensor
    mask: Tensor
    mask_logits: Tensor | None
    highlight: Tensor

    def recompose(self, hard: bool = True) -> Tensor: ...


def labelled_loss(pred: Prediction, batch: Mapping[str, Tensor], **weights: float) -> dict[str, Tensor]:
    """Loss with every component known, for physical data.

    Terms, each >= 0; defaults of the weights in `LABELLED`, 0 leaves a term out. Of labels:
    original and recomposition: `charbonnier`, in sRGB; structure: 1 - SSIM of the original (sides of at least 11);
    irradiance: `charbonnier` of the logarithm of shadow times light, 0.05 added, where it can be seen: neither under
    an occluder nor where the true light exceeds white, which a camera clips;
    mask_bce and mask_dice: cross-entropy (of the logits, where there are any) and soft Dice;
    occlusion: `charbonnier` of the colour inside the true mask.
    The labels know only the product of shadow and light; priors part the two: shadow_smooth, light_smooth
    (`smoothness` of the shadow and of the logarithm of the light), highlight (`sparsity`), exclusion (of shadow and
    light).

    Args:
        batch: image, irradiance, occlusion (B, 3, T, H, W), original (B, 3, 1, H, W), mask (B, 1, T, H, W).

    Returns the total under "loss", and the weighted terms that sum to it.
    Errors: ValueError for a weight of another name, and for a field that a term needs and the batch lacks.
    """
    pred, given = widened(pred), require(batch, "image", "original", "irradiance", "mask", "occlusion")
    mask = given["mask"]
    irradiance = (pred.shadow * pred.light + DARK).log()
    seen = (1 - mask) * (linear(given["original"]) * given["irradiance"] < 1)
    terms = common_terms(pred, given) | {
        "irradiance": lambda: charbonnier(irradiance, (given["irradiance"] + DARK).log(), weight=seen),
        "mask_bce": lambda: (mask_bce_loss(pred.mask, mask) if pred.mask_logits is None
                             else F.binary_cross_entropy_with_logits(pred.mask_logits, mask)),
        "mask_dice": lambda: mask_dice_loss(pred.mask, mask),
        "occlusion": lambda: charbonnier(pred.occlusion, given["occlusion"], weight=mask),
    }
    return weighted(terms, LABELLED, weights)


def unlabelled_loss(pred: Prediction, batch: Mapping[str, Tensor], **weights: float) -> dict[str, Tensor]:
    """Loss without labels of components: the clean picture, the views, and priors.

    Terms as `labelled_loss`, without irradiance, mask_bce, mask_dice and occlusion, and instead with entropy and area
    of the mask (`mask_prior`). The area's weight must exceed what the layers of light leave unexplained on average
    (about 0.04 for the true layers of rendered views, because of their gloss), or masking everything is cheaper.
    Weights `original=0, structure=0` leave out the clean picture too; nothing then tells the painting from a light
    that never moves.

    Args:
        batch: image (B, 3, T, H, W), original (B, 3, 1, H, W).

    Returns the total under "loss", and the weighted terms that sum to it. Errors: as `labelled_loss`.
    """
    pred, given = widened(pred), require(batch, "image", "original")
    terms = common_terms(pred, given) | {
        "entropy": lambda: mask_prior(pred.mask, entropy_weight=1)["entropy"],
        "area": lambda: mask_prior(pred.mask, area_weight=1)["area"],
    }
    return weighted(terms, UNLABELLED, weights)


def common_terms(pred: Prediction, given: Mapping[str, Tensor]) -> dict[str, Callable[[], Tensor]]:
    """The terms that need no labels of components, not yet computed."""
    light = (pred.light + DARK).log()
    return {
        "original": lambda: charbonnier(pred.original, given["original"]),
        "structure": lambda: distance("ssim")(pred.original, given["original"]),
        "recomposition": lambda: charbonnier(pred.recompose(hard=False), given["image"]),
        "shadow_smooth": lambda: smoothness(pred.shadow),
        "light_smooth": lambda: smoothness(light),
        "highlight": lambda: sparsity(pred.highlight),
        "exclusion": lambda: exclusion(pred.shadow, light),
    }


def weighted(terms: Mapping[str, Callable[[], Tensor]], defaults: Mapping[str, float],
             weights: Mapping[str, float]) -> dict[str, Tensor]:
    """The terms times their weights, and their sum; a term of weight 0 is not computed."""
    if unknown := set(weights) - set(defaults):
        raise ValueError(f"no term is called {', '.join(sorted(unknown))}; there are {', '.join(defaults)}")
    found = {name: weight * terms[name]() for name, weight in {**defaults, **weights}.items() if weight}
    return {"loss": sum(found.values()), **found}


def require(batch: Mapping[str, Tensor], *names: str) -> dict[str, Tensor]:
    """These fields of a batch, at least float32."""
    if missing := [name for name in names if name not in batch]:
        raise ValueError(f"the loss needs fields that the batch lacks: {', '.join(missing)}")
    return {name: wide(batch[name]) for name in names}


def widened(pred: Prediction) -> Prediction:
    """The prediction in float32 or wider: transfer curves and logarithms suffer in bfloat16."""
    if not hasattr(pred, "_asdict"):
        return pred
    return pred._replace(**{name: wide(value) for name, value in pred._asdict().items() if value is not None})
