"""Mask and depth without looking at the picture: what every network has to beat.

Each is fitted once to training batches with `mask` and `depth` (B, 1, H, W), and returns `MaskDepth` for pictures
(B, C, H, W) of the same size, `raw` being what it returns.
"""

from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor, nn

from htcv_lib.models.mask_depth_output import MaskDepth


class MeanMaskDepth(nn.Module):
    """The same mask and depth for every picture: the means of those seen, the best constants for the squared error."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.empty(0))  # (2, H, W): mask, depth

    @torch.no_grad()
    def fit(self, batches: Iterable[dict[str, Tensor]]) -> Self:
        """Average over all batches."""
        total, count = 0, 0
        for batch in batches:
            both = torch.cat([batch["mask"], batch["depth"]], dim=1)
            total, count = total + both.double().sum(0), count + len(both)
        self.mean = (total / count).float()
        return self

    def forward(self, image: Tensor) -> MaskDepth:
        """(B, C, H, W), of which only B counts."""
        raw = self.prediction().expand(len(image), -1, -1, -1)
        return MaskDepth(raw[:, :1], raw[:, 1:], raw)

    def prediction(self) -> Tensor:
        """(2, H, W): mask and depth."""
        return self.mean


class EmptyMask(MeanMaskDepth):
    """No object anywhere, and everything at the mean depth."""

    def prediction(self) -> Tensor:
        """(2, H, W): zeros, and one number."""
        mask, depth = self.mean
        return torch.stack([torch.zeros_like(mask), depth.mean().expand_as(depth)])


class RowDepth(MeanMaskDepth):
    """No object, and for each row of the picture its mean depth: what "lower is nearer" is worth."""

    def prediction(self) -> Tensor:
        """(2, H, W): zeros, and equal numbers along every row."""
        mask, depth = self.mean
        return torch.stack([torch.zeros_like(mask), depth.mean(1, keepdim=True).expand_as(depth)])
