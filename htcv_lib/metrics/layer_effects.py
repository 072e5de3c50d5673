"""What each layer does to a picture, in units of the picture: the common measure of predicted and true layers.

A prediction is anything with the fields original (B, 3, 1, H, W), shadow (B, 1, T, H, W), occlusion (B, 3, T, H, W) and
mask (B, 1, T, H, W), and the method `relit(order)`, (B, 3, T, H, W); with a field `highlight` its shadow multiplies
linear values, otherwise stored ones. Effects add up: clean picture plus all effects is the view.
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from htcv_lib.metrics.flip import linear

ORDERS = ("light_last", "light_first")


class Layers(Protocol):
    """What is judged; see above."""

    original: Tensor
    shadow: Tensor
    occlusion: Tensor
    mask: Tensor

    def relit(self, order: str = "light_last") -> Tensor: ...


def predicted_effects(pred: Layers, true_original: Tensor, order: str = "light_last") -> dict[str, Tensor]:
    """The effects of predicted layers, (B, 3, T, H, W) float64 each.

    original: the predicted clean picture less the true one, an effect that should be 0. shadow: original * shadow -
    original. light: what the lit picture is above that, so colour and highlights too, and in either order. occlusion:
    mask * (occlusion - lit picture), the mask soft as it is. Their sum: the soft recomposition less the true original.

    Args:
        true_original: (B, 3, 1, H, W) in [0, 1].
        order: Of `pred.relit`.
    """
    original, shadow, occlusion, mask = (getattr(pred, name).double()
                                         for name in ("original", "shadow", "occlusion", "mask"))
    relit = pred.relit(order).double()
    shaded = encoded(linear(original) * shadow) if hasattr(pred, "highlight") else original * shadow
    return {"original": (original - true_original.double()).expand_as(relit), "shadow": shaded - original,
            "light": relit - shaded, "occlusion": mask * (occlusion - relit)}


def true_effects(truth: Mapping[str, Tensor], order: str = "light_last") -> dict[str, Tensor]:
    """The effects of true layers, as far as a batch knows them, (B, 3, T, H, W) float64 each.

    With shadow and light: "shadow" and "light" as in `predicted_effects`. With irradiance: one effect "irradiance", the
    clean picture under it less the clean picture, clipped and encoded as a camera does. With mask and occlusion as well
    "occlusion". Their sum is the view less the original, but for highlights and noise, which no truth knows.

    Args:
        truth: A batch: original (B, 3, 1, H, W), and shadow and light (B, 1, T, H, W), or irradiance (B, 3, T, H, W).
        order: In which the data were made: "light_last" is original * shadow + light, "light_first" is
            (original + light) * shadow.

    Errors: ValueError where neither shadow and light nor irradiance are known, and for another order.
    """
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {order!r}")
    original = truth["original"].double()
    if "shadow" in truth and "light" in truth:
        shadow, light = truth["shadow"].double(), truth["light"].double()
        relit = original * shadow + (light if order == "light_last" else light * shadow)
        effects = {"shadow": original * shadow - original, "light": relit - original * shadow}
    elif "irradiance" in truth:
        relit = encoded(linear(original) * truth["irradiance"].double())
        effects = {"irradiance": relit - original}
    else:
        raise ValueError("effects need a truth with shadow and light, or with irradiance")
    if "mask" in truth and "occlusion" in truth:
        effects["occlusion"] = truth["mask"].double() * (truth["occlusion"].double() - relit)
    return effects


def encoded(light: Tensor) -> Tensor:
    """The sRGB values a camera stores of linear light, clipped to [0, 1] (IEC 61966-2-1); any shape."""
    light = light.clamp(0, 1)
    return torch.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
