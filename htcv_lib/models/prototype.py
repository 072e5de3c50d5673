"""The mean image of each class: it always shows the given label and keeps nothing of the image."""

from typing import Self

import torch
from torch import Tensor, nn


class ClassPrototypes(nn.Module):
    """One picture a class; evaluated like a `LabelVAE`."""

    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("prototypes", torch.empty(num_classes, 0))  # (num_classes, C, H, W)

    @torch.no_grad()
    def fit(self, images: Tensor, labels: Tensor) -> Self:
        """Average the images (N, C, H, W) of each label (N,)."""
        counts = labels.bincount(minlength=self.num_classes)
        if len(counts) > self.num_classes or not counts.all():
            raise ValueError(f"{self.num_classes} classes need an image each, got counts {counts.tolist()}")
        self.prototypes = torch.stack([images[labels == c].mean(0) for c in range(self.num_classes)])
        return self

    def reconstruct(self, image: Tensor, label: Tensor) -> Tensor:
        """The prototype of each label (B,): (B, C, H, W)."""
        return self.prototypes[label]

    def relabel(self, image: Tensor, label: Tensor, given: Tensor) -> Tensor:
        """The prototype of each given label (B,): (B, C, H, W)."""
        return self.prototypes[given]
