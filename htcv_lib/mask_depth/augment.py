"""Random changes for pictures with mask and depth, of a whole batch at once on its device.

A batch holds `image` (B, 3, H, W) in [0, 1], `mask` and `depth` (B, 1, H, W), and where there is one `background`
(B, 3, H, W). Geometry changes all of them alike; colour and noise the pictures only, both with the same settings.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.data.augment import Augmentation, Batch, Compose, uniform

PICTURES = ("image", "background")
FIELDS = (*PICTURES, "mask", "depth")


def each(batch: Batch, names: tuple[str, ...], change: Callable[[Tensor], Tensor]) -> Batch:
    """The batch with those of the named fields it has changed."""
    return batch | {name: change(batch[name]) for name in names if name in batch}


@dataclass(frozen=True)
class BrightnessContrast:
    """Brightness, then contrast about the picture's mean, times a factor in [1 - x, 1 + x]: what the report used."""

    brightness: float = 0.2
    contrast: float = 0.2

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        bright, contrast = (uniform(batch["image"], generator, 1 - x, 1 + x).view(-1, 1, 1, 1)
                            for x in (self.brightness, self.contrast))
        mean = (batch["image"] * bright).mean(dim=(1, 2, 3), keepdim=True)
        return each(batch, PICTURES, lambda x: torch.lerp(mean, x * bright, contrast).clamp(0, 1))


@dataclass(frozen=True)
class ColourShift:
    """Adds to each colour channel a number of its own in [-most, most]."""

    most: float = 20 / 255

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        shift = torch.stack([uniform(batch["image"], generator, -self.most, self.most) for _ in range(3)], dim=1)
        return each(batch, PICTURES, lambda x: (x + shift[:, :, None, None]).clamp(0, 1))


@dataclass(frozen=True)
class PixelNoise:
    """Gaussian noise of a strength, per picture, up to `most`; the background has its own draw."""

    most: float = 0.04

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        strength = uniform(batch["image"], generator, 0, self.most).view(-1, 1, 1, 1)

        def noisy(x: Tensor) -> Tensor:
            noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            return (x + strength * noise).clamp(0, 1)
        return each(batch, PICTURES, noisy)


@dataclass(frozen=True)
class FlipSides:
    """Left becomes right, with probability `p` for each picture."""

    p: float = 0.5

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        flip = (uniform(batch["image"], generator) < self.p).view(-1, 1, 1, 1)
        return each(batch, FIELDS, lambda x: torch.where(flip, x.flip(-1), x))


@dataclass(frozen=True)
class TurnAll:
    """Rotates by up to `degrees`; the edge is mirrored into the corners. Depth takes the nearest pixel."""

    degrees: float = 10.0

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        image = batch["image"]
        angle = uniform(image, generator, -1, 1) * math.radians(self.degrees)
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        shape = image.shape[-1] / image.shape[-2]  # width over height: turn in pixels, not in halves of the sides
        theta = torch.stack([cos, -sin / shape, zero, sin * shape, cos, zero], dim=1).view(-1, 2, 3)
        grid = F.affine_grid(theta, list(image.shape), align_corners=False)
        smooth = each(batch, (*PICTURES, "mask"),
                      lambda x: F.grid_sample(x, grid, "bilinear", "reflection", align_corners=False))
        return each(smooth, ("depth",), lambda x: F.grid_sample(x, grid, "nearest", "reflection", align_corners=False))


@dataclass(frozen=True)
class Mosaic:
    """Four pictures in one: quarters met at a random point, each a random crop of a picture of the batch.

    With probability `p` for each; the first quarter is the picture's own. Nothing is resized, so depth keeps its
    meaning.
    """

    p: float = 0.5

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        image = batch["image"]
        count, _, height, width = image.shape
        device = image.device
        sources = [torch.arange(count, device=device)]
        sources += [torch.randperm(count, generator=generator, device=device) for _ in range(3)]
        whole = uniform(image, generator) >= self.p  # (B,)
        split_row = torch.where(whole, height, (uniform(image, generator, 0.3, 0.7) * height).round().long())
        split_column = torch.where(whole, width, (uniform(image, generator, 0.3, 0.7) * width).round().long())
        rows, columns = (torch.arange(n, device=device).expand(count, -1) for n in (height, width))
        low, right = rows >= split_row[:, None], columns >= split_column[:, None]  # (B, H), (B, W)
        source = torch.zeros(count, height, width, dtype=torch.int64, device=device)
        row, column = torch.zeros_like(source), torch.zeros_like(source)
        for quarter in range(4):
            below, beside = divmod(quarter, 2)
            here = (low == bool(below))[:, :, None] & (right == bool(beside))[:, None, :]
            moved = [moved_crop(n, at, bool(side), uniform(image, generator))
                     for n, at, side in ((height, split_row, below), (width, split_column, beside))]
            source = torch.where(here, sources[quarter][:, None, None], source)
            row = torch.where(here, (rows + moved[0][:, None])[:, :, None], row)
            column = torch.where(here, (columns + moved[1][:, None])[:, None, :], column)
        return each(batch, FIELDS, lambda x: x[source[:, None], torch.arange(x.shape[1], device=device)[:, None, None],
                                              row[:, None], column[:, None]])


def moved_crop(length: int, at: Tensor, second: bool, place: Tensor) -> Tensor:
    """How far (B,) the part before (or, `second`, from) `at` may be read elsewhere along a side and stay inside."""
    room = torch.where(torch.tensor(second, device=at.device), at, length - at)
    step = (place * (room + 1)).floor().long().clamp(max=length)
    return -step if second else step


@dataclass(frozen=True)
class CutSquare:
    """A grey square of a quarter to a half of the side hides a part of the pictures; mask and depth stay whole."""

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        image = batch["image"]
        height, width = image.shape[-2:]
        side = uniform(image, generator, 0.25, 0.5) * min(height, width)
        inside = []
        for length in (height, width):
            middle = uniform(image, generator, 0, length)
            pixel = torch.arange(length, device=image.device) + 0.5
            inside.append((pixel - middle[:, None]).abs() <= 0.5 * side[:, None])  # (B, length)
        hidden = (inside[0][:, :, None] & inside[1][:, None, :])[:, None]
        return each(batch, PICTURES, lambda x: torch.where(hidden, 0.5, x))


PIECES = {"light": BrightnessContrast(), "rgb": ColourShift(), "noise": PixelNoise(), "mosaic": Mosaic(),
          "flip": FlipSides(), "turn": TurnAll(), "cutout": CutSquare()}


def depth_augmentation(name: str) -> Augmentation | None:
    """A recipe by name, or several joined by "+", in that order.

    "none" (None); "light" brightness and contrast, as reported; "rgb", "noise" and "mosaic", which the report names but
    did not use; "flip", "turn" and "cutout", which it held unnecessary.
    Errors: ValueError for another name.
    """
    names = [] if name == "none" else name.split("+")
    if unknown := [each_name for each_name in names if each_name not in PIECES]:
        raise ValueError(f"augmentation must be none or of {', '.join(PIECES)} joined by +, got {unknown[0]!r}")
    return Compose(tuple(PIECES[each_name] for each_name in names)) if names else None
