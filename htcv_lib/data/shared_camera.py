"""What a camera does to a whole picture: blur, sensor noise, JPEG.

It comes after compositing and with the same settings for the picture with and without the object, so that the edge
of a paste is no easier to see than any other.
"""

import io
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from htcv_lib.data.draws import Draws


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
