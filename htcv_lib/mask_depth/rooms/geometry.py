"""Rooms and open grounds with exact depth, flat pictures that stand in them, and mip maps of these."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.data.augment import Draws
from htcv_lib.image import in_unit

# Rooms and open grounds seen by a pinhole camera, with exact depth.
#
# Both are an axis-aligned box around the camera: a room of some metres, or a ground with a distant backdrop and
# everything else far away. The camera stands at the origin, x to the right, y up, z forward; it looks down by
# `pitch`, and the box is turned by `yaw`.

SURFACES = ("floor", "ceiling", "back", "left", "right")
DEPTH_RANGE = 10.0  # metres; depth 1 of a batch
FAR = 500.0  # metres


class Rooms(NamedTuple):
    """A batch of boxes, cameras and lights; lengths in metres, angles in radians."""

    bound: Tensor  # (B, 5) distance of each surface from the camera; the floor's is the camera's height
    pitch: Tensor  # (B,) positive looks down
    yaw: Tensor  # (B,)
    focal: Tensor  # (B,) in half heights of the picture: 1 / tan(vertical field of view / 2)
    tile: Tensor  # (B, 5) side of a texture
    offset: Tensor  # (B, 5, 2) of the textures, in tiles
    flat: Tensor  # (B, 5) 0 the texture as it is, 1 its mean colour
    light: Tensor  # (B, 3) position in the box's axes
    reach: Tensor  # (B,) distance at which the light has half its strength
    ambient: Tensor  # (B,) share of light that comes from everywhere
    fog: Tensor  # (B,) density per metre
    fog_colour: Tensor  # (B, 3) linear


class Hits(NamedTuple):
    """Where the rays of a picture end."""

    depth: Tensor  # (B, H, W) metres along the optical axis
    surface: Tensor  # (B, H, W) int64, index into SURFACES
    point: Tensor  # (B, 3, H, W) metres in the box's axes, from the camera
    stretch: Tensor  # (B, H, W) length of the ray over its length straight to the surface, at least 1


def draw_rooms(draws: Draws) -> Rooms:
    """Random scenes: six of ten are rooms, the others open grounds."""
    inside = draws.chance(0.6)
    height = draws.uniform(0.5, 1.5)
    over, back = draws.uniform(0.7, 1.6), draws.uniform(3.2, 8.5)
    left, right = draws.uniform(1.0, 3.2), draws.uniform(1.0, 3.2)
    backdrop = draws.log_uniform(7.0, 30.0)
    far = torch.full_like(height, FAR)
    bound = torch.stack([height, torch.where(inside, over, far), torch.where(inside, back, backdrop),
                         torch.where(inside, left, far), torch.where(inside, right, far)], dim=1)
    pitch, focal = draws.uniform(0.02, 0.36), 1 / torch.tan(0.5 * draws.uniform(0.85, 1.25))
    yaw = draws.uniform(-0.4, 0.4)
    wall, ground = draws.log_uniform(1.5, 4.0), draws.log_uniform(0.8, 3.5)
    tile = torch.stack([ground, wall, torch.where(inside, wall, draws.uniform(0.9, 1.4) * backdrop), wall, wall], dim=1)
    offset = torch.stack([draws.uniform(0, 2) for _ in range(8)], dim=1).view(-1, 4, 2)
    offset = torch.cat([offset, offset[:, 3:] + 0.5], dim=1)  # the side walls share a texture
    floor_flat, wall_flat, over_flat = draws.uniform(0.0, 0.6), draws.uniform(0.0, 0.5), draws.uniform(0.6, 1.0)
    zero = torch.zeros_like(height)
    flat = torch.stack([floor_flat, over_flat, torch.where(inside, wall_flat, zero), wall_flat, wall_flat], dim=1)
    lamp = torch.stack([draws.uniform(-0.8, 0.8) * torch.minimum(left, right), draws.uniform(0.3, 0.9) * over,
                        draws.uniform(0.2, 0.8) * back], dim=1)
    sun = torch.tensor([80.0, 200.0, -40.0], device=height.device).expand_as(lamp)
    fog = torch.where(draws.chance(0.5), draws.log_uniform(0.01, 0.12), draws.uniform(0, 0.01))
    grey = draws.uniform(0.15, 0.6)[:, None]
    fog_colour = grey * torch.stack([draws.uniform(0.85, 1.1) for _ in range(3)], dim=1)
    return Rooms(bound, pitch, yaw, focal, tile, offset, flat,
                 light=torch.where(inside[:, None], lamp, sun),
                 reach=torch.where(inside, draws.uniform(1.5, 4.0), torch.full_like(height, 10 * FAR)),
                 ambient=draws.uniform(0.25, 0.6), fog=fog, fog_colour=fog_colour)


def pixel_grid(height: int, width: int, device: str | torch.device = "cpu") -> tuple[Tensor, Tensor]:
    """Rows (H, 1), positive down, and columns (1, W) of the pixels' centres from the middle, in half heights."""
    rows = (torch.arange(height, device=device) + 0.5) * (2 / height) - 1
    columns = ((torch.arange(width, device=device) + 0.5) * 2 - width) / height
    return rows[:, None], columns[None, :]


def turned(x: Tensor, z: Tensor, yaw: Tensor) -> tuple[Tensor, Tensor]:
    """Camera's level axes to the box's: x and z of a point, turned about the vertical."""
    cos, sin = yaw.cos(), yaw.sin()
    return x * cos + z * sin, z * cos - x * sin


def cast(rooms: Rooms, height: int, width: int) -> Hits:
    """The first surface along the ray of each of H x W pixels.

    A ray is (x, y, 1) in the camera's axes, so its parameter is the distance along the optical axis. Leaving a
    box from within, the nearest of five planes is the one with the largest speed over distance.
    """
    rows, columns = pixel_grid(height, width, rooms.bound.device)
    focal, pitch, yaw = (value.view(-1, 1, 1) for value in (rooms.focal, rooms.pitch, rooms.yaw))
    x, down = columns / focal, rows / focal  # (B, 1, W), (B, H, 1)
    y = -down * pitch.cos() - pitch.sin()  # (B, H, 1)
    x, z = turned(x, pitch.cos() - down * pitch.sin(), yaw)  # (B, H, W)
    y = y.expand_as(x)
    speed = torch.stack([-y, y, z, -x, x], dim=1) / rooms.bound[:, :, None, None]  # (B, 5, H, W), in 1 / metres
    nearest, surface = speed.max(dim=1)
    depth = 1 / nearest.clamp(min=1e-6)
    length = (x * x + y * y + z * z).sqrt()
    stretch = length * depth / per_surface(rooms.bound, surface)
    return Hits(depth, surface, torch.stack([x * depth, y * depth, z * depth], dim=1), stretch)


def per_surface(values: Tensor, surface: Tensor) -> Tensor:
    """(B, 5) looked up at (B, H, W) surface numbers."""
    return values.gather(1, surface.flatten(1)).view(surface.shape)


def scene_depth(hits: Hits) -> Tensor:
    """(B, H, W) in (0, 1]: distance along the optical axis over 10 m, everything farther at 1."""
    return (hits.depth / DEPTH_RANGE).clamp(max=1)


# Mip maps (Williams, 1983): a picture and its halvings in one tensor, so that what is far away does not alias.
#
# Layout of a chain of side S: level 0 in the rows 0 ... S - 1, the smaller ones side by side below it.

LEVELS = 5


def mip_chain(images: Tensor) -> Tensor:
    """(N, C, S, S) uint8 to (N, C, 3 S / 2, S) uint8; level k has side S / 2^k, each the area average of the last.

    Errors: ValueError if S is no multiple of 16, the number of pixels halved in four steps.
    """
    count, channels, side, width = images.shape
    if side != width or side % 2 ** (LEVELS - 1):
        raise ValueError(f"a mip map needs square pictures with a side that 16 divides, got {side} x {width}")
    chain = images.new_zeros(count, channels, side * 3 // 2, side)
    chain[:, :, :side] = images
    for start in range(0, count, 64):  # bounds the memory of the float copy
        level, left = images[start : start + 64].float(), 0
        for _ in range(1, LEVELS):
            level = F.avg_pool2d(level, 2)
            size = level.shape[-1]
            chain[start : start + 64, :, side : side + size, left : left + size] = level.round().to(torch.uint8)
            left += size
    return chain


def sample_chains(chains: Tensor, which: Tensor | int, u: Tensor, v: Tensor, footprint: Tensor) -> Tensor:
    """Bilinear samples of the level whose pixels are about as large as the footprint.

    Args:
        chains: (B, C, K * 3 S / 2, S) float, K chains below each other.
        which: (B, H, W) int64, which of the K; or one number for all.
        u, v: (B, H, W) in [0, 1], from the left and from the top of the picture; at its edge the outermost
            pixels go on.
        footprint: Pixels of level 0 from one sample to the next, broadcastable to (B, H, W).

    Returns (B, C, H, W).
    """
    side, rows = chains.shape[-1], chains.shape[-2]
    level = footprint.clamp(min=1).log2().round().clamp(max=LEVELS - 1)
    size = side * torch.exp2(-level)
    left = torch.where(level > 0, side - 2 * size, 0.0)  # S/2 + ... of the levels between
    top = which * (side * 3 // 2) + torch.where(level > 0, float(side), 0.0)
    x = left + torch.minimum((u * size).clamp(min=0.5), size - 0.5)
    y = top + torch.minimum((v * size).clamp(min=0.5), size - 0.5)
    grid = torch.stack([x * (2 / side) - 1, y * (2 / rows) - 1], dim=-1)
    return F.grid_sample(chains, grid, "bilinear", "border", align_corners=False)


# Flat pictures standing upright on the ground, turned to the camera.


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


def draw_billboards(rooms: Rooms, aspects: Tensor, draws: Draws, wide: float = 1.0) -> Billboards:
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
    found = sample_chains(in_unit(chains[boards.chosen]), 0, u, v, footprint)
    inside = (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)
    return found[:, :3], found[:, 3] * inside
