import math

import pytest
import torch

from htcv_lib.data.augment import Draws
from htcv_lib.mask_depth.rooms.geometry import SURFACES, Rooms, cast, draw_rooms, scene_depth


def room(bound=(1, 1, 3, 2, 2), pitch=0.0, yaw=0.0, focal=1.0):
    """One box of these distances (floor, ceiling, back, left, right)."""
    one, five = torch.ones(1), torch.ones(1, 5)
    return Rooms(torch.tensor([bound], dtype=torch.float32), pitch * one, yaw * one, focal * one, five,
                 torch.zeros(1, 5, 2), 0 * five, torch.zeros(1, 3), one, one, 0 * one, torch.zeros(1, 3))


def seen(rooms, row, column, size):
    hits = cast(rooms, size, size)
    return hits.depth[0, row, column].item(), SURFACES[hits.surface[0, row, column]]


def test_the_floor_below_a_level_camera():
    # the lowest of four rows is 0.75 below the middle: a ray falls 0.75 m per metre, the floor is 1 m down
    depth, surface = seen(room(), 3, 1, 4)
    assert (depth, surface) == (pytest.approx(1 / 0.75), "floor")


def test_the_back_wall_where_the_floor_is_farther():
    # the row above falls 0.25 per metre and would meet the floor at 4 m, behind the wall at 3 m
    assert seen(room(), 2, 1, 4) == (pytest.approx(3.0), "back")
    assert seen(room(bound=(1, 1, 9, 20, 20)), 2, 1, 4) == (pytest.approx(4.0), "floor")


def test_a_camera_that_looks_down_sees_the_floor_nearer():
    # sin 0.6, cos 0.8: the ray 0.5 below the axis falls 0.5 * 0.8 + 0.6 = 1 per metre along the axis
    rooms = room(pitch=math.asin(0.6))
    hits = cast(rooms, 2, 2)
    assert hits.depth[0, 1, 0].item() == pytest.approx(1.0)
    assert hits.point[0, :, 1, 0].tolist() == pytest.approx([-0.5, -1.0, 0.5])  # 0.8 - 0.5 * 0.6 forward


def test_a_turned_camera_sees_the_side_wall():
    # sin 0.6, cos 0.8: x 0.5 * 0.8 + 0.6 = 1 to the right per metre, the wall is 2 m away; z 0.5, the back at 6 m
    assert seen(room(bound=(9, 9, 3, 2, 2), yaw=math.asin(0.6)), 0, 1, 2) == (pytest.approx(2.0), "right")


def test_a_longer_focal_length_sees_less_floor():
    assert seen(room(bound=(1, 1, 9, 9, 9), focal=2.0), 3, 1, 4)[0] == pytest.approx(2 / 0.75)


def test_depth_is_a_tenth_of_the_metres_and_at_most_one():
    depth = scene_depth(cast(room(bound=(1, 500, 30, 500, 500)), 4, 4))[0, :, 0]
    assert depth.tolist() == pytest.approx([1.0, 1.0, 0.4, 0.4 / 3])


def test_points_lie_on_the_surface_they_are_said_to_lie_on():
    rooms = draw_rooms(Draws(torch.rand(20, 80, generator=torch.Generator().manual_seed(0))))
    hits = cast(rooms, 12, 16)
    x, y, z = hits.point.unbind(1)
    distance = torch.stack([-y, y, z, -x, x], dim=1)  # (B, 5, H, W)
    on = distance.gather(1, hits.surface[:, None])[:, 0]
    bound = rooms.bound.gather(1, hits.surface.flatten(1)).view_as(on)
    torch.testing.assert_close(on, bound, rtol=1e-4, atol=1e-4)
    assert (distance <= rooms.bound[:, :, None, None] * 1.0001).all()  # no surface is nearer
    assert (hits.stretch > 0.999).all()


def test_random_scenes_are_rooms_and_open_grounds_with_the_camera_inside():
    rooms = draw_rooms(Draws(torch.rand(500, 80, generator=torch.Generator().manual_seed(1))))
    inside = rooms.bound[:, 3] < 100
    assert inside.float().mean().item() == pytest.approx(0.6, abs=0.07)
    assert (rooms.bound > 0).all() and (rooms.bound[~inside, 2] >= 7).all()
    shown = scene_depth(cast(rooms, 8, 8))
    assert (shown > 0).all() and (shown[:, -1] < 1).all()  # the lowest row is ground or wall, never far away
