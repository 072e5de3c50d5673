import pytest
import torch

from htcv_lib.data.augment import Draws
from htcv_lib.decomposer.paintings.solids import (
    BOX,
    CYLINDER,
    DOME,
    ELLIPSOID,
    Solids,
    chords,
    draw_solids,
    normals,
    rotation,
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
