import math

import pytest
import torch

from htcv_lib.data.augment import Draws
from htcv_lib.decomposer.paintings.lights import MOST_LIGHTS, StageLights, arriving, draw_lights, pale, shining_points

UP = tuple(torch.tensor(each) for each in (0.0, 0.0, 1.0))


def lamp(position, axis=(0.0, 0.0, -1.0), radius=0.0, outer=-3.0, inner=-2.0, matte=0.0):
    """One light, fields (1,)."""
    return StageLights(torch.tensor([position]), torch.tensor([axis]), torch.ones(1, 3), torch.tensor([radius]),
                       torch.tensor([outer]), torch.tensor([inner]), torch.tensor([matte]))


def at(light, x, y=0.0):
    """Strength on the painting."""
    return arriving(light, tuple(torch.tensor(each) for each in (x, y, 0.0)), UP).strength.item()


def test_a_point_light_straight_above_gives_cosine_over_distance_squared():
    light = lamp((0.0, 0.0, 4.0))
    assert at(light, 0.0) == pytest.approx(1 / 16)
    assert at(light, 3.0) == pytest.approx(4 / 5 / 25)  # at distance 5, cosine 4/5
    assert at(light, 0.0, -3.0) == pytest.approx(4 / 5 / 25)


def test_twice_the_distance_is_a_quarter_of_the_light():
    assert at(lamp((0.0, 0.0, 5.0)), 0.0) == pytest.approx(4 * at(lamp((0.0, 0.0, 10.0)), 0.0))


def test_a_surface_turned_away_gets_nothing():
    away = tuple(torch.tensor(each) for each in (0.0, 0.0, -1.0))
    point = tuple(torch.zeros(3))
    assert arriving(lamp((0.0, 0.0, 5.0)), point, away).strength.item() == 0


def test_a_spot_fades_from_its_inner_to_its_outer_cone():
    light, free = (lamp((0.0, 0.0, 10.0), **how) for how in ({"outer": 0.8, "inner": 0.9}, {}))
    def share(cosine):
        x = 10 * math.tan(math.acos(cosine))
        return at(light, x) / at(free, x)
    assert share(0.95) == pytest.approx(1) and share(0.79) == 0
    assert share(0.85) == pytest.approx(0.5, abs=1e-4)
    assert share(0.825) == pytest.approx(3 / 16 - 2 / 64, abs=1e-4)  # 3 t^2 - 2 t^3 at a quarter


def test_a_matte_light_shines_with_the_cosine_from_its_axis():
    assert at(lamp((0.0, 0.0, 4.0), matte=1.0), 3.0) == pytest.approx(4 / 5 * at(lamp((0.0, 0.0, 4.0)), 3.0))


@pytest.mark.parametrize("axis", [(0.0, 0.0, -1.0), (1.0, 0.0, 0.0), (0.48, 0.6, -0.64)])
def test_shining_points_fill_a_disc_across_the_axis_evenly(axis):
    light = lamp((1.0, 2.0, 9.0), axis=axis, radius=0.5)
    points = shining_points(StageLights(*(field[None] for field in light)), torch.tensor([[0.3]]), 64)[0, 0]
    from_middle = points - light.position
    assert torch.allclose(from_middle @ light.axis[0], torch.zeros(64), atol=1e-5)
    distance = from_middle.norm(dim=1)
    assert distance.max() < 0.5 and (distance < 0.5 / math.sqrt(2)).float().mean() == 0.5  # half the area, half of them
    assert from_middle.mean(0).abs().max() < 0.03


def test_drawn_lights_are_two_to_four_above_the_painting_and_aim_near_its_middle():
    lights = draw_lights(Draws(torch.rand(400, 96, generator=torch.Generator().manual_seed(0))))
    on = lights.colour.amax(-1) > 0
    assert lights.colour.shape == (400, MOST_LIGHTS, 3)
    assert set(on.sum(1).tolist()) == {2, 3, 4}
    assert lights.position[..., 2].min() >= 9 and torch.allclose(lights.axis.norm(dim=-1), torch.ones(400, 4))
    reach = lights.position[..., 2] / -lights.axis[..., 2]
    aim = lights.position + reach[..., None] * lights.axis
    assert aim[..., :2].abs().max() < 1.501
    assert (lights.inner > lights.outer).all()


def test_pale_colours_follow_the_hexcone():
    found = pale(torch.tensor([0.0, 1 / 3, 2 / 3, 0.5, 0.1]), torch.tensor([1.0, 1.0, 0.5, 1.0, 0.0]))
    expected = [[1, 0, 0], [0, 1, 0], [0.5, 0.5, 1], [0, 1, 1], [1, 1, 1]]
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float32), atol=1e-5)
