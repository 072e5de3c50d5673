"""What a collapse looks like: pictures without contrast, and masks that have decided everywhere alike."""

import torch
from torch import Tensor

GREY = 0.02  # standard deviation below which a picture shows nothing: 5 of 255 grey levels
DECIDED = 0.01  # distance of a mask's mean from 0 or 1 below which it is the same everywhere
LAYERS = ("original", "light", "shadow", "occlusion")


@torch.no_grad()
def constancy(pred: Tensor | tuple) -> dict[str, Tensor]:
    """How constant a prediction is, one number a sequence, (B,) float64.

    Args:
        pred: (B, C, T, H, W), the frames of a many-to-many network, or anything with the fields of `Decomposition`.

    Returns, for frames: contrast (standard deviation over the pixels of a frame, mean over channels and frames),
    grey_frames (share of the frames in which no channel has a contrast of 0.02) and best_contrast (of the frame that
    has most). For a decomposition: original_contrast, light_contrast, shadow_contrast, occlusion_contrast;
    grey_original (1 or 0); grey_occlusion (share of views whose occlusion colours are grey); light_mean, shadow_mean,
    mask_mean; and mask_saturated, 1 where the mask's mean is within 0.01 of 0 or 1. An empty mask is right where
    nothing is occluded: compare with the truth.
    """
    if isinstance(pred, Tensor):
        spread = contrast(pred)
        return {"contrast": spread.mean(dim=(1, 2)), "grey_frames": grey_share(pred),
                "best_contrast": spread.mean(dim=1).amax(dim=1)}
    found = {f"{name}_contrast": contrast(getattr(pred, name)).mean(dim=(1, 2)) for name in LAYERS}
    found |= {f"grey_{name}": grey_share(getattr(pred, name)) for name in ("original", "occlusion")}
    found |= {f"{name}_mean": getattr(pred, name).double().flatten(1).mean(dim=1)
              for name in ("light", "shadow", "mask")}
    mean = found["mask_mean"]
    return found | {"mask_saturated": ((mean < DECIDED) | (mean > 1 - DECIDED)).double()}


def contrast(frames: Tensor) -> Tensor:
    """Standard deviation over the pixels of each channel of each frame: (B, C, T, H, W) -> (B, C, T) float64."""
    return frames.double().flatten(3).std(dim=3, correction=0)


def grey_share(frames: Tensor) -> Tensor:
    """Share of the frames without contrast in any channel: (B, C, T, H, W) -> (B,) float64."""
    return (contrast(frames) < GREY).all(dim=1).double().mean(dim=1)
