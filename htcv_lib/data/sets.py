"""A split in memory: uint8 tensors and names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class SegmentationSet:
    """Images with one class per pixel; photographs without masks have `masks=None`."""

    images: Tensor  # (N, 3, H, W) uint8
    masks: Tensor | None  # (N, H, W) uint8, index into `classes`
    names: list[str]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: Sequence[int]) -> "SegmentationSet":
        """The items at these positions, in this order."""
        where = torch.as_tensor(indices, dtype=torch.int64, device=self.images.device)
        masks = None if self.masks is None else self.masks[where]
        names = [self.names[i] for i in where.tolist()]
        return replace(self, images=self.images[where], masks=masks, names=names)

    def to(self, device: str | torch.device) -> "SegmentationSet":
        """The same set with its tensors on a device."""
        masks = None if self.masks is None else self.masks.to(device)
        return replace(self, images=self.images.to(device), masks=masks)

    def tensors(self) -> dict[str, Tensor]:
        """What a batch is cut from, by field name."""
        return {"image": self.images} | ({} if self.masks is None else {"mask": self.masks})


@dataclass(frozen=True)
class ImageSet:
    """Images with one class each."""

    images: Tensor  # (N, C, H, W) uint8
    labels: Tensor  # (N,) uint8, index into `classes`
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: Sequence[int]) -> "ImageSet":
        """The items at these positions, in this order."""
        where = torch.as_tensor(indices, dtype=torch.int64, device=self.images.device)
        return replace(self, images=self.images[where], labels=self.labels[where])

    def to(self, device: str | torch.device) -> "ImageSet":
        """The same set with its tensors on a device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """What a batch is cut from, by field name."""
        return {"image": self.images, "label": self.labels}
