"""Photographs of pets with trimaps, and your own photographs."""

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, UnidentifiedImageError
from torch import Tensor, nn

from htcv_lib.data.batches import SegmentationSet
from htcv_lib.data.files import cached_arrays, fetch, read_members
from htcv_lib.data.manifest import DataError, Manifest, load_manifest
from htcv_lib.figures.grids import class_map, pictures, show_tiles
from htcv_lib.image import READ, open_picture, pictures_in

# Oxford-IIIT Pet (Parkhi et al., 2012): photographs and trimaps as uint8 tensors.

PET_CLASSES = ("pet", "background", "border")  # trimap values 1, 2, 3
MASK_RESIZE = ("nearest", "bilinear")


def load_pets(dataset: str | Manifest, split: str, size: int, mask_resize: str = "nearest") -> SegmentationSet:
    """One split, every image squashed to `size` x `size` pixels.

    Args:
        dataset: "oxford_pets", "oxford_pets_630", either with "/sample", or a manifest of the same layout.
        split: "train", "val" or "test"; or several, "train+val", one after the other.
        size: Side in pixels.
        mask_resize: "nearest"; or "bilinear", which repeats the report's mistake (see `trimap_classes`).

    Shapes:
        images: (N, 3, size, size) uint8
        masks:  (N, size, size) uint8, index into PET_CLASSES
    """
    if mask_resize not in MASK_RESIZE:
        raise ValueError(f"mask_resize must be one of {MASK_RESIZE}, got {mask_resize!r}")
    manifest = load_manifest(dataset)
    if "+" in split:
        parts = [load_pets(manifest, part, size, mask_resize) for part in split.split("+")]
        return SegmentationSet(torch.cat([part.images for part in parts]), torch.cat([part.masks for part in parts]),
                               [name for part in parts for name in part.names], PET_CLASSES)
    manifest.split(split)
    paths = fetch(manifest)
    key = {"kind": "pets", "data": manifest.digest, "split": split, "size": size, "mask_resize": mask_resize}
    arrays = cached_arrays(key, lambda: decode_pets(manifest, paths, split, size, mask_resize))
    images, masks = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["masks"])
    return SegmentationSet(images, masks, arrays["names"].tolist(), PET_CLASSES)


def split_names(manifest: Manifest, paths: Mapping[str, Path], split: str) -> list[str]:
    """The image names of a split; the first word of each line of the official list that is no comment."""
    chosen = manifest.split(split)
    wanted = chosen.rule["list"]
    for path in sorted(paths.values(), key=lambda path: path.stat().st_size):  # lists are in the small one
        for _, content in read_members(path, lambda name: name == wanted):
            lines = [line.split() for line in content.decode().splitlines()]
            names = [line[0] for line in lines if line and not line[0].startswith("#")]
            return chosen.select(names, manifest.name)
    raise DataError(f"{manifest.name}: no {wanted} in {', '.join(map(str, paths.values()))}")


def decode_pets(manifest: Manifest, paths: Mapping[str, Path], split: str, size: int,
                mask_resize: str) -> dict[str, np.ndarray]:
    """Arrays `images`, `masks` and `names` of a split, read from its archives in one pass each."""
    names = split_names(manifest, paths, split)
    jobs = {f"images/{name}.jpg": ("image", i) for i, name in enumerate(names)}
    jobs |= {f"annotations/trimaps/{name}.png": ("mask", i) for i, name in enumerate(names)}
    images = np.empty((len(names), 3, size, size), np.uint8)
    masks = np.empty((len(names), size, size), np.uint8)

    def decode(member: tuple[str, bytes]) -> str:
        name, content = member
        kind, i = jobs[name]
        try:
            if kind == "image":
                images[i] = squashed_image(content, size)
            else:
                masks[i] = trimap_classes(content, size, mask_resize)
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise DataError(f"{manifest.name}: {name} cannot be decoded: {error}") from error
        return name

    seen = set()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path in paths.values():
            members: Iterator[tuple[str, bytes]] = read_members(path, jobs.__contains__)
            while block := list(islice(members, 128)):  # bounds what waits in memory
                seen.update(pool.map(decode, block))
    if absent := sorted(set(jobs) - seen):
        raise DataError(f"{manifest.name}: {len(absent)} of {len(jobs)} members absent, first {absent[0]}")
    return {"images": images, "masks": masks, "names": np.array(names)}


def squashed_image(content: bytes, size: int) -> np.ndarray:
    """An encoded photograph as (3, size, size) uint8, antialiased bilinear, aspect ratio not kept."""
    image = Image.open(io.BytesIO(content))
    image.draft("RGB", (2 * size, 2 * size))  # JPEG only: decode at 1/2, 1/4 or 1/8 when that stays larger
    return squashed(image, size)


def squashed(image: Image.Image, size: int) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def trimap_classes(content: bytes, size: int, mask_resize: str = "nearest") -> np.ndarray:
    """An encoded trimap (1 pet, 2 background, 3 border) as (size, size) uint8 class indices.

    "bilinear" does what the report did: the trimap was resized like a photograph, divided by 255,
    multiplied by 255, lowered by one and truncated. Rounding back to 8 bits after interpolation turns
    the middle of a step from pet (1) to border (3) into background (2).
    """
    trimap = Image.open(io.BytesIO(content))
    if trimap.mode == "P":
        trimap = Image.fromarray(np.asarray(trimap))  # the values are the palette indices
    if trimap.mode != "L":
        raise ValueError(f"a trimap is one 8-bit channel, got mode {trimap.mode}")
    low, high = trimap.getextrema()
    if low < 1 or high > len(PET_CLASSES):
        raise ValueError(f"trimap values must be 1, 2 or 3, found {low} to {high}")
    how = Image.Resampling.NEAREST if mask_resize == "nearest" else Image.Resampling.BILINEAR
    return np.asarray(trimap.resize((size, size), how)) - np.uint8(1)  # v / 255 * 255 - 1 is exact here


# Your own photographs: a folder of pictures, no masks.


def load_photos(folder: str | Path, size: int, most: int = 0, say: Callable[[str], None] = print) -> SegmentationSet:
    """Pictures of a folder, by name, squashed to `size` x `size` as the pet photographs are; see `open_picture`.

    Files that are no pictures are ignored; a picture that cannot be read is named in a line, and left out.

    Args:
        most: At most so many, evenly from the list; 0: all.

    Shapes:
        images: (N, 3, size, size) uint8; `masks` is None
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of photographs")
    paths = pictures_in(folder)
    paths = paths[:: max(1, len(paths) // most)][:most] if most else paths
    images = {}
    for path in paths:  # one after the other: each is large
        try:
            images[path.name] = squashed(open_picture(path, 2 * size), size)
        except ValueError as fault:
            say(str(fault))
    if not images:
        raise DataError(f"{folder}: no photographs in it that can be read ({', '.join(sorted(READ))})")
    return SegmentationSet(torch.from_numpy(np.stack(list(images.values()))), None, list(images), PET_CLASSES)


def own_sheet(network: nn.Module, images: Tensor, names: Sequence[str]) -> Figure:
    """A row for each photograph: itself, and the class of each pixel. Images (N, 3, H, W) in [0, 1]."""
    tiles = np.stack([pictures(images), class_map(network(images).argmax(1))], axis=1)
    return show_tiles(tiles, ["photo", "prediction"], [name[:18] for name in names], width=5.2)
