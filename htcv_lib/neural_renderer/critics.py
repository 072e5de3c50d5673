"""Discriminators that are told the scene: does this picture show it, and is it a rendering?

Those of the report on the neural renderer; the one of models 2 and 3 is the simplification that was to end the
discriminator's lead.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from htcv_lib.neural_renderer.generators import INPUTS, halvings_to, init_dcgan, scaled


class Plan(NamedTuple):
    """What differs between the report's discriminators."""
    widths: tuple[int, ...]            # channels after each halving
    coarsest: int                      # pixels on a side after the last one
    embedding: int                     # numbers the scene becomes
    hidden: int                        # of the linear layer over picture and scene
    norm: Callable[[int], nn.Module]   # after every convolution but the first
    dropout: float                     # before the last layer


def instance_norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True)


PLANS = {
    "d0": Plan((32, 64, 128, 256, 512), 4, 512, 512, nn.BatchNorm2d, 0.0),
    "d1": Plan((32, 64, 128, 256, 512), 4, 512, 512, instance_norm, 0.5),
    "d23": Plan((16, 32, 64, 128), 8, 128, 256, instance_norm, 0.5),
}


class SphereDiscriminator(nn.Module):
    """Convolutions of stride 2 over the picture, an embedding of the scene, two linear layers over both.

    Shapes:
        image:  (B, 3, S, S) in [-1, 1], S = coarsest * 2 ** len(widths)
        input:  (B, 10), the scene as `encode_scene` gives it
        return: (B,) logits; above 0 means real
    """

    def __init__(self, widths: Sequence[int], coarsest: int, embedding: int, hidden: int,
                 norm: Callable[[int], nn.Module] = instance_norm, dropout: float = 0.5):
        super().__init__()
        stages = [nn.Sequential(nn.Conv2d(fine, coarse, kernel_size=4, stride=2, padding=1, bias=False),
                                *([norm(coarse)] if number else []), nn.LeakyReLU(0.2))
                  for number, (fine, coarse) in enumerate(pairwise((3, *widths)))]
        self.size = coarsest << len(widths)
        self.stages = nn.Sequential(*stages, nn.Flatten())
        self.embedding = nn.Sequential(nn.Linear(INPUTS, embedding), nn.LeakyReLU(0.2))
        self.head = nn.Sequential(nn.Linear(widths[-1] * coarsest**2 + embedding, hidden), nn.LeakyReLU(0.2),
                                  nn.Dropout(dropout), nn.Linear(hidden, 1))

    def forward(self, image: Tensor, input: Tensor) -> Tensor:
        if tuple(image.shape[-2:]) != (self.size, self.size):
            raise ValueError(f"pictures must have {self.size} x {self.size} pixels, got {tuple(image.shape)}")
        return self.head(torch.cat((self.stages(image), self.embedding(input)), dim=1)).squeeze(1)


def make_discriminator(name: str, size: int = 128, width_factor: float = 1.0,
                       dropout: float | None = None) -> SphereDiscriminator:
    """One of the report's discriminators, freshly initialised as it was (`init_dcgan`).

    Args:
        name: "d0" and "d1" are those of models 0 and 1 (7.25 million parameters: batch normalization; instance
            normalization and dropout), "d23" that of models 2 and 3 (2.31 million).
        size: Of the picture; below 128 the halvings of the finest resolutions are left out.
        width_factor: Multiplies all widths, for small versions.
        dropout: In place of the report's.
    """
    if name not in PLANS:
        raise ValueError(f"a discriminator is one of {', '.join(PLANS)}, got {name!r}")
    plan = PLANS[name]
    halvings = halvings_to(size, plan.coarsest)
    if not 1 <= halvings <= len(plan.widths):
        most = plan.coarsest << len(plan.widths)
        raise ValueError(f"size must be between {2 * plan.coarsest} and {most}, got {size}")
    widths = [scaled(width, width_factor) for width in plan.widths[-halvings:]]
    embedding, hidden = scaled(plan.embedding, width_factor), scaled(plan.hidden, width_factor)
    dropout = plan.dropout if dropout is None else dropout
    return init_dcgan(SphereDiscriminator(widths, plan.coarsest, embedding, hidden, plan.norm, dropout))
