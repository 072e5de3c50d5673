"""MNIST and CIFAR-10 as uint8 tensors, your own digits, and random changes for small pictures."""

import gzip
import math
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from torch import Tensor

from htcv_lib.data.augment import Augmentation, Batch, Compose, RandomFlip, uniform
from htcv_lib.data.batches import ImageSet
from htcv_lib.data.files import cached_arrays, fetch, read_members
from htcv_lib.data.manifest import DataError, Manifest, load_manifest
from htcv_lib.image import decode_picture, open_picture

# CIFAR-10 (Krizhevsky, 2009) from lossless WebP mosaics in the official order.

TILE = 32  # pixels


def load_cifar10(dataset: str | Manifest = "cifar10_pack", split: str = "train") -> ImageSet:
    """Images (N, 3, 32, 32) and labels (N,), uint8, of a split of "cifar10_pack" or its sample.

    5,407 of the 10,000 test images come from a JPEG copy: the split "test_lossless" leaves them out,
    "test_first1000" is the largest start of the test set without any, and holds all ten classes.
    """
    manifest = load_manifest(dataset)
    chosen = manifest.split(split)
    paths = fetch(manifest)
    [labels_path] = [path for name, path in paths.items() if name.endswith(".npz")]
    with np.load(labels_path, allow_pickle=False) as stored:
        table = dict(stored)
    part = chosen.rule["part"]
    labels = table[f"{part}_labels"]
    kept = table[chosen.rule["only"]] if "only" in chosen.rule else np.ones(len(labels), bool)
    keep = np.array(chosen.select(np.flatnonzero(kept).tolist(), manifest.name))
    key = {"kind": "cifar10", "data": [[file.name, file.checksum] for file in manifest.files], "part": part}
    images = cached_arrays(key, lambda: {"images": decode_mosaics(paths, part)})["images"]
    if len(images) != len(labels):
        raise DataError(f"{manifest.name}: {len(images)} images but {len(labels)} labels in {part}")
    classes = tuple(str(name) for name in table["class_names"])
    return ImageSet(torch.from_numpy(images[keep]), torch.from_numpy(labels[keep].astype(np.uint8)), classes)


def decode_mosaics(paths: Mapping[str, Path], part: str) -> np.ndarray:
    """All tiles of the mosaics PART_00.webp, PART_01.webp ... of some archives: (N, 3, 32, 32) uint8."""
    wanted = re.compile(rf"{part}_\d+\.webp")
    mosaics = {}
    for name, path in paths.items():
        if name.endswith(".tar"):
            mosaics |= {member: mosaic_tiles(content)
                        for member, content in read_members(path, lambda name: bool(wanted.fullmatch(name)))}
    if not mosaics:
        raise DataError(f"no {part}_NN.webp in {', '.join(map(str, paths.values()))}")
    return np.concatenate([mosaics[name] for name in sorted(mosaics)])


def mosaic_tiles(content: bytes) -> np.ndarray:
    """The tiles of an encoded mosaic, row by row: (rows * columns, 3, 32, 32) uint8."""
    mosaic = decode_picture(content).numpy()  # (3, rows * 32, columns * 32)
    rows, columns = mosaic.shape[1] // TILE, mosaic.shape[2] // TILE
    return mosaic.reshape(3, rows, TILE, columns, TILE).transpose(1, 3, 0, 2, 4).reshape(-1, 3, TILE, TILE)


# MNIST (LeCun et al., 1998) from its original idx files.

DIGITS = tuple("0123456789")
IDX_UINT8 = 0x08


def load_mnist(dataset: str | Manifest = "mnist", split: str = "train") -> ImageSet:
    """Images (N, 1, 28, 28) and labels (N,), uint8, of a split of "mnist" or "mnist/sample"."""
    manifest = load_manifest(dataset)
    chosen = manifest.split(split)
    paths = fetch(manifest)
    part = chosen.rule["part"]  # "train" or "t10k", as the files are named
    images = read_idx(paths[f"{part}-images-idx3-ubyte.gz"])  # (M, 28, 28)
    labels = read_idx(paths[f"{part}-labels-idx1-ubyte.gz"])  # (M,)
    if len(images) != len(labels):
        raise DataError(f"{manifest.name}: {len(images)} images but {len(labels)} labels in {part}")
    keep = np.array(chosen.select(range(len(labels)), manifest.name))
    return ImageSet(torch.from_numpy(images[keep][:, None]), torch.from_numpy(labels[keep]), DIGITS)


def read_idx(path: Path) -> np.ndarray:
    """A gzipped idx file of unsigned bytes.

    Format: two zero bytes, type, number of dimensions, each dimension as big-endian int32, then the values.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked: {error}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != IDX_UINT8:
        raise DataError(f"{path}: not an idx file of unsigned bytes")
    start = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:start], ">i4").tolist())
    if len(content) - start != np.prod(shape, dtype=int):
        raise DataError(f"{path}: its header says {shape}, but {len(content) - start} values follow")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


# Your own digits, prepared as MNIST's makers prepared theirs: the ink fits a box, its centre of mass in the middle.

SIDE, BOX = 28, 20  # pixels, of a digit's picture and of its ink
LOOK, COARSE = 280, 7  # pixels along the longer side while ink and paper are told apart; of those, one for the paper
STROKE = 2.2  # pixels of the box: thinner strokes are made so thick, which is what MNIST's are
FAINTEST = 0.08  # of white: what differs less from the paper is no ink
INK_FROM = 0.35  # of the darkest ink: what has less is paper
SPECK = 0.15  # of the largest stroke: what is smaller is no stroke


def read_digit(path: str | Path) -> Tensor:
    """A photograph or a scan of one handwritten digit as MNIST has them, (1, 1, 28, 28) in [0, 1], ink 1.

    Dark ink on light paper or light on dark, the paper lit evenly or not; specks, and what comes in from the border,
    are left out where there is a stroke besides.

    Errors: ValueError, one line that names the file, for what `open_picture` does not read, and without ink.
    """
    path = Path(path).expanduser()
    picture = open_picture(path, 2 * LOOK).convert("L")
    scale = LOOK / max(picture.size)
    picture = picture.resize([max(1, round(scale * side)) for side in picture.size], Image.Resampling.BILINEAR)
    ink = _ink(np.asarray(picture, np.float32) / 255)
    if ink is None:
        raise ValueError(f"{path.name}: no ink can be told from the paper")
    return torch.from_numpy(_centred(_thickened(ink)))[None, None]


def own_reader(parameters: Mapping[str, Any]) -> Callable[[Path], Tensor]:
    """How a network reads your own pictures. Errors: ValueError for one that knows no digits."""
    if not parameters["dataset"].startswith("mnist"):
        raise ValueError(f"your own pictures are read as digits, and this network knows {parameters['dataset']}")
    return read_digit


def _ink(grey: np.ndarray) -> np.ndarray | None:
    """How much ink is where, in [0, 1] and as large as the strokes: (H, W) in [0, 1] -> (h, w). None without any."""
    ink = _paper(grey, 50) - grey
    grey = grey if ink.max() >= -ink.min() else 1 - grey  # now dark on light
    ink = ndimage.gaussian_filter(_paper(grey, 70) - grey, 0.7)
    darkest = ink.max()
    if darkest < FAINTEST:
        return None
    strokes, count = ndimage.label(ink > INK_FROM * darkest, np.ones((3, 3)))
    sizes = np.bincount(strokes.ravel(), minlength=count + 1)
    sizes[0] = 0
    at_border = np.unique(np.concatenate([strokes[0], strokes[-1], strokes[:, 0], strokes[:, -1]]))
    inside = sizes.copy()
    inside[at_border] = 0
    sizes = inside if inside.max() > SPECK * sizes.max() else sizes
    kept = np.isin(strokes, np.flatnonzero(sizes > SPECK * sizes.max()))
    around = ndimage.binary_dilation(kept, iterations=2)  # their soft edges
    return np.where(around, ink / darkest, 0).clip(0, 1)[ndimage.find_objects(around.astype(int))[0]]


def _paper(grey: np.ndarray, percent: float) -> np.ndarray:
    """The level of the paper around each pixel: (H, W) -> (H, W)."""
    coarse = grey[::COARSE, ::COARSE]
    window = [max(1, side // 2) for side in coarse.shape]
    paper = ndimage.percentile_filter(coarse, percent, window, mode="nearest").repeat(COARSE, 0).repeat(COARSE, 1)
    return ndimage.gaussian_filter(paper[:grey.shape[0], :grey.shape[1]], 2 * COARSE)


def _thickened(ink: np.ndarray) -> np.ndarray:
    """The same strokes, at least `STROKE` pixels of the box thick."""
    inside = ink > INK_FROM
    edge = inside & ~ndimage.binary_erosion(inside)
    missing = STROKE / BOX * max(ink.shape) - 2 * inside.sum() / max(1, edge.sum())
    radius = round(missing / 2)
    if radius < 1:
        return ink
    across = np.arange(-radius, radius + 1)
    return ndimage.grey_dilation(np.pad(ink, radius), footprint=np.hypot(*np.meshgrid(across, across)) <= radius + 0.5)


def _centred(ink: np.ndarray) -> np.ndarray:
    """(h, w) -> (28, 28) float32."""
    scale = BOX / max(ink.shape)
    height, width = (max(1, round(scale * side)) for side in ink.shape)
    small = np.array(Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
    small = (small / small.max()).clip(0, 1)
    middle = ndimage.center_of_mass(small)
    top, left = (int(np.clip(round(SIDE / 2 - at - 0.5), 0, SIDE - side))
                 for at, side in zip(middle, small.shape, strict=True))
    digit = np.zeros((SIDE, SIDE), np.float32)
    digit[top:top + height, left:left + width] = small
    return digit


# Random shifts and rotations for small pictures such as digits, of a whole batch at once on its device.


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
