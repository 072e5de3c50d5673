"""Fully connected encoder and decoder for small pictures: the VAE done well on MNIST."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualLayer(nn.Module):
    """`h + f(h)` with f = layer norm, linear, GELU, linear: (B, width) -> (B, width)."""

    def __init__(self, width: int):
        super().__init__()
        self.change = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, h: Tensor) -> Tensor:
        return h + self.change(h)


class DenseEncoder(nn.Module):
    """A linear layer over all pixels, residual layers, layer norm and GELU.

    Shapes:
        image:  (B, C, H, W), in normalised units, C * H * W = `pixels`
        return: (B, width) features
    """

    def __init__(self, pixels: int = 784, width: int = 256, num_blocks: int = 1):
        super().__init__()
        self.stem = nn.Linear(pixels, width)
        self.blocks = nn.Sequential(*(ResidualLayer(width) for _ in range(num_blocks)))
        self.norm = nn.LayerNorm(width)

    def forward(self, image: Tensor) -> Tensor:
        return F.gelu(self.norm(self.blocks(self.stem(image.flatten(1)))))


class DenseDecoder(nn.Module):
    """Latent and label in, pixels out: the mirror of `DenseEncoder`.

    Shapes:
        z:      (B, latent)
        label:  (B,) int64, handed over as one-hot
        return: (B, *shape), in normalised units
    """

    def __init__(self, latent: int = 10, shape: Sequence[int] = (1, 28, 28), width: int = 256, num_blocks: int = 2,
                 num_classes: int = 10):
        super().__init__()
        self.num_classes = num_classes
        self.shape = tuple(shape)
        self.stem = nn.Linear(latent + num_classes, width)
        self.blocks = nn.Sequential(*(ResidualLayer(width) for _ in range(num_blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, torch.Size(self.shape).numel())

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        known = F.one_hot(label, self.num_classes).to(z.dtype)
        h = self.blocks(self.stem(torch.cat([z, known], dim=1)))
        return self.head(F.gelu(self.norm(h))).view(-1, *self.shape)
