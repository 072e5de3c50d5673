"""Leakage: how much of each true layer ends up in each predicted one, in units of the picture."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from htcv_lib.decomposer.layers import Decomposition, Layers, check_order
from htcv_lib.image import linear, srgb

PREDICTED = ("shadow", "light", "occlusion", "original")  # columns; the last is what was painted into the clean picture

# What each layer does to a picture, in units of the picture: the common measure of predicted and true layers. The
# shadow of a prediction with a field `highlight` multiplies linear values, otherwise stored ones. Effects add up: clean
# picture plus all effects is the view.


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
    shaded = srgb((linear(original) * shadow).clamp(0, 1)) if hasattr(pred, "highlight") else original * shadow
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
    check_order(order)
    original = truth["original"].double()
    if "shadow" in truth and "light" in truth:
        shadow, light = truth["shadow"].double(), truth["light"].double()
        relit = Decomposition(original, light, shadow, None, None).relit(order)
        effects = {"shadow": original * shadow - original, "light": relit - original * shadow}
    elif "irradiance" in truth:
        relit = srgb((linear(original) * truth["irradiance"].double()).clamp(0, 1))
        effects = {"irradiance": relit - original}
    else:
        raise ValueError("effects need a truth with shadow and light, or with irradiance")
    if "mask" in truth and "occlusion" in truth:
        effects["occlusion"] = truth["mask"].double() * (truth["occlusion"].double() - relit)
    return effects


@dataclass(frozen=True)
class Leakage:
    """Sums of products of effects over pixels, views and sequences: e_j of true layer j, p_k of predicted layer k."""

    true: tuple[str, ...]  # J names, the rows
    predicted: tuple[str, ...]  # K names, the columns
    products: Tensor  # (J, K) float64, sums of e_j p_k
    overlaps: Tensor  # (J, J) float64, sums of e_i e_j

    @property
    def matrix(self) -> Tensor:
        r"""Leakage as it meets the eye, (J, K) float64: :math:`\langle e_j, p_k \rangle / \langle e_j, e_j \rangle`.

        Where the true effects do not overlap, 1 in the column of the row's own name and 0 elsewhere is perfect, and a
        row adds up to 1 when the recomposition is exact. Where they do (an occluder hides a shadow, or a lamp lights
        it) even the truth has entries off the diagonal: see `unmixed`. NaN in the row of an effect that never occurs.
        """
        energy = self.overlaps.diagonal()
        return self.products / energy.masked_fill(energy <= 0, torch.nan)[:, None]

    @property
    def unmixed(self) -> Tensor:
        r"""Leakage whose rows do not see each other's effects, (J, K) float64.

        .. math:: A = G^{-1} C, \quad G_{ij} = \langle e_i, e_j \rangle, \quad C_{jk} = \langle e_j, p_k \rangle

        These are the least-squares coefficients of :math:`p_k \approx \sum_j A_{jk} e_j`: a unit of true effect j, the
        others unchanged, appears as A_jk in the predicted layer k. The truth has the identity and rows of an exact
        recomposition add up to 1, whatever overlaps. Equal to `matrix` where nothing does. An effect that never occurs,
        or cannot be told from another, has NaN in its row.
        """
        energy = self.overlaps.diagonal()
        there = energy > 0
        result = torch.full_like(self.products, torch.nan)
        if there.any():
            scale = energy[there].sqrt()
            gram = self.overlaps[there][:, there] / (scale[:, None] * scale)
            if torch.linalg.eigvalsh(gram)[0] > 1e-9:
                result[there] = torch.linalg.solve(gram, self.products[there] / scale[:, None]) / scale[:, None]
        return result

    def entries(self, unmix: bool = True) -> dict[str, float]:
        """The matrix as numbers for a record: "true>predicted" -> entry."""
        values = (self.unmixed if unmix else self.matrix).tolist()
        return {f"{true}>{predicted}": value for true, row in zip(self.true, values, strict=True)
                for predicted, value in zip(self.predicted, row, strict=True)}


def leakage_matrix(pred: Layers, truth: Mapping[str, Tensor], order: str = "light_last",
                   true_order: str | None = None) -> Leakage:
    """Leakage of one batch; of several, add products and overlaps before reading `matrix` or `unmixed`.

    Rows: shadow, light and occlusion, or irradiance and occlusion, as the truth knows them. Columns: `PREDICTED`.

    Args:
        truth: A batch, see `true_effects`.
        order: In which the prediction is composed.
        true_order: In which the data were; by default the same.
    """
    true = true_effects(truth, true_order or order)
    found = predicted_effects(pred, truth["original"], order)
    rows = torch.stack([effect.flatten() for effect in true.values()])
    products = rows @ torch.stack([found[name].flatten() for name in PREDICTED]).T
    return Leakage(tuple(true), PREDICTED, products, rows @ rows.T)
