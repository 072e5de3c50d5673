import math

import pytest
import torch

from htcv_lib.decomposer.paintings.lights import StageLights
from htcv_lib.decomposer.paintings.solids import BOX, ELLIPSOID, Solids
from htcv_lib.decomposer.paintings.view import on_painting, plane_grid, shadows

SIZE = 70  # 0.1 wide


def lamps(*positions, radius=0.0):
    """One view's lights, fields (1, L)."""
    count = len(positions)
    level = torch.ones(1, count)
    return StageLights(torch.tensor([positions]), torch.tensor([[[0.0, 0.0, -1.0]] * count]), torch.ones(1, count, 3),
                       radius * level, -3 * level, -2 * level, 0 * level)


def balls(*centres, radius=0.5, kind=ELLIPSOID):
    count = len(centres)
    return Solids(torch.full((1, count), kind), torch.tensor([centres]), (torch.eye(3) / radius).expand(1, count, 3, 3),
                  torch.ones(1, count, dtype=torch.bool))


def share(lights, solids, cast=0.0, samples=1):
    passes = torch.full((*solids.kind.shape, 3), cast)
    return shadows(lights, solids, passes, torch.zeros(lights.radius.shape), SIZE, samples)


def test_the_painting_is_seven_wide_and_rows_count_from_the_top():
    assert plane_grid(7).tolist() == pytest.approx([-3, -2, -1, 0, 1, 2, 3])
    light = on_painting(lamps((2.0, 3.0, 1.0)), 7).strength[0, 0]
    assert divmod(light.argmax().item(), 7) == (0, 5)
    assert light.max().item() == pytest.approx(1)  # straight below, at distance 1


def test_a_balls_shadow_lies_where_its_tangents_meet_the_painting():
    found = share(lamps((0.0, 0.0, 12.0)), balls((1.0, 0.0, 4.0)))[0, 0, 0]
    middle, half = math.atan(1 / 8), math.asin(0.5 / math.sqrt(65))
    left, right = (12 * math.tan(middle + side * half) for side in (-1, 1))
    row = found[SIZE // 2]  # its centre is 0.05 from the tangents' plane
    dark = plane_grid(SIZE)[row == 0]
    assert dark.min().item() == pytest.approx(left, abs=0.105) and dark.max().item() == pytest.approx(right, abs=0.105)
    area = (found == 0).sum().item() * 0.01
    assert area == pytest.approx(math.pi * 0.75**2, rel=0.05)  # a ball of 0.5 two thirds of the way up


def test_a_shadow_lies_opposite_to_its_light():
    found = share(lamps((4.0, -3.0, 12.0)), balls((0.0, 0.0, 4.0)))[0, 0, 0]
    row, column = (found == 0).nonzero().float().mean(0).tolist()
    assert (column - 34.5) / 10 == pytest.approx(-2.0, abs=0.06)  # 4 to the right, 4 / 8 of that to the left
    assert (row - 34.5) / 10 == pytest.approx(-1.5, abs=0.06)  # the light is low in the picture, the shadow high


def test_larger_lights_cast_softer_shadows():
    widths = []
    for radius in (0.05, 0.5, 1.2):
        row = share(lamps((0.0, 0.0, 12.0), radius=radius), balls((0.0, 0.0, 4.0)), samples=64)[0, 0, 0, SIZE // 2]
        widths.append(((row > 0.02) & (row < 0.98)).sum().item() * 0.1 / 2)  # two edges
    assert widths == sorted(widths)
    assert widths[1] == pytest.approx(2 * 0.5 * 4 / 8, abs=0.16)  # the disc seen through the ball's edge
    assert widths[2] > 2 * widths[1]


@pytest.mark.parametrize("kind", [ELLIPSOID, BOX])
def test_clear_solids_tint_and_two_behind_each_other_multiply(kind):
    one = share(lamps((0.0, 0.0, 12.0)), balls((0.0, 0.0, 3.0), kind=kind), 0.4)[0, 0]
    two = share(lamps((0.0, 0.0, 12.0)), balls((0.0, 0.0, 3.0), (0.0, 0.0, 5.0), kind=kind), 0.4)[0, 0]
    assert one[:, 35, 35].tolist() == pytest.approx([0.4] * 3) and two[:, 35, 35].tolist() == pytest.approx([0.16] * 3)
    assert one[:, 0, 0].tolist() == [1, 1, 1]


def test_each_light_has_its_own_shadow_and_a_light_that_is_off_has_none():
    lights = lamps((4.0, 0.0, 12.0), (-4.0, 0.0, 12.0), (0.0, 0.0, 12.0))
    lights.colour[0, 2] = 0
    found = share(lights, balls((0.0, 0.0, 4.0)))[0, :, 0, 35]
    where = [(row == 0).nonzero().float().mean().item() for row in found[:2]]
    assert [round((place - 34.5) / 10, 1) for place in where] == [-2.0, 2.0]
    assert (found[2] == 1).all()


def test_an_absent_solid_casts_no_shadow():
    solids = balls((0.0, 0.0, 4.0))
    assert (share(lamps((0.0, 0.0, 12.0)), solids._replace(there=~solids.there)) == 1).all()
