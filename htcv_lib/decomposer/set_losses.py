"""The losses of the decomposition done well: soft masks, light that multiplies, priors on layers."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.decomposer.layers import Decomposition, Layers, SetDecomposition
from htcv_lib.decomposer.losses import as_pictures, charbonnier, distance, floats, wide
from htcv_lib.image import linear
from htcv_lib.losses.masks import bce_map, mask_bce_loss, mask_dice_loss

# What is known of layers before anything is seen: priors that break the ambiguity of a decomposition.
#
# Maps are (B, C, T, H, W), or pictures (B, C, H, W). Every prior is a mean, so its weight means the same at any size.

LEAST_GRADIENT = 1e-6  # a flat layer has no scale to be brought to that of the other


def smoothness(values: Tensor, guide: Tensor | None = None, edge: float = 10.0) -> Tensor:
    r"""Total variation (Rudin et al., 1992, doi:10.1016/0167-2789(92)90242-F), along columns plus along rows.

    .. math:: \frac{1}{n} \sum_i w_i |\partial v_i|, \quad w_i = e^{-\beta \overline{|\partial g_i|}}

    Args:
        values: (B, C, T, H, W), H and W at least 2.
        guide: (B, G, T or 1, H, W). Where it has edges, `values` may have some too (Godard et al., 2017,
            arXiv:1609.03677, with beta 1): right for a mask, whose edges are the view's, wrong for a shadow, which
            would be invited to copy the painting. None: w is 1.
        edge: Beta; at 10, a step of 0.1 lowers the price to 37 %.

    Returns a scalar >= 0; 0 is a constant map.
    """
    return sum(directional_variation(values, guide, edge, dim) for dim in (-2, -1))


def sparsity(values: Tensor) -> Tensor:
    """Mean absolute value, any shape, a scalar >= 0: most values should be exactly 0."""
    return wide(values).abs().mean()


def exclusion(first: Tensor, second: Tensor, scales: int = 3) -> Tensor:
    r"""Edges of two layers at the same place, after the exclusion loss of Zhang et al. (2018, arXiv:1806.05376).

    .. math:: \frac{1}{2K} \sum_{k, \partial}
        \overline{\tanh(\lambda_1 |\partial a^k|) \tanh(\lambda_2 |\partial b^k|)},
        \quad \lambda_1^2 = \lambda_2^{-2} = \overline{|\partial b^k|} \, / \, \overline{|\partial a^k|}

    Both layers are halved from scale to scale. Lambda brings the two to one scale, so that a layer cannot evade the
    price by becoming faint; no gradient flows through it. Unlike the paper: means in place of Frobenius norms, so
    that the value lies below 1 at any size, and means of 2 x 2 pixels in place of bilinear sampling.

    Args:
        first, second: (B, C, T, H, W), one of the channel counts may be 1; H and W at least `2 ** scales`.

    Returns a scalar in [0, 1); 0 where no edge of one lies on an edge of the other.
    """
    if min(*first.shape[-2:], *second.shape[-2:]) < 2**scales:
        raise ValueError(f"{scales} scales need sides of at least {2**scales}, got {tuple(first.shape)}")
    first, second, shared = as_pictures(wide(first)), as_pictures(wide(second)), []
    for scale in range(scales):
        if scale:
            first, second = F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)
        for dim in (-2, -1):
            a, b = first.diff(dim=dim).abs(), second.diff(dim=dim).abs()
            ratio = b.detach().mean().clamp_min(LEAST_GRADIENT) / a.detach().mean().clamp_min(LEAST_GRADIENT)
            shared.append((torch.tanh(ratio.sqrt() * a) * torch.tanh(b / ratio.sqrt())).mean())
    return torch.stack(shared).mean()


def mask_prior(mask: Tensor, entropy_weight: float = 0.01, area_weight: float = 0.15) -> dict[str, Tensor]:
    r"""A mask should be decided and small: binary entropy (in nats, at most 0.69) and area, both means.

    .. math:: -\frac{\lambda_e}{n} \sum_i m_i \ln m_i + (1 - m_i) \ln(1 - m_i) + \frac{\lambda_a}{n} \sum_i m_i

    Beside a mean absolute error of the recomposition the area's weight is a threshold: a pixel is worth masking where
    that lowers its error by more.

    Args:
        mask: (B, 1, T, H, W) in [0, 1].

    Returns the total under "loss", and the weighted terms "entropy" and "area" that sum to it. 0 is an empty mask.
    """
    mask = wide(mask)
    entropy, area = entropy_weight * bce_map(mask, mask).mean(), area_weight * mask.mean()
    return {"loss": entropy + area, "entropy": entropy, "area": area}


def directional_variation(values: Tensor, guide: Tensor | None, edge: float, dim: int) -> Tensor:
    """Mean difference of neighbours along one dimension, less where the guide has an edge."""
    steps = wide(values).diff(dim=dim).abs()
    if guide is not None:
        steps = steps * torch.exp(-edge * wide(guide).diff(dim=dim).abs().mean(dim=1, keepdim=True))
    return steps.mean()


# The losses of the decomposition done well, of a `SetDecomposition`.

DARK = 0.05  # added to light before its logarithm: below, a pixel shows next to nothing
PRIORS = MappingProxyType({"shadow_smooth": 0.01, "light_smooth": 0.1, "highlight": 0.02, "exclusion": 0.01})
LABELLED = MappingProxyType({
    "original": 1.0, "structure": 0.1, "recomposition": 1.0,
    "irradiance": 0.2, "mask_bce": 0.1, "mask_dice": 0.1, "occlusion": 0.5, **PRIORS,
})
UNLABELLED = MappingProxyType({
    "original": 1.0, "structure": 0.1, "recomposition": 1.0, "entropy": 0.01, "area": 0.15, **PRIORS,
})


def labelled_loss(pred: SetDecomposition, batch: Mapping[str, Tensor], **weights: float) -> dict[str, Tensor]:
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
    pred, given = floats(pred), require(batch, "image", "original", "irradiance", "mask", "occlusion")
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


def unlabelled_loss(pred: SetDecomposition, batch: Mapping[str, Tensor], **weights: float) -> dict[str, Tensor]:
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
    pred, given = floats(pred), require(batch, "image", "original")
    terms = common_terms(pred, given) | {
        "entropy": lambda: mask_prior(pred.mask, entropy_weight=1)["entropy"],
        "area": lambda: mask_prior(pred.mask, area_weight=1)["area"],
    }
    return weighted(terms, UNLABELLED, weights)


def picture_terms(pred: Layers, given: Mapping[str, Tensor]) -> dict[str, Callable[[], Tensor]]:
    """The terms of the clean picture and of the views, softly recomposed; not yet computed."""
    return {
        "original": lambda: charbonnier(pred.original, given["original"]),
        "structure": lambda: distance("ssim")(pred.original, given["original"]),
        "recomposition": lambda: charbonnier(pred.recompose(hard=False), given["image"]),
    }


def common_terms(pred: SetDecomposition, given: Mapping[str, Tensor]) -> dict[str, Callable[[], Tensor]]:
    """The terms that need no labels of components, not yet computed."""
    light = (pred.light + DARK).log()
    return picture_terms(pred, given) | {
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


# The loss with every layer known, for the reports' own formula: light is added, shadow multiplies.

MATCHED = MappingProxyType({"original": 1.0, "structure": 0.1, "recomposition": 1.0, "shadow": 1.0, "light": 1.0,
                            "mask_bce": 0.1, "mask_dice": 0.1, "occlusion": 0.5})


def matched_loss(pred: Decomposition, batch: Mapping[str, Tensor], **weights: float) -> dict[str, Tensor]:
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
    pred = floats(pred)
    given = require(batch, "image", "original", "shadow", "light", "mask", "occlusion")
    mask = given["mask"]
    terms = picture_terms(pred, given) | {
        "shadow": lambda: charbonnier(pred.shadow, given["shadow"], weight=1 - mask),
        "light": lambda: charbonnier(pred.light, given["light"], weight=1 - mask),
        "mask_bce": lambda: F.binary_cross_entropy_with_logits(pred.mask_logits, mask),
        "mask_dice": lambda: mask_dice_loss(pred.mask, mask),
        "occlusion": lambda: charbonnier(pred.occlusion, given["occlusion"], weight=mask),
    }
    return weighted(terms, MATCHED, weights)
