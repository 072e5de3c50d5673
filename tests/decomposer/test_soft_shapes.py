import math

import pytest
import torch

from htcv_lib.data.augment import Draws
from htcv_lib.decomposer.paintings.matched import BAND, DISC, POLYGON, Shapes, distance, draw_shapes, local_grid


def shape(kind, x=0.0, y=0.0, size=0.5, turn=0.0, stretch=1.0, sides=4):
    return Shapes(torch.tensor([kind]), *(torch.tensor([each]) for each in (x, y, size, turn, stretch)),
                  torch.tensor([sides]))


def area(each, size=200):
    """Of the part within the picture, whose area is 4."""
    return (distance(each, *local_grid(each, size)) < 0).float().mean().item() * 4


def test_areas_are_those_of_geometry():
    assert area(shape(DISC)) == pytest.approx(math.pi / 4, rel=0.01)
    assert area(shape(DISC, stretch=1.6)) == pytest.approx(1.6 * math.pi / 4, rel=0.01)
    assert area(shape(POLYGON, turn=0.3)) == pytest.approx(1.0, rel=0.01)  # a square around the disc
    assert area(shape(POLYGON, size=0.3, sides=3)) == pytest.approx(3 * math.sqrt(3) * 0.09, rel=0.01)
    assert area(shape(POLYGON, sides=6)) == pytest.approx(2 * math.sqrt(3) / 4, rel=0.01)
    assert area(shape(BAND)) == pytest.approx(2.0, rel=0.01)  # half of the picture


def test_distances_are_zero_on_the_outline_and_minus_one_in_the_middle():
    along, across = torch.tensor([[[0.0, 1.0, 0.0, 3.0]]]), torch.tensor([[[0.0, 0.0, 1.0, 4.0]]])
    assert distance(shape(DISC), along, across)[0, 0].tolist() == pytest.approx([-1, 0, 0, 4])
    assert distance(shape(BAND), along, across)[0, 0].tolist() == pytest.approx([-1, -1, 0, 3])
    assert distance(shape(POLYGON), along, across)[0, 0].tolist() == pytest.approx([-1, 0, 0, 3], abs=1e-5)


def test_a_shape_lies_where_it_says_and_is_longer_along_its_turn():
    each = shape(DISC, x=0.4, y=-0.2, size=0.2, turn=math.pi / 2, stretch=2.0)
    inside = distance(each, *local_grid(each, 100))[0] < 0
    row, column = inside.nonzero().float().mean(0).tolist()
    assert (column - 49.5) / 50 == pytest.approx(0.4, abs=0.01) and (row - 49.5) / 50 == pytest.approx(-0.2, abs=0.01)
    assert inside.any(1).sum() == pytest.approx(2 * inside.any(0).sum().item(), abs=2)


def test_drawn_shapes_have_the_sizes_asked_for():
    shapes = draw_shapes(Draws(torch.rand(300, 7, generator=torch.Generator().manual_seed(0))), 0.1, 0.4)
    assert 0.1 <= shapes.size.min() and shapes.size.max() <= 0.4
    assert shapes.size.median().item() == pytest.approx(0.2, rel=0.1)
    assert set(shapes.kind.tolist()) == {DISC, POLYGON, BAND} and set(shapes.sides.tolist()) == {3, 4, 5, 6}
