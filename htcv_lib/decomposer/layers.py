"""What networks that decompose a sequence of views return, and how the layers make the views again.

`Decomposition` is the formula of "Tackling Decomposition Learning": light is grey and added, shadow is grey and
multiplied, both to stored values, and the mask cuts hard. A hard cut passes no gradient to the mask, and the report and
its code differ in what comes first, light or shadow; both orders are here, and a soft mask beside the hard one.
`SetDecomposition` composes as a camera does: coloured light multiplies linear values, and the mask mixes.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from htcv_lib.image import linear, srgb

ORDERS = ("light_last", "light_first")


def check_order(order: str) -> None:
    """Errors: ValueError for an order of light and shadow that does not exist."""
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {order!r}")


class Decomposition(NamedTuple):
    """A sequence of T views split into the reports' layers; every value but the logits in [0, 1]."""

    original: Tensor  # (B, 3, 1, H, W)  the clean picture, shared by all views
    light: Tensor  # (B, 1, T, H, W)  added; 3 channels where it has a colour
    shadow: Tensor  # (B, 1, T, H, W)  multiplied; 1 is unshadowed
    occlusion: Tensor  # (B, 3, T, H, W)  colour of what stands in front
    mask: Tensor  # (B, 1, T, H, W)  1 is occluded
    mask_logits: Tensor | None = None  # (B, 1, T, H, W)  the mask before its sigmoid

    def relit(self, order: str = "light_last") -> Tensor:
        """The clean picture under each view's light and shadow, (B, 3, T, H, W); up to 2, nothing is clipped.

        Args:
            order: "light_last" is original * shadow + light, as in the reports' model; "light_first" is
                (original + light) * shadow, as in their pseudo-labels.

        Errors: ValueError for another order.
        """
        check_order(order)
        if order == "light_first":
            return (self.original + self.light) * self.shadow
        return self.original * self.shadow + self.light

    def recompose(self, hard: bool = True, threshold: float = 0.5, order: str = "light_last") -> Tensor:
        """The views these layers explain, (B, 3, T, H, W).

        Args:
            hard: Cut at the threshold, as the reports do: no gradient reaches the mask. Otherwise mix by the mask.
            threshold: From this value of the mask on, a pixel is occluded; for a hard cut only.
            order: See `relit`.
        """
        return composed(self.relit(order), self.occlusion, self.mask, hard, threshold)


class SetDecomposition(NamedTuple):
    """A set of T views split into layers of light; the fields of `Decomposition`, and highlights."""

    original: Tensor  # (B, 3, 1, H, W)  in [0, 1], sRGB
    light: Tensor  # (B, 3, T, H, W)  >= 0, multiplies linear values; 1 is the light of the clean picture
    shadow: Tensor  # (B, 1, T, H, W)  in [0, 1], multiplies linear values; 1 is unshadowed
    occlusion: Tensor  # (B, 3, T, H, W)  in [0, 1], sRGB
    mask: Tensor  # (B, 1, T, H, W)  in [0, 1]; 1 is occluded
    mask_logits: Tensor | None  # (B, 1, T, H, W)  the mask before its sigmoid
    highlight: Tensor  # (B, 1, T, H, W)  >= 0, added to linear values

    def irradiance(self) -> Tensor:
        """shadow * light, (B, 3, T, H, W), linear: what truth knows where it does not know the two apart."""
        return self.shadow * self.light

    def relit(self, order: str = "light_last") -> Tensor:
        """srgb(clip(linear(original) * shadow * light + highlight)), (B, 3, T, H, W) in [0, 1].

        A pixel that is clipped passes no gradient. `order` is taken only so that both decompositions are called alike:
        factors have no order.
        """
        return srgb((linear(self.original) * self.irradiance() + self.highlight).clamp(0, 1))

    def recompose(self, hard: bool = False, threshold: float = 0.5, order: str = "light_last") -> Tensor:
        """The views these layers explain, (B, 3, T, H, W); as in `Decomposition`, but mixed unless `hard`."""
        return composed(self.relit(order), self.occlusion, self.mask, hard, threshold)


Layers = Decomposition | SetDecomposition


def composed(behind: Tensor, front: Tensor, mask: Tensor, hard: bool, threshold: float = 0.5) -> Tensor:
    """`front` where the mask is, `behind` elsewhere; (B, 3, T, H, W), mask (B, 1, T, H, W)."""
    if hard:
        return torch.where(mask < threshold, behind, front)
    return torch.lerp(behind, front, mask.expand_as(front))
