"""What rooms look like: textured surfaces under one light, seen through fog."""

import torch
from torch import Tensor

from htcv_lib.mask_depth.rooms.geometry import SURFACES, Hits, Rooms, per_surface, sample_chains


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
