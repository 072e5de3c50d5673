import math

import pytest
import torch

from htcv_lib.decomposer.paintings.lights import StageLights
from htcv_lib.decomposer.paintings.solids import BOX, ELLIPSOID, PLAIN, Looks, Solids
from htcv_lib.decomposer.paintings.view import BOUNCE, on_painting, past_solids, plane_grid, shadows
from htcv_lib.image import linear

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


DARK = StageLights(torch.tensor([[[0.0, 0.0, 12.0]]]), torch.tensor([[[0.0, 0.0, -1.0]]]), torch.zeros(1, 1, 3),
                   *(torch.tensor([[each]]) for each in (0.0, -3.0, -2.0, 0.0)))


def solids(*centres, radius=0.5, kind=ELLIPSOID):
    count = len(centres)
    return Solids(torch.full((1, count), kind), torch.tensor([centres]), (torch.eye(3) / radius).expand(1, count, 3, 3),
                  torch.ones(1, count, dtype=torch.bool))


def looks(*colours, opacity=1.0, bend=0.0):
    """Matte ones of grey colours, that let half of every colour through where they are clear."""
    one = torch.ones(1, len(colours))
    return Looks(torch.tensor([[[each] * 3 for each in colours]]), torch.zeros(1, len(colours), 3),
                 (PLAIN * one).long(), one, (0 * one).long(), opacity * one, 0.5 * one[..., None].expand(-1, -1, 3),
                 bend * one, 0 * one, one)


def seen(those, look, painting=None):
    """Under light from everywhere that amounts to 1 on a solid, and none from the lamp."""
    painting = torch.full((1, 3, SIZE, SIZE), 0.5) if painting is None else painting
    irradiance = torch.full((1, 3, SIZE, SIZE), 1 / BOUNCE)
    return past_solids(painting, irradiance, DARK, those, look, torch.zeros(1, 3, 2, 2, dtype=torch.uint8))


def test_a_ball_is_seen_where_its_line_of_sight_meets_the_painting_and_larger_by_perspective():
    found = seen(solids((1.0, 0.5, 5.0)), looks(0.2))
    row, column = (found.mask[0, 0] > 0.5).nonzero().double().mean(0).tolist()
    assert (column - 34.5) / 10 == pytest.approx(2.0, abs=0.06)  # half-way to the camera
    assert (row - 34.5) / 10 == pytest.approx(-1.0, abs=0.06)  # up in the world is up in the picture
    assert found.mask.sum().item() * 0.01 == pytest.approx(math.pi * 1.0**2, rel=0.05)


def test_an_opaque_solid_hides_the_painting_and_its_colour_is_told():
    found = seen(solids((0.0, 0.0, 5.0)), looks(0.2))
    full, free = found.mask[0, 0] == 1, found.mask[0, 0] == 0
    assert torch.allclose(found.view[0, :, full], torch.tensor(0.2), atol=1e-5)
    assert torch.allclose(linear(found.occlusion[0, :, full]), torch.tensor(0.2), atol=1e-4)
    assert (found.view[0, :, free] == 0.5).all() and (found.occlusion[0, :, free] == 0).all()


def test_a_pixel_is_shared_by_area():
    box = seen(solids((0.025, 0.0, 5.0), radius=0.6, kind=BOX), looks(0.2))
    row = box.mask[0, 0, SIZE // 2]
    left, right = (10 * (0.025 - 0.6) / 4.4, 10 * (0.025 + 0.6) / 4.4)  # of the upper face, at height 5.6
    assert row.sum().item() * 0.1 == pytest.approx(right - left, abs=0.051)  # to one line of sight
    part = (row > 0) & (row < 1)
    assert torch.allclose(box.view[0, 0, SIZE // 2][part], 0.5 - 0.3 * row[part], atol=1e-5)


@pytest.mark.parametrize("kind", [ELLIPSOID, BOX])
def test_the_nearer_of_two_solids_is_seen(kind):
    found = seen(solids((0.0, 0.0, 3.0), (0.0, 0.0, 6.0), kind=kind), looks(0.2, 0.7))
    assert found.view[0, :, 35, 35].tolist() == pytest.approx([0.7] * 3, abs=1e-5)


def test_through_clear_solids_one_sees_what_is_behind_in_turn():
    found = seen(solids((0.0, 0.0, 3.0), (0.0, 0.0, 6.0)), looks(0.2, 0.6, opacity=0.25))
    once = 0.25 * 0.2 + 0.75 * 0.5 * 0.5
    assert found.view[0, 0, 35, 35].item() == pytest.approx(0.25 * 0.6 + 0.75 * 0.5 * once, abs=1e-5)
    assert found.mask[0, 0, 35, 35] == 1  # clear or not, a solid is seen


def test_a_bending_ball_shows_its_other_sides_surroundings():
    painting = torch.zeros(1, 3, SIZE, SIZE)
    painting[..., SIZE // 2 :] = 1.0  # the right half is white
    straight, bent = (seen(solids((0.0, 0.0, 5.0)), looks(0.2, opacity=0.0, bend=bend), painting).view[0, 0, 35]
                      for bend in (0.0, 3.0))
    assert straight[28].item() == 0 and straight[41].item() == pytest.approx(0.5)
    assert bent[28].item() > 0.1 and bent[41].item() == 0


def test_absent_solids_are_not_seen():
    those = solids((0.0, 0.0, 5.0))
    found = seen(those._replace(there=~those.there), looks(0.2))
    assert (found.view == 0.5).all() and found.mask.sum() == 0
