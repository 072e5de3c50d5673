"""Scores of a network that is trained in stages: only of what has been trained, and of what its masks are like."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from htcv_lib.metrics.binary_mask import mask_iou
from htcv_lib.metrics.decomposition_scores import Predicted, views_ssim_map
from htcv_lib.metrics.flip import linear
from htcv_lib.metrics.layer_scores import layer_correlation, luminance
from htcv_lib.metrics.reconstruction import psnr_of
from htcv_lib.training.decomposition_scores import Predict, gathered, mean_scores, predictions
from htcv_lib.training.phase import Batch

CLEAN = ("original_",)
LIT = (*CLEAN, "shadow_", "light_", "irradiance_")
MASKED = (*LIT, "mask_")
JUDGED = {"original": CLEAN, "lighting": LIT, "mask": MASKED, "joint": MASKED}  # of the stage rgb, everything


def scores_of_stage(stage: str, scores: Mapping[str, float]) -> dict[str, float]:
    """The scores of layers whose heads were trained once a stage is over.

    The joint stage trains no colours of occluders, which a recomposition would show.

    Args:
        stage: "original", "lighting", "mask", "rgb" or "joint", in the order of the chain.
        scores: As from `evaluate_decomposition`.
    """
    return {name: value for name, value in scores.items() if name.startswith(JUDGED.get(stage, ("",)))}


def describe_masks(pred: Predicted, fields: Mapping[str, Tensor]) -> dict[str, float]:
    """What an occlusion branch has become; means over sequences.

    Args:
        pred: Of a whole set, mask (N, 1, T, H, W) and occlusion (N, 3, T, H, W), on the CPU.
        fields: The set's tensors in the same order: image (N, 3, T, H, W) and pseudo_mask (N, 1, T, H, W), uint8 or
            floats in [0, 1].

    Returns mask_share, the share of pixels whose mask exceeds one half; mask_label_iou, its overlap with the
    pseudo-label; and occlusion_copy_psnr in dB, the colours against the views over all pixels: an autoencoder copies
    what it sees.
    """
    image, label = (in_unit(fields[name].cpu()) for name in ("image", "pseudo_mask"))
    error = (pred.occlusion - image).double().square().flatten(1).mean(dim=1)
    return mean_scores({"mask_share": (pred.mask > 0.5).double().flatten(1).mean(dim=1),
                        "mask_label_iou": mask_iou(pred.mask, label), "occlusion_copy_psnr": psnr_of(error)})


def evaluate_views(model: Predict, batches: Iterable[Batch], amp: bool | None = None) -> dict[str, float]:
    """recomposition_psnr in dB and recomposition_ssim of a network that draws the views themselves, means over
    sequences."""
    return mean_scores(gathered(
        {"recomposition_psnr": psnr_of((drawn - batch["image"]).double().square().flatten(1).mean(dim=1)),
         "recomposition_ssim": views_ssim_map(drawn, batch["image"]).flatten(1).mean(dim=1)}
        for batch, drawn in predictions(model, batches, amp)))


def shadow_likeness(pred: Predicted, originals: Tensor) -> dict[str, float]:
    """shadow_picture_correlation: of predicted shadows with the luminance of the clean picture they fall on, over all
    pixels and views of a sequence, mean over sequences. A true shadow does not know what it falls on.

    Args:
        pred: Of a whole set, shadow (N, 1, T, H, W), on the CPU.
        originals: (N, 3, 1, H, W), uint8 or floats in [0, 1].
    """
    grey = luminance(linear(in_unit(originals.cpu()).double())).expand_as(pred.shadow)
    return mean_scores({"shadow_picture_correlation":
                        layer_correlation(pred.shadow, grey, torch.ones_like(grey, dtype=torch.bool))})


def in_unit(values: Tensor) -> Tensor:
    """uint8 as float32 in [0, 1]; floats as they are."""
    return values.float() / 255 if values.dtype == torch.uint8 else values
