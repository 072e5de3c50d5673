"""Pictures made without learning anything of a scene: what every network has to beat.

On pictures that are mostly black they score well wherever the background counts.
"""

from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor, nn

from htcv_lib.image import in_unit, to_levels


class AllBlack(nn.Module):
    """Nothing is there."""

    def pictures(self, batch: dict[str, Tensor]) -> Tensor:
        """Zeros of the shape of `batch["image"]` (B, 3, H, W)."""
        return torch.zeros_like(batch["image"])


class MeanImage(nn.Module):
    """The same picture for every scene: the mean of those seen, the best constant for the squared error."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.empty(0))  # (3, H, W)

    @torch.no_grad()
    def fit(self, batches: Iterable[dict[str, Tensor]]) -> Self:
        """Average `image` (B, 3, H, W) over all batches."""
        total, count = 0, 0
        for batch in batches:
            total, count = total + batch["image"].double().sum(0), count + len(batch["image"])
        self.mean = (total / count).to(batch["image"].dtype)
        return self

    def pictures(self, batch: dict[str, Tensor]) -> Tensor:
        """The mean for each of `batch["image"]` (B, 3, H, W)."""
        return self.mean.expand_as(batch["image"])


class NearestScene(nn.Module):
    """The picture of the most similar scene seen: Euclidean distance of the ten encoded numbers.

    Pictures are kept in 8 bits, which loses nothing of quantised ones.
    """

    def __init__(self):
        super().__init__()
        self.register_buffer("inputs", torch.empty(0))  # (N, 10)
        self.register_buffer("images", torch.empty(0, dtype=torch.uint8))  # (N, 3, H, W)

    @torch.no_grad()
    def fit(self, batches: Iterable[dict[str, Tensor]]) -> Self:
        """Remember `input` (B, 10) and `image` (B, 3, H, W) in [0, 1] of all batches."""
        kept = [(batch["input"], to_levels(batch["image"])) for batch in batches]
        self.inputs, self.images = (torch.cat(part) for part in zip(*kept, strict=True))
        return self

    def nearest(self, input: Tensor) -> Tensor:
        """Which scene seen is nearest to each of (B, 10): (B,) int64."""
        return torch.cdist(input, self.inputs, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)

    def pictures(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, 3, H, W) in [0, 1] for `batch["input"]` (B, 10)."""
        return in_unit(self.images[self.nearest(batch["input"])])
