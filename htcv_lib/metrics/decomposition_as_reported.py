"""Scores as the evaluation of the report on decomposition computed them, so that its four numbers can be compared.

Structural similarity by scikit-image's defaults of 8-bit grey pictures, mean squared error of their colours in grey
levels squared (65025 is black for white; the PSNR in dB is 48.13 - 10 log10 of it).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from htcv_lib.metrics.as_reported import flat_ssim
from htcv_lib.metrics.decomposition_scores import Predicted
from htcv_lib.metrics.edges import grey, to_bytes

WHITE = 255.0


@torch.no_grad()
def score_as_reported(pred: Predicted, truth: Mapping[str, Tensor], order: str = "light_last") -> dict[str, Tensor]:
    """The report's scores of each sequence, (B,) float64.

    original_ssim_reported and original_mse_reported: of the clean picture. With a mask also relit_ssim_reported and
    relit_mse_reported: of the lit picture against the views, mean over views, every pixel with any share of an occluder
    set to black in both. Black pixels agree: both flatter, the more, the more is occluded. relit_psnr_outside is the
    PSNR in dB of the same errors over the other pixels alone.

    Args:
        pred: For B sequences; `original` and `relit` are read.
        truth: A batch: image (B, 3, T, H, W), original (B, 3, 1, H, W), and, if known, mask (B, 1, T, H, W).

    The code blackens where the mask's file is exactly white, and truncates to 8 bits where this rounds.
    """
    scores = reported(pred.original, truth["original"], "original")
    if "mask" in truth:
        free = truth["mask"] == 0
        relit, image = (torch.where(free, values, 0) for values in (pred.relit(order), truth["image"]))
        scores |= reported(relit, image, "relit")
        share = free.double().flatten(1).mean(dim=1)
        scores["relit_psnr_outside"] = -10 * (scores["relit_mse_reported"] / share / WHITE**2).log10()
    return scores


def reported(pred: Tensor, target: Tensor, name: str) -> dict[str, Tensor]:
    """Both scores of (B, 3, T, H, W), mean over views."""
    first, second = (to_bytes(values.transpose(1, 2).flatten(0, 1)) for values in (pred, target))
    similar = flat_ssim(grey(first)[:, None], grey(second)[:, None], data_range=WHITE)
    squared = (first - second).double().square().flatten(1).mean(dim=1)
    return {f"{name}_{score}_reported": values.unflatten(0, (len(pred), -1)).mean(dim=1)
            for score, values in (("ssim", similar), ("mse", squared))}
