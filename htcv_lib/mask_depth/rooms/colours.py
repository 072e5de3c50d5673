"""What rooms look like: textured surfaces under one light, seen through fog."""

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.mask_depth.rooms.geometry import SURFACES, Hits, Rooms, per_surface

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


# What rooms look like: textured surfaces under one light, seen through fog.
#
# Colours are linear in the sense that a stored value is the square root of the light (gamma 2).


def surface_atlas(chains: Tensor, chosen: Tensor) -> Tensor:
    """The textures of each picture's surfaces below each other.

    Args:
        chains: (N, 3, 3 S / 2, S) uint8 of `mip_chain`.
        chosen: (B, 5) int64, a texture for each of SURFACES.

    Returns (B, 3, 5 * 3 S / 2, S) float32 in [0, 1], linear.
    """
    atlas = chains[chosen].transpose(1, 2).flatten(2, 3).float().div_(255)
    return atlas.mul_(atlas)


def texture_colours(rooms: Rooms, hits: Hits, atlas: Tensor) -> Tensor:
    """The unlit colour where each ray ends, (B, 3, H, W) linear; textures repeat mirrored."""
    x, y, z = hits.point.unbind(1)
    upright, side = hits.surface >= 2, hits.surface >= 3
    tile = per_surface(rooms.tile, hits.surface)
    offset_u, offset_v = (per_surface(part, hits.surface) for part in rooms.offset.unbind(2))
    u = mirrored(torch.where(side, z, x) / tile + offset_u)
    v = mirrored(torch.where(upright, -y, -z) / tile + offset_v)
    pixels = atlas.shape[-1] / tile  # per metre
    step = 2 * hits.depth / (rooms.focal.view(-1, 1, 1) * hits.depth.shape[1])  # metres between pixels, seen head on
    found = sample_chains(atlas, hits.surface, u, v, step * pixels * hits.stretch.sqrt())
    whole = atlas.unflatten(2, (len(SURFACES), -1))[..., : atlas.shape[-1], :]  # level 0 of each
    mean = whole[..., ::8, ::8].mean(dim=(-2, -1))  # (B, 3, 5)
    mean = mean.gather(2, hits.surface.flatten(1)[:, None].expand(-1, 3, -1)).view(found.shape)
    return torch.lerp(found, mean, per_surface(rooms.flat, hits.surface)[:, None])


def mirrored(u: Tensor) -> Tensor:
    """A coordinate in tiles to [0, 1], every second tile turned around."""
    return 1 - (torch.remainder(u, 2) - 1).abs()


def lit(rooms: Rooms, hits: Hits) -> Tensor:
    """Light that falls on each point, (B, H, W): ambient, and a lamp by Lambert's cosine and distance."""
    x, y, z = rooms.light.unbind(1)
    above = per_surface(rooms.bound - torch.stack([-y, y, z, -x, x], dim=1), hits.surface)  # lamp to plane, metres
    square = (hits.point - rooms.light[:, :, None, None]).square().sum(1)
    reach = rooms.reach.square().view(-1, 1, 1)
    lamp = above.clamp(min=0) * square.clamp(min=1e-6).rsqrt() * (reach / (reach + square))
    return torch.lerp(lamp, torch.ones_like(lamp), rooms.ambient.view(-1, 1, 1))


def in_fog(colour: Tensor, depth: Tensor, rooms: Rooms) -> Tensor:
    """Colours (B, 3, H, W) seen through the fog over `depth` (B, H, W) metres."""
    through = torch.exp(-rooms.fog.view(-1, 1, 1) * depth)[:, None]
    return torch.lerp(rooms.fog_colour[:, :, None, None].expand_as(colour), colour, through)
