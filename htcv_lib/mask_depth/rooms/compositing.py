"""What rooms look like, cut-outs put into them, and what a camera does to the whole picture."""

import io
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from htcv_lib.data.augment import Draws
from htcv_lib.image import decode_picture, to_levels
from htcv_lib.mask_depth.rooms.geometry import (
    SURFACES,
    Billboards,
    Hits,
    Rooms,
    per_surface,
    pixel_grid,
    sample_chains,
    turned,
)

# Textured surfaces under one light, seen through fog.


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


# Cut-outs put into a scene: colours harmonised, contact shadow, feathered alpha; and pastes that are none.
#
# All in linear colours at the supersampled size, before the camera's own blur and noise.


class Look(NamedTuple):
    """How a cut-out is fitted into its surroundings."""

    strength: Tensor  # (B,) 0 keeps its mean colour, 1 takes that of the surroundings
    contrast: Tensor  # (B,) about its mean
    shadow: Tensor  # (B,) light taken at the contact


def draw_look(draws: Draws) -> Look:
    """Random strengths."""
    return Look(draws.uniform(0.15, 0.65), draws.uniform(0.8, 1.1), draws.uniform(0.25, 0.75))


class DecoyLook(NamedTuple):
    """How the background is changed where it is pasted over itself."""

    shift: Tensor  # (B, 2) down and right, in half pixels of the picture
    gain: Tensor  # (B, 3) of the colours


def draw_decoy_look(draws: Draws) -> DecoyLook:
    """Random shifts below a pixel, colours within some percent."""
    shift = torch.stack([draws.uniform(-1.8, 1.8) for _ in range(2)], dim=1)
    bright = draws.uniform(0.92, 1.08)[:, None]
    return DecoyLook(shift, bright * torch.stack([draws.uniform(0.93, 1.07) for _ in range(3)], dim=1))


def contact_shadow(rooms: Rooms, hits: Hits, boards: Billboards, strength: Tensor) -> Tensor:
    """What is left of the light on the ground around the contact, (B, 1, H, W) in (0, 1]: a soft ellipse, projected.

    It is as wide as the cut-out and a third as deep, and falls off as a Gaussian of the distance on the ground.
    """
    ahead = (boards.depth - rooms.bound[:, 0] * rooms.pitch.sin()) / rooms.pitch.cos()
    x, z = turned(boards.column * boards.depth / rooms.focal, ahead, rooms.yaw)
    wide = 0.5 * boards.metres * boards.width / boards.height
    dx = hits.point[:, 0] - x.view(-1, 1, 1)
    dz = hits.point[:, 2] - z.view(-1, 1, 1)
    dx, dz = turned(dx, dz, -rooms.yaw.view(-1, 1, 1))
    square = (dx / wide.view(-1, 1, 1)).square() + (dz / (0.35 * wide).clamp(min=0.06).view(-1, 1, 1)).square()
    dark = strength.view(-1, 1, 1) * torch.exp(-square) * (hits.surface == 0)
    return 1 - dark[:, None]


def in_front(alpha: Tensor, boards: Billboards, depth: Tensor) -> Tensor:
    """Alpha (B, H, W) where the cut-out is nearer than the scene's `depth` (B, H, W) metres, else 0."""
    return alpha * (boards.depth.view(-1, 1, 1) <= depth + 0.02)


def harmonised(colour: Tensor, alpha: Tensor, scene: Tensor, boards: Billboards, look: Look) -> Tensor:
    """The cut-out's colours (B, 3, H, W), their mean moved to that of the scene around it.

    The surroundings are weighted by a Gaussian around the cut-out, 1.5 times its height wide. Three fifths of the gain
    are common to the channels, so that a brown dog on grass does not turn green; it is between 0.3 and 3.
    """
    weight = alpha[:, None]
    own = (colour * weight).sum((-2, -1), keepdim=True) / weight.sum((-2, -1), keepdim=True).clamp(min=1e-3)
    around = surroundings(scene, boards)
    strength, contrast = look.strength.view(-1, 1, 1, 1), look.contrast.view(-1, 1, 1, 1)
    gain = ((around + 0.01) / (own + 0.01)).log() * strength
    gain = torch.lerp(gain, gain.mean(1, keepdim=True), 0.6).exp().clamp(0.3, 3)
    return (torch.lerp(own, colour, contrast) * gain).clamp(0, 1.5)


def surroundings(scene: Tensor, boards: Billboards) -> Tensor:
    """Mean colour (B, 3, 1, 1) of the scene near each cut-out's foot, on an eighth of the size."""
    small = F.avg_pool2d(scene, 8) if min(scene.shape[-2:]) >= 16 else scene
    height, width = small.shape[-2:]
    rows, columns = pixel_grid(height, width, scene.device)
    row, column, size = (v.view(-1, 1, 1) for v in (boards.row - 0.3 * boards.height, boards.column,
                                                    1.5 * boards.height))
    weight = torch.exp(-0.5 * ((rows - row).square() + (columns - column).square()) / size.square())[:, None] + 1e-4
    return (small * weight).sum((-2, -1), keepdim=True) / weight.sum((-2, -1), keepdim=True)


def over(scene: Tensor, colour: Tensor, alpha: Tensor) -> Tensor:
    """`colour` over `scene`, both (B, 3, H, W), with `alpha` (B, H, W)."""
    return torch.lerp(scene, colour, alpha[:, None])


def decoy(scene: Tensor, alpha: Tensor, look: DecoyLook) -> Tensor:
    """A paste that leaves nothing behind: the scene over itself, moved by less than a pixel and slightly recoloured.

    Args:
        scene: (B, 3, H, W) at twice the picture's size, so one of its pixels is half of one.
        alpha: (B, H, W) of a cut-out that is not there; its feather is that of a true one.
    """
    down, right = look.shift.view(-1, 2, 1, 1, 1).unbind(1)
    moved = shifted(shifted(scene, down, -2), right, -1) * look.gain[:, :, None, None]
    return over(scene, moved, alpha)


def shifted(scene: Tensor, by: Tensor, axis: int) -> Tensor:
    """Moved by `by` (B, 1, 1, 1) pixels, at most 2 either way, along an axis; linear between pixels."""
    whole = by.floor()
    rolled = {k: scene.roll(k, axis) for k in range(-2, 3)}
    low = sum((whole == k) * rolled[k] for k in range(-2, 2))
    high = sum((whole == k) * rolled[k + 1] for k in range(-2, 2))
    return torch.lerp(low, high, by - whole)


# What a camera does to a whole picture: blur, sensor noise, JPEG.
#
# It comes after compositing and with the same settings for the picture with and without the object, so that the edge
# of a paste is no easier to see than any other.


class Cameras(NamedTuple):
    """One camera per picture."""

    blur: Tensor  # (B,) standard deviation of a Gaussian in pixels
    read: Tensor  # (B,) standard deviation of noise, of white, that is everywhere
    shot: Tensor  # (B,) and at white, of noise that grows with the square root of the light
    quality: Tensor  # (B,) int64, JPEG
    contrast: Tensor  # (B,) of the tone curve, about a displayed 0.45


def draw_cameras(draws: Draws) -> Cameras:
    """Random cameras: blur 0.3 to 0.7 pixels, noise up to about 2 %, JPEG quality 60 to 95, contrast 1.1 to 1.9."""
    return Cameras(draws.uniform(0.3, 0.7), draws.log_uniform(0.002, 0.01), draws.log_uniform(0.003, 0.02),
                   60 + draws.choice(36), draws.uniform(1.1, 1.9))


def developed(light: Tensor, cameras: Cameras) -> Tensor:
    """Light (B, 3, H, W), linear, as displayed: gamma 2, the camera's contrast, clipped to [0, 1]."""
    return (0.45 + cameras.contrast.view(-1, 1, 1, 1) * (light.clamp(min=0).sqrt() - 0.45)).clamp(0, 1)


def photographed(picture: Tensor, cameras: Cameras, noise: Tensor) -> Tensor:
    """The pictures as a camera stores them, (B, 3, H, W) uint8.

    Args:
        picture: (B, 3, H, W) in [0, 1], as displayed.
        noise: (B, 3, H, W) standard normal.
    """
    blurred = blur(picture, cameras.blur)
    strength = (cameras.read.view(-1, 1, 1, 1).square() + cameras.shot.view(-1, 1, 1, 1).square() * blurred).sqrt()
    return jpeg(to_levels(blurred + strength * noise), cameras.quality)


def blur(picture: Tensor, sigma: Tensor) -> Tensor:
    """Each of (B, C, H, W) blurred by its own Gaussian, 5 x 5 pixels, the edge mirrored."""
    offsets = torch.arange(-2, 3, device=picture.device)
    weights = torch.exp(-0.5 * (offsets / sigma.clamp(min=0.05)[:, None]).square())
    weights = (weights / weights.sum(1, keepdim=True)).view(len(picture), 5, 1, 1, 1)
    height, width = picture.shape[-2:]
    padded = F.pad(picture, (0, 0, 2, 2), mode="reflect")
    rows = sum(weights[:, k] * padded[..., k : k + height, :] for k in range(5))
    padded = F.pad(rows, (2, 2, 0, 0), mode="reflect")
    return sum(weights[:, k] * padded[..., k : k + width] for k in range(5))


def jpeg(pictures: Tensor, quality: Tensor) -> Tensor:
    """(B, 3, H, W) uint8, each encoded as JPEG with its quality (B,) and decoded again, on the CPU."""
    stored = []
    for picture, level in zip(pictures.permute(0, 2, 3, 1).cpu().numpy(), quality.tolist(), strict=True):
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "JPEG", quality=level)
        stored.append(decode_picture(stream.getvalue()))
    return torch.stack(stored).to(pictures.device)
