"""Models 0 to 3 of the report: generators of a sphere from ten numbers, and the discriminators that judge them."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

# The generators take no noise, so each is a regression: one scene, one picture. Layers are those of the report's code:
#
# - "g0": a network of three linear layers, then doublings by repetition, each with a 3x3 convolution. 6.06 million
#   parameters.
# - "g1" and "g2": the same linear layers, then 4x4 transposed convolutions of stride 2; g1 has no batch normalization
#   between the linear layers. 7.26 and 7.28 million.
# - "g3", the "hybrid": one linear layer, doublings as in g0, leaky ReLU, one convolution more at the end. The report
#   calls it deeper than g2; it has 1.68 million parameters.

WIDTHS = (512, 256, 128, 64, 32)  # channels at 4x4 pixels, 8x8, and so on
HIDDEN = 512  # of the linear layers
COARSEST = 4  # pixels on a side
INPUTS = 10


class SphereGenerator(nn.Sequential):
    """Linear layers to a coarse picture, then doublings; tanh.

    Shapes:
        input:  (B, 10), the scene as `encode_scene` gives it
        return: (B, 3, S, S) in [-1, 1], S = 4 * 2 ** (number of doublings)
    """

    def pictures(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, 3, S, S) in [0, 1] for `batch["input"]` (B, 10)."""
        return (self(batch["input"]).float() + 1) / 2


def make_generator(name: str, size: int = 128, width_factor: float = 1.0) -> SphereGenerator:
    """One of the report's generators, freshly initialised as it was (`init_dcgan`).

    Args:
        name: "g0" to "g3".
        size: Of the picture: 128 as in the report, or another 4 * 2^n; the last doublings are left out.
        width_factor: Multiplies all widths, for small versions.
    """
    if name not in GENERATORS:
        raise ValueError(f"a generator is one of {', '.join(GENERATORS)}, got {name!r}")
    doublings = halvings_to(size, COARSEST)
    if not 1 <= doublings <= len(WIDTHS):
        raise ValueError(f"size must be between {2 * COARSEST} and {COARSEST * 2 ** len(WIDTHS)}, got {size}")
    hidden, *widths = (scaled(width, width_factor) for width in (HIDDEN, *WIDTHS[:doublings]))
    return init_dcgan(SphereGenerator(*GENERATORS[name](hidden, widths)))


def halvings_to(size: int, coarsest: int) -> int:
    """How often a side of `size` pixels is halved to give `coarsest`; ValueError if that is impossible."""
    times = (size // coarsest).bit_length() - 1
    if size != coarsest << max(times, 0):
        raise ValueError(f"size must be {coarsest} times a power of two, got {size}")
    return times


def scaled(width: int, factor: float) -> int:
    return max(1, round(width * factor))


def init_dcgan(model: nn.Module) -> nn.Module:
    """Convolutions from N(0, 0.02), scales of batch normalizations from N(1, 0.02); returns the model.

    As Radford et al., 2016 (arXiv:1511.06434). As in the report's code, other layers keep PyTorch's own start.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)
    return model


def _deep(hidden: int, widths: Sequence[int], norm: Callable[[int], nn.Module],
          double: Callable[[int, int], nn.Module]) -> list[nn.Module]:
    """10 numbers -> (B, widths[0], 4, 4) by three linear layers, ReLU after each, then doublings."""
    sizes = (INPUTS, hidden, hidden, widths[0] * COARSEST**2)
    layers = [(nn.Linear(before, after), norm(after), nn.ReLU()) for before, after in pairwise(sizes)]
    return [*chain(*layers), nn.Unflatten(1, (widths[0], COARSEST, COARSEST)), *_stages(double, [*widths, 3], nn.ReLU),
            nn.Tanh()]


def _hybrid(hidden: int, widths: Sequence[int]) -> list[nn.Module]:
    coarse, finest = widths[0] * COARSEST**2, widths[-1]
    return [nn.Linear(INPUTS, coarse), nn.BatchNorm1d(coarse), _leaky(),
            nn.Unflatten(1, (widths[0], COARSEST, COARSEST)), *_stages(_doubled, [*widths, finest], _leaky, last=True),
            nn.Conv2d(finest, 3, kernel_size=3, padding=1, bias=False), nn.Tanh()]


def _stages(double: Callable[[int, int], nn.Module], widths: Sequence[int], activation: Callable[[], nn.Module],
            last: bool = False) -> list[nn.Module]:
    """A doubling between neighbouring widths, then batch normalization and activation, for the last one if `last`."""
    stages = [nn.Sequential(double(coarse, fine), nn.BatchNorm2d(fine), activation())
              for coarse, fine in pairwise(widths)]
    if not last:
        stages[-1] = double(*widths[-2:])
    return stages


def _doubled(coarse: int, fine: int) -> nn.Module:
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"),
                         nn.Conv2d(coarse, fine, kernel_size=3, padding=1, bias=False))


def _transposed(coarse: int, fine: int) -> nn.Module:
    return nn.ConvTranspose2d(coarse, fine, kernel_size=4, stride=2, padding=1, bias=False)


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.2)


GENERATORS = {"g0": partial(_deep, norm=nn.BatchNorm1d, double=_doubled),
              "g1": partial(_deep, norm=nn.Identity, double=_transposed),
              "g2": partial(_deep, norm=nn.BatchNorm1d, double=_transposed), "g3": _hybrid}


# Discriminators that are told the scene: does this picture show it, and is it a rendering?
#
# Those of the report on the neural renderer; the one of models 2 and 3 is the simplification that was to end the
# discriminator's lead.


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
