import math

import numpy as np
import pytest
import torch

from htcv_lib.data.augment import Draws
from htcv_lib.data.textures import Textures
from htcv_lib.decomposer.layers import ORDERS
from htcv_lib.decomposer.paintings.matched import (
    BAND,
    DISC,
    POLYGON,
    MatchedSequences,
    Shapes,
    as_stored,
    distance,
    draw_lobes,
    draw_shadow,
    draw_shapes,
    local_grid,
    within,
)


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


def maker(size=24, views=6, **settings):
    """Dim noise as pictures."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 150, (5, 3, size, size), dtype=torch.uint8, generator=generator)
    return MatchedSequences(Textures(pictures, 3, list("abcde")), views=views, **settings)


def numbers(count=200, columns=64):
    return Draws(torch.rand(count, columns, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("order", ORDERS)
def test_the_true_layers_recompose_the_views_exactly_in_either_order(order):
    occluded = 0
    for i in range(8):
        made = maker(order=order).sequence(i)
        original, shadow, light, mask, colour, image = (np.asarray(field) for field in (
            made.original, made.shadow, made.light, made.mask, made.occlusion, made.image))
        for t in range(6):
            for c in range(3):
                o, s, g, m = original[c, 0], shadow[0, t], light[0, t], mask[0, t]
                relit = o * s + g if order == "light_last" else (o + g) * s
                assert (image[c, t][m == 0] == relit[m == 0]).all()
                assert (image[c, t][m == 1] == colour[c, t][m == 1]).all()
                occluded += (m == 1).sum()
    assert occluded > 5000


def test_the_two_orders_differ_in_their_views_and_share_picture_shadow_and_occluders():
    last, first = (maker(order=order).sequence(2) for order in ORDERS)
    assert all(torch.equal(getattr(last, name), getattr(first, name)) for name in ("original", "shadow", "mask"))
    assert not torch.allclose(last.image, first.image, atol=0.05)


@pytest.mark.parametrize("order", ORDERS)
def test_no_view_is_brighter_than_white_even_before_white_pictures(order):
    made = MatchedSequences(Textures(torch.full((2, 3, 16, 16), 255, dtype=torch.uint8), 2, ["a", "b"]), order)
    for i in range(5):
        each = made.sequence(i)
        assert each.image.max() <= 1 and each.light.min() >= 0
        if order == "light_first":
            assert each.light.max() == 0  # white leaves no room


def test_masks_are_binary_and_colours_are_zero_where_nothing_occludes():
    for i in range(5):
        made = maker().sequence(i)
        assert set(made.mask.unique().tolist()) <= {0, 1}
        assert (made.occlusion[(made.mask == 0).expand_as(made.occlusion)] == 0).all()


def test_light_is_scaled_down_where_it_meets_white_too_often_and_cut_for_the_rest():
    light = torch.full((1, 1, 10, 10), 0.8)
    room = torch.full((1, 1, 10, 10), 0.4)
    room[..., 0, :2] = 0.1  # two of a hundred pixels, fewer than 5 %
    found = within(light, room)
    assert found[0, 0, 5, 5].item() == pytest.approx(0.4) and found[0, 0, 0, 0].item() == pytest.approx(0.1)
    assert torch.equal(within(0.3 * light, room)[..., 1:, :], 0.3 * light[..., 1:, :])  # there is room enough
    assert within(light, torch.zeros(1, 1, 10, 10)).max() == 0


def test_shadows_leave_some_light_and_some_views_without_any():
    shadow = draw_shadow(numbers(), 16)
    assert 0 < shadow.min() and shadow.max() <= 1
    flat = (shadow.flatten(1).std(1) < 1e-4).float().mean().item()
    assert 0.05 < flat < 0.35
    lobes = draw_lobes(numbers(), 16)
    assert lobes.min() >= 0 and lobes.max() < 0.9
    assert (lobes.flatten(1).amax(1) == 0).float().mean().item() == pytest.approx(0.25, abs=0.08)


def test_stored_light_is_never_more_than_it_was():
    layer = torch.rand(10_000, generator=torch.Generator().manual_seed(0))
    kept = as_stored(layer)
    assert torch.equal(kept.half().float(), kept) and (kept <= layer).all()
    assert (layer - kept).max() < 1.5e-3


def test_a_sequence_depends_on_its_seed_and_number_only():
    made = maker()
    third = made.sequence(3)
    made.sequence(1)
    assert torch.equal(made.sequence(3).image, third.image) and torch.equal(maker().sequence(3).light, third.light)
    assert not torch.equal(maker(seed=1).sequence(3).image, third.image)
    assert torch.equal(maker(views=2).sequence(3).image, third.image[:, :2])


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match="order must be one of light_last, light_first"):
        maker(order="last")
