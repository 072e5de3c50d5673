"""Flat pictures standing upright on the ground, turned to the camera."""

from typing import NamedTuple

import torch
from torch import Tensor

from htcv_lib.data.draws import Draws
from htcv_lib.data.mipmaps import sample_chains
from htcv_lib.data.rooms import Rooms, pixel_grid, turned


class Billboards(NamedTuple):
    """One per picture; where it stands and how large it is seen. Picture coordinates are in half heights."""

    chosen: Tensor  # (B,) int64, which cut-out
    depth: Tensor  # (B,) metres along the optical axis
    metres: Tensor  # (B,) its height
    column: Tensor  # (B,) of its middle, from the picture's middle
    row: Tensor  # (B,) of its contact with the ground, positive down
    height: Tensor  # (B,) as seen
    width: Tensor  # (B,) as seen
    mirror: Tensor  # (B,) bool


def contact_row(rooms: Rooms, depth: Tensor) -> Tensor:
    """Where the ground at `depth` (B,) metres is seen, in half heights below the picture's middle: (B,)."""
    height = rooms.bound[:, 0]
    forward = (depth - height * rooms.pitch.sin()) / rooms.pitch.cos()  # metres over the ground
    return rooms.focal * (height * rooms.pitch.cos() - forward * rooms.pitch.sin()) / depth


def ground_depth(rooms: Rooms, row: float | Tensor) -> Tensor:
    """Depth in metres (B,) of the ground seen at a row, the inverse of `contact_row`; infinite above the horizon."""
    fall = row / rooms.focal * rooms.pitch.cos() + rooms.pitch.sin()
    return torch.where(fall > 0, rooms.bound[:, 0] / fall.clamp(min=1e-6), torch.inf)


def room_for(rooms: Rooms, column: Tensor) -> Tensor:
    """How far one can go along a column of the picture, on the ground, until a wall: depth in metres (B,)."""
    height, pitch = rooms.bound[:, 0], rooms.pitch
    start = turned(torch.zeros_like(height), -height * pitch.tan(), rooms.yaw)  # of the line over the ground at depth 0
    slope = turned(column / rooms.focal, 1 / pitch.cos(), rooms.yaw)  # and its change per metre of depth
    walls = ((start[1], slope[1], rooms.bound[:, 2]), (-start[0], -slope[0], rooms.bound[:, 3]),
             (start[0], slope[0], rooms.bound[:, 4]))
    reached = [torch.where(s > 1e-6, (bound - a) / s.clamp(min=1e-6), torch.inf) for a, s, bound in walls]
    return torch.stack(reached).amin(0)


def place(rooms: Rooms, aspects: Tensor, draws: Draws, wide: float = 1.0) -> Billboards:
    """Cut-outs of random size at random places on the ground.

    Args:
        aspects: (N,) width over height of each cut-out.
        wide: Half the picture's width in half heights.

    The contact is between a wall and a little below the picture's lower edge, so some are cut by the border.
    """
    chosen = draws.choice(len(aspects))
    column = draws.uniform(-0.85 * wide, 0.85 * wide)
    metres = draws.uniform(0.4, 1.0)
    near = ground_depth(rooms, draws.uniform(0.85, 1.15)).clamp(min=0.8)
    far = torch.minimum(0.85 * room_for(rooms, column) - 0.1, 2.2 * near).clamp(max=8.0)
    near = torch.minimum(near, far)
    depth = near * (far / near) ** draws.uniform().square()  # more often near
    height = rooms.focal * metres / depth
    return Billboards(chosen, depth, metres, column, contact_row(rooms, depth), height,
                      height * aspects[chosen], draws.chance(0.5))


def sample_billboards(boards: Billboards, chains: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Colour (B, 3, H, W) as stored, in [0, 1], and alpha (B, H, W) of the cut-outs where they are seen.

    `chains` (N, 4, 3 S / 2, S) uint8 is the `mip_chain` of the cut-outs; each fills its square.
    """
    rows, columns = pixel_grid(height, width, chains.device)
    wide, tall, column, row, mirror = (value.view(-1, 1, 1) for value in (
        boards.width, boards.height, boards.column, boards.row, boards.mirror))
    u = (columns - column) / wide + 0.5  # (B, 1, W)
    u = torch.where(mirror, 1 - u, u).expand(-1, height, width)
    v = (1 - (row - rows) / tall).expand(-1, height, width)
    side = chains.shape[-1]
    footprint = 2 * side / (height * (wide * tall).sqrt())
    found = sample_chains(chains[boards.chosen].float().div_(255), 0, u, v, footprint)
    inside = (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)
    return found[:, :3], found[:, 3] * inside
