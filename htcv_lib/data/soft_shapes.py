"""Discs, polygons and bands as distances to their outlines; units are half the picture's side."""

from typing import NamedTuple

import torch
from torch import Tensor

from htcv_lib.data.draws import Draws

DISC, POLYGON, BAND = range(3)
MOST_SIDES = 6


class Shapes(NamedTuple):
    """One shape for each of V views; the picture reaches from -1 to 1."""

    kind: Tensor  # (V,) int64, DISC, POLYGON or BAND
    x: Tensor  # (V,) of the middle, to the right
    y: Tensor  # (V,) down
    size: Tensor  # (V,) radius, of a polygon that of the inscribed circle, of a band half the width
    turn: Tensor  # (V,) radians
    stretch: Tensor  # (V,) length over width, at least 1
    sides: Tensor  # (V,) int64, of a polygon, 3 to MOST_SIDES


def draw_shapes(draws: Draws, smallest: float, largest: float) -> Shapes:
    """Random shapes with middles in the picture; sizes log-uniform, stretched by up to 2.2."""
    return Shapes(draws.choice(3), draws.uniform(-1, 1), draws.uniform(-1, 1), draws.log_uniform(smallest, largest),
                  draws.uniform(0, 2 * torch.pi), draws.uniform(1, 2.2), 3 + draws.choice(MOST_SIDES - 2))


def local_grid(shapes: Shapes, size: int) -> tuple[Tensor, Tensor]:
    """Places of the pixels in each shape's own axes, along and across, each (V, size, size); its size is 1."""
    grid = (torch.arange(size, device=shapes.x.device) + 0.5) * (2 / size) - 1
    dx, dy = grid - shapes.x.view(-1, 1, 1), grid[:, None] - shapes.y.view(-1, 1, 1)
    cos, sin = shapes.turn.cos().view(-1, 1, 1), shapes.turn.sin().view(-1, 1, 1)
    wide, tall = (shapes.size * shapes.stretch).view(-1, 1, 1), shapes.size.view(-1, 1, 1)
    return (dx * cos + dy * sin) / wide, (dy * cos - dx * sin) / tall


def distance(shapes: Shapes, along: Tensor, across: Tensor) -> Tensor:
    """(V, H, W), negative within a shape, 0 on its outline; in sizes of the shape (across, where it is stretched)."""
    kind = shapes.kind.view(-1, 1, 1)
    disc, band = (along.square() + across.square()).sqrt() - 1, across.abs() - 1
    corner = torch.full_like(disc, -torch.inf)
    for side in range(MOST_SIDES):
        angle = 2 * torch.pi * side / shapes.sides
        reach = angle.cos().view(-1, 1, 1) * along + angle.sin().view(-1, 1, 1) * across - 1
        corner = torch.maximum(corner, reach)  # sides beyond the last repeat earlier ones
    return torch.where(kind == DISC, disc, torch.where(kind == POLYGON, corner, band))
