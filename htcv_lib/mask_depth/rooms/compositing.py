"""Cut-outs put into a scene, and what a camera does to the whole picture."""

import io
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from htcv_lib.data.augment import Draws
from htcv_lib.mask_depth.rooms.geometry import Billboards, Hits, Rooms, turned

# Cut-outs put into a scene: colours harmonised, contact shadow, feathered alpha; and pastes that are none.
#
# All in linear colours (see room_colours) at the supersampled size, before the camera's own blur and noise.


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
    rows = ((torch.arange(height, device=scene.device) + 0.5) * (2 / height) - 1)[None, :, None]
    columns = (((torch.arange(width, device=scene.device) + 0.5) * 2 - width) / height)[None, None, :]
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
    return jpeg(to_bytes(blurred + strength * noise), cameras.quality)


def to_bytes(picture: Tensor) -> Tensor:
    """[0, 1] to uint8, rounded."""
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)


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
    stored = np.empty((len(pictures), *pictures.shape[-2:], 3), np.uint8)
    for i, picture in enumerate(pictures.permute(0, 2, 3, 1).contiguous().cpu().numpy()):
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "JPEG", quality=int(quality[i]))
        stored[i] = Image.open(stream)
    return torch.from_numpy(stored).permute(0, 3, 1, 2).contiguous().to(pictures.device)
