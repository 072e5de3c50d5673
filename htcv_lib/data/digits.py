"""MNIST (LeCun et al., 1998) from its original idx files."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch

from htcv_lib.data.fetch import fetch
from htcv_lib.data.manifest import DataError, Manifest, load_manifest
from htcv_lib.data.sets import ImageSet

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
