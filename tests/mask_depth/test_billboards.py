import math

import pytest
import torch

from htcv_lib.data.augment import Draws
from htcv_lib.mask_depth.rooms.compositing import in_front
from htcv_lib.mask_depth.rooms.geometry import (
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
)


def room(bound=(1, 1, 3, 2, 2), pitch=0.0, yaw=0.0, focal=1.0):
    one, five = torch.ones(1), torch.ones(1, 5)
    return Rooms(torch.tensor([bound], dtype=torch.float32), pitch * one, yaw * one, focal * one, five,
                 torch.zeros(1, 5, 2), 0 * five, torch.zeros(1, 3), one, one, 0 * one, torch.zeros(1, 3))


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
