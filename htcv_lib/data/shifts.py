"""Random shifts and rotations for small pictures such as digits, of a whole batch at once on its device."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from htcv_lib.data.augment import Augmentation, Batch, Compose, RandomFlip, uniform


@dataclass(frozen=True)
class RandomShift:
    """Moves each image by up to `pixels` in both directions, whole pixels, the border mirrored into the gap.

    Only `image` (B, C, H, W) changes; class labels stay as they are.
    """

    pixels: int = 4

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        image = batch["image"]
        count, _, height, width = image.shape
        padded = F.pad(image, [self.pixels] * 4, mode="reflect")
        offset = torch.randint(0, 2 * self.pixels + 1, (2, count, 1), generator=generator, device=image.device)
        rows = offset[0] + torch.arange(height, device=image.device)  # (B, H)
        columns = offset[1] + torch.arange(width, device=image.device)  # (B, W)
        which = torch.arange(count, device=image.device)[:, None, None]
        moved = padded.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]]  # (B, H, W, C)
        return batch | {"image": moved.permute(0, 3, 1, 2)}


@dataclass(frozen=True)
class RandomTurn:
    """Rotates each image by up to `degrees` and moves it by up to `shift` of its side; black comes in.

    Sampled bilinearly in one pass.
    """

    degrees: float = 10.0
    shift: float = 0.08

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        image = batch["image"]
        angle = uniform(image, generator, -1, 1) * math.radians(self.degrees)
        x, y = (2 * self.shift * uniform(image, generator, -1, 1) for _ in range(2))
        cos, sin = angle.cos(), angle.sin()
        theta = torch.stack([cos, -sin, x, sin, cos, y], dim=1).view(-1, 2, 3)
        grid = F.affine_grid(theta, list(image.shape), align_corners=False)
        return batch | {"image": F.grid_sample(image, grid, "bilinear", "zeros", align_corners=False)}


def small_augmentation(name: str) -> Augmentation | None:
    """A named recipe: "none" (None), "flip", "turn" (digits), or "flip_shift" (small photographs).

    Errors: ValueError for another name.
    """
    recipes = {"none": (), "flip": (RandomFlip(),), "turn": (RandomTurn(),),
               "flip_shift": (RandomFlip(), RandomShift())}
    if name not in recipes:
        raise ValueError(f"augmentation must be one of {', '.join(recipes)}, got {name!r}")
    return Compose(recipes[name]) if recipes[name] else None
