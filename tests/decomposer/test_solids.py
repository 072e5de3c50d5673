import math

import pytest
import torch

from htcv_lib.data.augment import Draws
from htcv_lib.decomposer.paintings.lights import StageLights
from htcv_lib.decomposer.paintings.solids import (
    BOX,
    CHECKS,
    CYLINDER,
    DOME,
    ELLIPSOID,
    PICTURE,
    PLAIN,
    STRIPES,
    Looks,
    Solids,
    albedo,
    chords,
    draw_looks,
    draw_solids,
    highlight,
    normals,
    rotation,
    shaded,
)

KINDS = [ELLIPSOID, CYLINDER, DOME, BOX]


def solid(kind, centre=(0.0, 0.0, 5.0), frame=None):
    frame = torch.eye(3) if frame is None else frame
    return Solids(torch.tensor([kind]), torch.tensor([centre]), frame[None], torch.tensor([True]))


def seen(each, x, y=(0.0,), start=(0.0, 0.0, 10.0)):
    found = chords(each, torch.tensor([start]), torch.tensor([x]), torch.tensor([y]))
    return found.enter[0], found.leave[0]


def within(kind, unit):
    """Whether points (..., 3) of unit space are inside, said without the quadric's coefficients."""
    x, y, z = unit.unbind(-1)
    round_ = {ELLIPSOID: x**2 + y**2 + z**2 <= 1, CYLINDER: x**2 + y**2 <= 1, DOME: x**2 + y**2 <= (1 - z) / 2,
              BOX: (x.abs() <= 1) & (y.abs() <= 1)}
    return round_[kind] & (z.abs() <= 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_down_the_middle_enters_at_the_top_and_leaves_at_the_bottom(kind):
    enter, leave = seen(solid(kind), [0.0])
    assert enter.item() == pytest.approx(0.4, abs=1e-5) and leave.item() == pytest.approx(0.6, abs=1e-5)


def test_a_line_that_passes_a_ball_by_does_not_hit_it():
    edge = 10 * 0.2 / (1 - 0.2**2) ** 0.5  # the tangent cone's sine is 1/5
    enter, leave = seen(solid(ELLIPSOID), [edge - 0.01, edge + 0.01])
    assert (leave > enter).tolist() == [[True, False]]


@pytest.mark.parametrize("kind", KINDS)
def test_chords_agree_with_small_steps_along_lines(kind):
    torch.manual_seed(kind)
    frame = rotation(*torch.rand(3)) / torch.tensor([[0.5], [1.0], [0.8]])
    each = solid(kind, (0.5, -0.3, 4.0), frame)
    x = y = torch.linspace(-2.5, 2.5, 9)
    start = torch.tensor([1.0, 0.5, 11.0])
    enter, leave = seen(each, x.tolist(), y.tolist(), start.tolist())
    target = torch.stack([x.expand(9, 9), y[:, None].expand(9, 9), torch.zeros(9, 9)], dim=-1)
    s = torch.linspace(0, 1, 4001)[:, None, None, None]
    unit = (start + s * (target - start) - each.centre) @ frame.T
    inside = within(kind, unit)
    length = inside.float().mean(0)
    hit = length > 0
    assert 5 < hit.sum() < 76
    assert torch.allclose((leave - enter).clamp(min=0), length, atol=1e-3)
    first = inside.float().argmax(0) / 4000
    assert torch.allclose(enter[hit], first[hit], atol=1e-3)


@pytest.mark.parametrize(("kind", "point", "expected"), [
    (ELLIPSOID, (0.6, 0.0, 0.8), (0.6, 0.0, 0.8)), (CYLINDER, (0.0, 1.0, 0.2), (0.0, 1.0, 0.0)),
    (CYLINDER, (0.3, 0.2, -1.0), (0.0, 0.0, -1.0)), (DOME, (0.1, 0.3, -1.0), (0.0, 0.0, -1.0)),
    (DOME, (0.5, 0.0, 0.5), (0.8944, 0.0, 0.4472)), (BOX, (-1.0, 0.4, 0.9), (-1.0, 0.0, 0.0))])
def test_normals_point_outwards(kind, point, expected):
    found = normals(solid(kind, (0.0, 0.0, 0.0)), torch.tensor([point]))
    assert torch.allclose(found, torch.tensor([expected]), atol=1e-3)


def test_the_normal_of_a_flattened_ball_is_that_of_its_tangent_plane():
    frame = torch.diag(torch.tensor([1.0, 1.0, 2.0]))  # half as high as wide
    found = normals(solid(ELLIPSOID, (0.0, 0.0, 0.0), frame), torch.tensor([[0.6, 0.0, 0.4]]))
    assert torch.allclose(found, torch.nn.functional.normalize(torch.tensor([[0.6, 0.0, 1.6]])), atol=1e-5)


def test_rotations_keep_lengths_and_handedness():
    turn = rotation(*torch.rand(3, 50, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(turn @ turn.mT, torch.eye(3).expand(50, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(turn), torch.ones(50), atol=1e-5)


def test_drawn_solids_float_between_painting_and_lights_lowest_first():
    solids = draw_solids(Draws(torch.rand(400, 40, generator=torch.Generator().manual_seed(0))))
    corners = torch.tensor([[i, j, k] for i in (-1.0, 1.0) for j in (-1.0, 1.0) for k in (-1.0, 1.0)])
    points = (torch.linalg.inv(solids.frame)[:, :, None] @ corners[:, :, None])[..., 0] + solids.centre[:, :, None]
    assert 0 < points[..., 2].min() and points[..., 2].max() < 8  # every solid lies within these corners
    assert (solids.centre[:, 1:, 2] >= solids.centre[:, :-1, 2]).all()
    assert torch.bincount(solids.there.sum(1), minlength=4).min() > 60
    assert torch.bincount(solids.kind.flatten()).tolist() == pytest.approx([300] * 4, rel=0.2)


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
