import math

import pytest
import torch

from htcv_lib.data.augment import Draws
from htcv_lib.mask_depth.rooms.compositing import in_front
from htcv_lib.mask_depth.rooms.geometry import (
    SURFACES,
    Billboards,
    Rooms,
    cast,
    contact_row,
    draw_billboards,
    draw_rooms,
    ground_depth,
    mip_chain,
    room_for,
    sample_billboards,
    sample_chains,
    scene_depth,
)


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


def board(rooms, depth, metres=1.0, column=0.0, mirror=False):
    one = torch.ones(1)
    seen = rooms.focal * metres / depth
    return Billboards(torch.zeros(1, dtype=torch.int64), depth * one, metres * one, column * one,
                      contact_row(rooms, depth * one), seen, seen, torch.tensor([mirror]))


def solid():
    return mip_chain(torch.full((1, 4, 16, 16), 255, dtype=torch.uint8))


def many():
    draws = Draws(torch.rand(300, 96, generator=torch.Generator().manual_seed(0)))
    rooms = draw_rooms(draws)
    return rooms, draw_billboards(rooms, torch.tensor([0.5, 1.0, 2.0]), draws)


def test_the_contact_of_a_level_camera_is_its_height_over_the_distance():
    assert contact_row(room(focal=1.5), torch.tensor([2.0])).item() == pytest.approx(1.5 * 1 / 2)


def test_the_contact_of_a_camera_that_looks_down():
    # sin 0.6, cos 0.8, 1 m high: depth 1 is 0.5 m ahead on the floor, seen 0.8 - 0.5 * 0.6 = 0.5 below the axis
    assert contact_row(room(pitch=math.asin(0.6)), torch.tensor([1.0])).item() == pytest.approx(0.5)


def test_the_ground_under_the_contact_has_the_cut_outs_depth():
    rooms, boards = many()
    torch.testing.assert_close(ground_depth(rooms, boards.row), boards.depth, rtol=1e-3, atol=1e-3)
    assert ground_depth(room(), torch.tensor(-0.5)).item() == math.inf


def test_the_ray_caster_agrees_about_the_ground():
    rooms = room(bound=(1, 9, 50, 90, 90), pitch=0.2)
    hits = cast(rooms, 64, 64)
    row = (torch.tensor(50) + 0.5) * 2 / 64 - 1
    assert ground_depth(rooms, row).item() == pytest.approx(hits.depth[0, 50, 0].item(), rel=1e-5)


def test_at_twice_the_distance_it_is_seen_half_as_large():
    rooms = room(bound=(0.5, 9, 50, 50, 50))
    sides = []
    for depth in (2.0, 4.0):
        _, alpha = sample_billboards(board(rooms, depth), solid(), 64, 64)
        sides.append(((alpha[0] > 0.5).any(1).sum().item(), (alpha[0] > 0.5).any(0).sum().item()))
    assert sides == [(16, 16), (8, 8)]  # 1 m at 2 m is half of a half height of 32 pixels


def test_a_drawn_cut_outs_size_follows_from_metres_and_distance():
    rooms, boards = many()
    torch.testing.assert_close(boards.height * boards.depth, rooms.focal * boards.metres)
    assert 0.4 <= boards.metres.min() and boards.metres.max() <= 1.0
    torch.testing.assert_close(boards.width / boards.height, torch.tensor([0.5, 1.0, 2.0])[boards.chosen])


def test_it_stands_with_its_lower_edge_on_the_contact_row():
    rooms = room(bound=(1, 9, 50, 50, 50))
    _, alpha = sample_billboards(board(rooms, 2.0, metres=0.5), solid(), 64, 64)
    rows = (alpha[0] > 0.5).any(1).nonzero()[:, 0]  # contact at 0.5, top at 0.25 half heights below the middle
    assert (rows.min().item(), rows.max().item()) == (40, 47)


def test_a_wall_hides_what_stands_behind_it_and_not_what_stands_before_it():
    rooms = room(bound=(0.5, 9, 3, 50, 50))
    depth = cast(rooms, 32, 32).depth
    shown = {}
    for distance in (2.0, 4.0):
        boards = board(rooms, distance)
        _, alpha = sample_billboards(boards, solid(), 32, 32)
        shown[distance] = in_front(alpha, boards, depth)
        assert alpha.sum() > 10
    assert shown[4.0].sum() == 0
    assert shown[2.0].sum() == pytest.approx(8 * 8)


def test_going_along_a_column_one_comes_to_a_wall():
    rooms = room(bound=(1, 9, 6, 1, 2))
    assert room_for(rooms, torch.tensor([0.0])).item() == pytest.approx(6)
    assert room_for(rooms, torch.tensor([1.0])).item() == pytest.approx(2)  # one metre right per metre of depth
    assert room_for(rooms, torch.tensor([-0.5])).item() == pytest.approx(2)


def test_every_drawn_cut_out_stands_inside_its_room():
    rooms, boards = many()
    assert (boards.depth < room_for(rooms, boards.column)).all() and (boards.depth > 0.3).all()


def test_mirroring_swaps_left_and_right():
    half = torch.zeros(1, 4, 16, 16, dtype=torch.uint8)
    half[:, 3] = 255
    half[:, 0, :, :8] = 255  # red on the left
    rooms = room(bound=(0.5, 9, 9, 9, 9))
    plain, mirrored = (sample_billboards(board(rooms, 1.0, mirror=flag), mip_chain(half), 32, 32)[0]
                       for flag in (False, True))
    assert plain[0, 0, 16, 4] == 1 and plain[0, 0, 16, 27] == 0
    torch.testing.assert_close(plain.flip(-1), mirrored)


def pictures():
    return torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def sampled(chain, x, y, footprint, which=0):
    """Sample at pixel position (x, y) of level 0."""
    u, v = torch.tensor([[[x / 16]]]), torch.tensor([[[y / 16]]])
    return sample_chains(chain.float(), which, u, v, torch.tensor(footprint))[0, :, 0, 0]


def test_the_centre_of_a_pixel_seen_from_near_is_that_pixel():
    images = pictures()
    torch.testing.assert_close(sampled(mip_chain(images)[:1], 3.5, 9.5, 1.0), images[0, :, 9, 3].float())


def test_from_twice_as_far_the_mean_of_four_pixels_is_seen():
    images = pictures()
    mean = images[0, :, 8:10, 2:4].float().mean((1, 2))
    torch.testing.assert_close(sampled(mip_chain(images)[:1], 3.0, 9.0, 2.0), mean, atol=0.51, rtol=0)


@pytest.mark.parametrize(("footprint", "square"), [(4.0, 4), (8.0, 8), (16.0, 16), (1000.0, 16)])
def test_every_level_holds_its_area_mean(footprint, square):
    images = pictures()
    mean = images[0, :, 16 - square :, :square].float().mean((1, 2))
    found = sampled(mip_chain(images)[:1], square / 2, 16 - square / 2, footprint)
    torch.testing.assert_close(found, mean, atol=2.0, rtol=0)


def test_nothing_of_the_next_chain_or_level_shines_through_at_the_edge():
    white = torch.full((1, 3, 16, 16), 255, dtype=torch.uint8)
    chains = mip_chain(torch.cat([white, 0 * white, white])).transpose(0, 1).flatten(1, 2)[None]  # (1, 3, 72, 16)
    for footprint in (1.0, 2.0, 4.0, 8.0):
        for x in (0.0, 8.0, 16.0):
            for y in (0.0, 16.0):
                assert sampled(chains, x, y, footprint, which=1).tolist() == pytest.approx([0, 0, 0], abs=1e-3)
                assert sampled(chains, x, y, footprint, which=2).tolist() == pytest.approx([255] * 3, abs=1e-3)


def test_a_side_that_cannot_be_halved_four_times_is_refused():
    with pytest.raises(ValueError, match="a side that 16 divides, got 24 x 24"):
        mip_chain(torch.zeros(1, 3, 24, 24, dtype=torch.uint8))
