"""The part of a picture where its object is."""

import torch
from torch import Tensor


def visible_box(mask: Tensor) -> Tensor:
    """Smallest box around the pixels of a mask, as far as the picture shows them.

    Args:
        mask: (B, 1, H, W); an object's pixels are above 0.5.

    Returns (B, 4) left, top, right, bottom, in pixels from the upper left corner; NaN for an empty mask.
    """
    inside = mask[:, 0] > 0.5
    sides = []
    for length, marks in ((mask.shape[3], inside.any(1)), (mask.shape[2], inside.any(2))):
        place = torch.arange(length, device=mask.device, dtype=torch.float32)
        sides += [torch.where(marks, place, length).amin(1), torch.where(marks, place + 1, 0).amax(1)]
    left, right, top, bottom = sides
    box = torch.stack((left, top, right, bottom), dim=1)
    return torch.where(inside.flatten(1).any(1, keepdim=True), box, torch.nan)
