"""Composites with the mask of the pasted object and a depth map, in memory; `FieldBatches` cuts batches from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class TripletSet:
    """Image, mask and depth of each picture; everything is kept in 8 bits, a quarter of the memory of floats."""

    images: Tensor  # (N, 3, H, W) uint8, the composite
    mask_levels: Tensor  # (N, 1, H, W) uint8, 255 is all object; levels between are shares of a pixel
    depth_levels: Tensor  # (N, 1, H, W) uint8, 0 is near, 255 is far
    names: list[str]
    sets: list[str] | None = None  # which collection each picture is from, where there are several

    def __len__(self) -> int:
        return len(self.images)

    @property
    def masks(self) -> Tensor:
        """Share of each pixel that is object, made anew: (N, 1, H, W) float32 in [0, 1]; > 0.5 is object."""
        return self.mask_levels.float() / 255

    @property
    def depth(self) -> Tensor:
        """Depth, made anew: (N, 1, H, W) float32 in [0, 1]; 1 is far. No unit: see where the set comes from."""
        return self.depth_levels.float() / 255

    def subset(self, indices: Sequence[int]) -> "TripletSet":
        """The items at these positions, in this order."""
        where = torch.as_tensor(indices, dtype=torch.int64, device=self.images.device)
        chosen = where.tolist()
        sets = None if self.sets is None else [self.sets[i] for i in chosen]
        return replace(self, images=self.images[where], mask_levels=self.mask_levels[where],
                       depth_levels=self.depth_levels[where], names=[self.names[i] for i in chosen], sets=sets)

    def of(self, collection: str) -> "TripletSet":
        """The pictures of one collection, for example "a"; ValueError if there are none."""
        where = [i for i, name in enumerate(self.sets or ()) if name == collection]
        if not where:
            raise ValueError(f"no pictures of {collection!r}; there are {', '.join(sorted(set(self.sets or ())))}")
        return self.subset(where)

    def to(self, device: str | torch.device) -> "TripletSet":
        """The same set with its tensors on a device."""
        return replace(self, images=self.images.to(device), mask_levels=self.mask_levels.to(device),
                       depth_levels=self.depth_levels.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """What a batch is cut from, by field name, uint8; there is no `background`: these sets come without."""
        return {"image": self.images, "mask": self.mask_levels, "depth": self.depth_levels}
