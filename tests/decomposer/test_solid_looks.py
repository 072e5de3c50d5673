import math

import pytest
import torch

from htcv_lib.data.augment import Draws
from htcv_lib.decomposer.paintings.lights import StageLights
from htcv_lib.decomposer.paintings.solids import (
    CHECKS,
    ELLIPSOID,
    PICTURE,
    PLAIN,
    STRIPES,
    Looks,
    Solids,
    albedo,
    draw_looks,
    highlight,
    shaded,
)


def look(pattern=PLAIN, opacity=1.0, bend=0.0, gloss=0.0, count=1):
    one = torch.ones(count)
    return Looks(torch.full((count, 3), 0.5), torch.zeros(count, 3), torch.full((count,), pattern), 2 * one,
                 torch.zeros(count, dtype=torch.int64), opacity * one, torch.tensor([[0.9, 0.5, 0.1]] * count),
                 bend * one, gloss * one, 50 * one)


def test_a_lobe_is_brightest_half_way_and_has_the_height_of_its_normalisation():
    up = tuple(torch.tensor(each) for each in (0.0, 0.0, 1.0))
    slant = [tuple(torch.tensor(each) for each in (side * 0.6, 0.0, 0.8)) for side in (1, -1)]
    assert highlight(*slant[:1], up, slant[1], torch.tensor(24.0)).item() == pytest.approx(4)  # (24 + 8) / 8
    aside = highlight(up, up, slant[1], torch.tensor(24.0)).item()
    assert aside == pytest.approx(4 * math.cos(math.atan2(0.6, 0.8) / 2) ** 24, rel=1e-4)


def test_patterns_change_along_one_axis_or_all():
    unit = torch.tensor([[0.1, 0.1, 0.1], [0.6, 0.1, 0.1], [0.1, 0.6, 0.1]])  # twice the scale: half-way to the next
    bank = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    found = {pattern: albedo(look(pattern, count=3), unit, bank)[:, 0].tolist() for pattern in (PLAIN, STRIPES, CHECKS)}
    assert found == {PLAIN: [0.5, 0.5, 0.5], STRIPES: [0.5, 0.0, 0.5], CHECKS: [0.5, 0.0, 0.0]}


def test_a_picture_on_a_solid_is_looked_up_in_linear_light():
    bank = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    bank[0, :, 1, 0] = 188  # half of the light, stored
    unit = torch.tensor([[-0.5, 0.5, 0.0], [0.5, 0.5, 0.0]])
    assert albedo(look(PICTURE, count=2), unit, bank)[:, 0].tolist() == pytest.approx([0.5, 0.0], abs=0.005)


@pytest.mark.parametrize(("opacity", "through"), [(1.0, 0.0), (0.25, 0.75)])
def test_a_matte_solid_sends_its_colour_times_its_light_and_lets_the_rest_through(opacity, through):
    solid = Solids(torch.tensor([ELLIPSOID]), torch.zeros(1, 3), torch.eye(3)[None], torch.tensor([True]))
    level = torch.ones(1, 1)
    light = StageLights(torch.tensor([[[0.0, 0.0, 3.0]]]), torch.tensor([[[0.0, 0.0, -1.0]]]), 4 * torch.ones(1, 1, 3),
                        0 * level, -3 * level, -2 * level, 0 * level)
    up = torch.tensor([[0.0, 0.0, 1.0]])
    found = shaded(up, solid, look(opacity=opacity), light, torch.full((1, 3), 0.2), up,
                   torch.zeros(1, 3, 2, 2, dtype=torch.uint8))
    assert found.colour[0].tolist() == pytest.approx([opacity * 0.5 * (4 / 2**2 + 0.2)] * 3)
    assert found.through[0].tolist() == pytest.approx([through * each for each in (0.9, 0.5, 0.1)])
    assert found.shift.tolist() == [[0, 0]]


def test_opaque_solids_cast_black_shadows_and_bent_light_mostly_goes_elsewhere():
    straight = look(opacity=0.5).cast()
    assert look().cast().tolist() == [[0, 0, 0]]
    assert straight[0].tolist() == pytest.approx([0.45, 0.25, 0.05])
    assert (look(opacity=0.5, bend=1.0).cast() < 0.5 * straight).all()


def test_half_of_the_drawn_looks_are_opaque_and_none_is_brighter_than_its_light():
    looks = draw_looks(Draws(torch.rand(400, 70, generator=torch.Generator().manual_seed(0))), 7)
    assert (looks.opacity == 1).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert looks.colour.max() <= 1 and looks.tint.max() <= 1 and looks.picture.max() == 6
    assert set(looks.pattern.flatten().tolist()) == {PLAIN, STRIPES, CHECKS, PICTURE}
