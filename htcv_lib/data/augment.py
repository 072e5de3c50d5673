"""Random numbers of which number i depends on nothing else, and random changes of a whole batch at once."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.image import grey


def stream_seed(seed: int, epoch: int, purpose: str) -> int:
    """An independent seed for each epoch and purpose, so that what one draws never shifts another."""
    digest = hashlib.blake2b(f"{seed}/{epoch}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


# Random changes of a whole batch at once, on the device where it lies.
#
# Each piece is a callable `(batch, generator) -> batch`. A batch holds `image` (B, C, H, W) float in [0, 1]
# and, where there is one, `mask` (B, H, W) integer classes; geometry changes both alike, colour the image only.

Batch = dict[str, Tensor]
Augmentation = Callable[[Batch, torch.Generator], Batch]


def uniform(like: Tensor, generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    """One number per image of the batch, uniform in [low, high): (B,)."""
    return low + (high - low) * torch.rand(len(like), generator=generator, device=like.device)


@dataclass(frozen=True)
class Compose:
    """One piece after the other."""

    pieces: Sequence[Augmentation]

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        for piece in self.pieces:
            batch = piece(batch, generator)
        return batch


@dataclass(frozen=True)
class RandomFlip:
    """Left becomes right, with probability `p` for each image."""

    p: float = 0.5

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        flip = uniform(batch["image"], generator) < self.p  # (B,)
        changed = {}
        for name in ("image", "mask"):
            if name in batch:
                tensor = batch[name]
                chosen = flip.view(-1, *[1] * (tensor.ndim - 1))
                changed[name] = torch.where(chosen, tensor.flip(-1), tensor)
        return batch | changed


@dataclass(frozen=True)
class RandomResizedCrop:
    """A window of random area and shape, enlarged to the size of the batch.

    Args:
        scale: Range of the window's area as a fraction of the image's, uniform.
        ratio: Range of its width over its height, in units of the image's own; log-uniform. A side that
            would be longer than the image's is cut to it.

    The image is sampled bilinearly, the mask at the nearest pixel.
    """

    scale: tuple[float, float] = (0.5, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        image = batch["image"]
        area = uniform(image, generator, *self.scale)  # (B,)
        shape = uniform(image, generator, *map(math.log, self.ratio)).exp()
        width, height = (area * shape).sqrt().clamp(max=1), (area / shape).sqrt().clamp(max=1)
        x = uniform(image, generator, -1, 1) * (1 - width)  # centre, in [-1, 1]
        y = uniform(image, generator, -1, 1) * (1 - height)
        zero = torch.zeros_like(x)
        theta = torch.stack([width, zero, x, zero, height, y], dim=1).view(-1, 2, 3)
        grid = F.affine_grid(theta, list(image.shape), align_corners=False)  # (B, H, W, 2)
        changed = {"image": F.grid_sample(image, grid, "bilinear", "border", align_corners=False)}
        if "mask" in batch:
            mask = batch["mask"][:, None].to(image.dtype)  # (B, 1, H, W)
            mask = F.grid_sample(mask, grid, "nearest", "border", align_corners=False)
            changed["mask"] = mask[:, 0].to(batch["mask"].dtype)
        return batch | changed


@dataclass(frozen=True)
class ColorJitter:
    """Brightness, contrast and saturation of each image times a factor in [1 - x, 1 + x], in this order."""

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        image = batch["image"]
        factors = [uniform(image, generator, 1 - x, 1 + x).view(-1, 1, 1, 1)
                   for x in (self.brightness, self.contrast, self.saturation)]
        image = image * factors[0]
        image = torch.lerp(grey(image).mean(dim=(-2, -1), keepdim=True), image, factors[1])
        image = torch.lerp(grey(image), image, factors[2])
        return batch | {"image": image.clamp(0, 1)}


def augmentation(name: str) -> Augmentation | None:
    """A named recipe: "none" (None), "flip", "flip_crop" or "flip_crop_color"."""
    recipes = {
        "none": (),
        "flip": (RandomFlip(),),
        "flip_crop": (RandomFlip(), RandomResizedCrop()),
        "flip_crop_color": (RandomFlip(), RandomResizedCrop(), ColorJitter()),
    }
    if name not in recipes:
        raise ValueError(f"augmentation must be one of {', '.join(recipes)}, got {name!r}")
    return Compose(recipes[name]) if recipes[name] else None


# Uniform random numbers of a batch of pictures: what one picture gets never depends on the others.


class Draws:
    """Hands out the columns of a table of uniform numbers, each once and in order.

    Args:
        numbers: (B, K) in [0, 1), one row per picture.

    Errors: IndexError when all K columns are used.
    """

    def __init__(self, numbers: Tensor):
        self.numbers = numbers
        self.used = 0

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(B,) uniform in [low, high)."""
        if self.used == self.numbers.shape[1]:
            raise IndexError(f"only {self.used} numbers were drawn per picture")
        column = self.numbers[:, self.used]
        self.used += 1
        return low + (high - low) * column

    def log_uniform(self, low: float, high: float) -> Tensor:
        """(B,) with a uniform logarithm in [low, high), both positive."""
        return low * (high / low) ** self.uniform()

    def choice(self, count: int) -> Tensor:
        """(B,) int64, each of 0 ... count - 1 equally often."""
        return (self.uniform() * count).long().clamp_(max=count - 1)

    def chance(self, probability: float) -> Tensor:
        """(B,) bool, true with this probability."""
        return self.uniform() < probability


def picture_generator(seed: int, index: int, purpose: str) -> torch.Generator:
    """The CPU generator of one picture; the same wherever and beside whichever others it is made."""
    return torch.Generator().manual_seed(stream_seed(seed, index, purpose))


def picture_draws(generators: Sequence[torch.Generator], columns: int, device: str | torch.device = "cpu") -> Draws:
    """`columns` uniform numbers from each picture's generator, float32 on a device."""
    return Draws(torch.stack([torch.rand(columns, generator=each) for each in generators]).to(device))
