"""CIFAR-10 (Krizhevsky, 2009) from lossless WebP mosaics in the official order."""

import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from htcv_lib.data.archive import read_members
from htcv_lib.data.decoded import cached_arrays
from htcv_lib.data.fetch import fetch
from htcv_lib.data.manifest import DataError, Manifest, load_manifest
from htcv_lib.data.sets import ImageSet

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
    mosaic = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    rows, columns = mosaic.shape[0] // TILE, mosaic.shape[1] // TILE
    tiles = mosaic.reshape(rows, TILE, columns, TILE, 3).transpose(0, 2, 4, 1, 3)
    return tiles.reshape(rows * columns, 3, TILE, TILE)
