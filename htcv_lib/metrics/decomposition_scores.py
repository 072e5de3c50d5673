"""All scores of a decomposed sequence, layer by layer: the common judges of every network and baseline.

A prediction is anything with the fields and methods of `Decomposition`, or of `SetDecomposition`, which has a
`highlight` besides. Truth is a batch; what it does not know has no score.
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from htcv_lib.metrics.binary_mask import mask_dice, mask_iou
from htcv_lib.metrics.flip import linear
from htcv_lib.metrics.layer_scores import irradiance_scores, layer_correlation, layer_mae, luminance, mean_where
from htcv_lib.metrics.object_region import ssim_map
from htcv_lib.metrics.precision_recall import average_precision
from htcv_lib.metrics.reconstruction import image_ssim, psnr_of

OCCLUDED = 0.5  # share of a pixel above which it counts as occluded
DIM = 1e-3  # added to luminances before their ratio


class Predicted(Protocol):
    """What is judged; see above."""

    original: Tensor
    light: Tensor
    shadow: Tensor
    occlusion: Tensor
    mask: Tensor

    def relit(self, order: str = "light_last") -> Tensor: ...

    def recompose(self, hard: bool = True, threshold: float = 0.5, order: str = "light_last") -> Tensor: ...


@torch.no_grad()
def score_original(original: Tensor, true_original: Tensor) -> dict[str, Tensor]:
    """Scores of a clean picture alone, also of baselines that find nothing else.

    Args:
        original, true_original: (B, 3, 1, H, W) in [0, 1], H and W at least 11.

    Returns original_psnr in dB (infinite for a perfect picture) and original_ssim, (B,) float64 each.
    """
    pred, target = original[:, :, 0].double().clamp(0, 1), true_original[:, :, 0].double()
    return {"original_psnr": psnr_of((pred - target).square().flatten(1).mean(dim=1)),
            "original_ssim": image_ssim(pred, target)}


@torch.no_grad()
def score_decomposition(pred: Predicted, truth: Mapping[str, Tensor], order: str = "light_last",
                        hard: bool = True) -> dict[str, Tensor]:
    """Every score of every sequence that the truth allows, (B,) float64 each; NaN where a sequence has none.

    With original: `score_original`. With mask: mask_iou, mask_f1 (at one half, over all views of a sequence together),
    mask_auprc (`average_precision`, NaN without occluders). With mask and occlusion: occlusion_mae, the mean absolute
    error of the colour where an occluder is. Always recomposition_psnr and recomposition_ssim, where no occluder is if
    the mask is known, and then occluded_psnr and occluded_ssim where one is.

    Of light, where no occluder is (everywhere, if the mask is unknown): shadow_mae and shadow_correlation with shadow,
    light_mae and light_correlation with light (both for predictions that add their light), irradiance_correlation and
    irradiance_mae with irradiance (see `implied_irradiance`). A correlation is NaN where the truth is flat.

    Args:
        pred: For B sequences; the light may have 1 or 3 channels, a colour is compared channel by channel.
        truth: A batch: image, and what is known of original, mask, occlusion, shadow, light, irradiance.
        order: In which the prediction is composed.
        hard: Cut the mask at one half; otherwise mix by it.

    Higher is better for psnr, ssim, correlation, iou, f1 and auprc; lower for mae.
    """
    image = truth["image"]
    occluded = truth["mask"] > OCCLUDED if "mask" in truth else torch.zeros_like(image[:, :1], dtype=torch.bool)
    scores = score_original(pred.original, truth["original"]) if "original" in truth else {}
    scores |= light_scores(pred, truth, ~occluded, order)
    if "mask" in truth:
        scores |= {"mask_iou": mask_iou(pred.mask, truth["mask"]), "mask_f1": mask_dice(pred.mask, truth["mask"]),
                   "mask_auprc": average_precision(pred.mask, occluded)}
    if "mask" in truth and "occlusion" in truth:
        scores["occlusion_mae"] = layer_mae(pred.occlusion, truth["occlusion"], occluded)
    recomposed = pred.recompose(hard=hard, order=order).double().clamp(0, 1)
    error = (recomposed - image.double()).square()
    similar = views_ssim_map(recomposed, image)
    places = {"recomposition": ~occluded} | ({"occluded": occluded} if "mask" in truth else {})
    for name, where in places.items():
        scores |= {f"{name}_psnr": psnr_of(mean_where(error, where)), f"{name}_ssim": mean_where(similar, where)}
    return scores


def light_scores(pred: Predicted, truth: Mapping[str, Tensor], visible: Tensor, order: str) -> dict[str, Tensor]:
    """The scores of shadow, light and irradiance; see `score_decomposition`. `visible`: (B, 1, T, H, W) bool."""
    scores = {}
    if not hasattr(pred, "highlight"):
        for name in ("shadow", "light"):
            if name in truth:
                scores |= {f"{name}_mae": layer_mae(getattr(pred, name), truth[name], visible),
                           f"{name}_correlation": layer_correlation(getattr(pred, name), truth[name], visible)}
    if "irradiance" in truth and "original" in truth:
        found = irradiance_scores(implied_irradiance(pred, order), truth["irradiance"], truth["original"], visible)
        scores |= {f"irradiance_{name}": values for name, values in found.items()}
    return scores


def implied_irradiance(pred: Predicted, order: str = "light_last") -> Tensor:
    """The light that a prediction lets fall on its clean picture, linear: (B, 3, T, H, W) float64.

    shadow * light, if the prediction says so itself (it has a `highlight`). Otherwise the ratio of luminances of the
    lit and the clean picture, each raised by 0.001, the same in all channels.
    """
    if hasattr(pred, "highlight"):
        return pred.shadow.double() * pred.light.double()
    lit, clean = (luminance(linear(values.double().clamp(0, 1))) for values in (pred.relit(order), pred.original))
    return ((lit + DIM) / (clean + DIM)).expand(-1, 3, -1, -1, -1)


def views_ssim_map(pred: Tensor, target: Tensor) -> Tensor:
    """`ssim_map` of every view: (B, C, T, H, W) in [0, 1], twice -> the same, float64."""
    batch = len(pred)
    maps = ssim_map(*(values.transpose(1, 2).flatten(0, 1) for values in (pred, target)))
    return maps.unflatten(0, (batch, -1)).transpose(1, 2)
