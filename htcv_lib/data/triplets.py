"""The report's data set, in the folders its author used: `images`, `masks` and `depth`, same numbers in each.

Depth maps are the output of a network (DenseDepth: Alhashim and Wonka, 2018, arXiv:1812.11941), a pseudo-truth without
a unit. In the report's pictures of them white is near; here depth grows with distance, so they are inverted on loading.
"""

import io
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from htcv_lib.data.manifest import DataError
from htcv_lib.data.scene_view import Size, height_width
from htcv_lib.data.triplet_set import TripletSet

FOLDERS = ("images", "masks", "depth")
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
OBJECT = 128  # grey level of a mask from which a pixel is object: masks went through JPEG


def load_triplets(folder: str | Path, split: str = "train", size: Size = 80, limit: float = 1.0,
                  train_share: float = 0.8, seed: int = 0, white_is_near: bool = True) -> TripletSet:
    """One split of a folder that holds `images`, `masks` and `depth`.

    Files of one triplet have the same name, endings aside, and aside from what all names of a folder begin with: the
    report's are fgbg000001.jpg, and mask000001.jpg among the masks. Names are sorted, shuffled with a fixed seed (the
    report's order had none, so that a training begun again met its test pictures), divided, and then a fraction of each
    part is kept. So with another `limit` no picture changes sides.

    Args:
        split: "train" or "test".
        size: Side in pixels, or (H, W); pictures are squashed to it, antialiased bilinear.
        limit: Fraction of the data to take, in (0, 1].
        train_share: Fraction of the names for training, in (0, 1).
        white_is_near: As in the report's depth maps; they are inverted. False: white is far, taken as it is.

    Shapes:
        images: (N, 3, H, W) uint8
        masks:  (N, 1, H, W) in [0, 1]; binary at 128 before resizing, so that only outlines have values between
        depth:  (N, 1, H, W) in [0, 1], 1 is far

    Errors: DataError for a missing folder, a file without partner (it is named), two files of one name, a file that
        is no picture, a fraction that leaves a split empty.
    """
    paths = find_triplets(folder)
    names = split_triplet_names(paths, split, limit, train_share, seed)
    arrays = [np.empty((len(names), channels, *height_width(size)), np.uint8) for channels in (3, 1, 1)]

    def decode(i: int) -> None:
        for array, part in zip(arrays, _decoded(paths[names[i]], size), strict=True):
            array[i] = part

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(decode, range(len(names))))
    if white_is_near:
        np.subtract(255, arrays[2], out=arrays[2])
    return TripletSet(*map(torch.from_numpy, arrays), names)


def find_triplets(folder: str | Path) -> dict[str, tuple[Path, Path, Path]]:
    """Name without ending -> paths of image, mask and depth, sorted by name; errors as in `load_triplets`."""
    root = Path(folder).expanduser()
    found = {part: _pictures(root / part) for part in FOLDERS}
    numbered = {part: _without_prefix(pictures) for part, pictures in found.items()}
    if len({frozenset(pictures) for pictures in found.values()}) > 1 >= len(set(map(frozenset, numbered.values()))):
        found = numbered
    names = sorted(set().union(*found.values()))
    if not names:
        raise DataError(f"{root}: no pictures in {', '.join(FOLDERS)}")
    lonely = [(name, [part for part in FOLDERS if name not in found[part]]) for name in names]
    lonely = [(name, absent) for name, absent in lonely if absent]
    if lonely:
        name, absent = lonely[0]
        more = f"; {len(lonely) - 1} more names are incomplete" if len(lonely) > 1 else ""
        raise DataError(f"{root}: {name} has no partner in {' and '.join(absent)}{more}")
    return {name: tuple(found[part][name] for part in FOLDERS) for name in names}


def split_triplet_names(names: Iterable[str], split: str, limit: float = 1.0, train_share: float = 0.8,
                        seed: int = 0) -> list[str]:
    """Names of one split in the order of the shuffle; see `load_triplets`.

    Of N names the first round(train_share * N) are for training; of each part the first round(limit * part) are kept.
    """
    if not 0 < limit <= 1 or not 0 < train_share < 1:
        raise ValueError(f"limit must be in (0, 1] and train_share in (0, 1), got {limit} and {train_share}")
    if split not in ("train", "test"):
        raise ValueError(f"split must be train or test, got {split!r}")
    ordered = sorted(names)
    shuffled = [ordered[i] for i in np.random.default_rng(seed).permutation(len(ordered))]
    border = round(train_share * len(shuffled))
    part = shuffled[:border] if split == "train" else shuffled[border:]
    kept = part[: round(limit * len(part))]
    if not kept:
        raise DataError(f"{len(ordered)} triplets, limit {limit}, train_share {train_share}: nothing left for {split}")
    return kept


def decode_triplet(contents: Sequence[bytes], size: Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Encoded image, mask and depth -> uint8 (3, H, W), (1, H, W), (1, H, W); no depth is inverted."""
    height, width = height_width(size)
    image, mask, depth = (Image.open(io.BytesIO(content)) for content in contents)
    mask = mask.convert("L").point(lambda level: 255 * (level >= OBJECT))
    squashed = [np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
                for picture in (image.convert("RGB"), mask, depth.convert("L"))]
    return squashed[0].transpose(2, 0, 1), squashed[1][None], squashed[2][None]


def _decoded(paths: Sequence[Path], size: Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    try:
        return decode_triplet([path.read_bytes() for path in paths], size)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise DataError(f"{paths[0]}: it, its mask or its depth cannot be read as a picture: {error}") from error


def _without_prefix(pictures: dict[str, Path]) -> dict[str, Path]:
    """The same by what follows the words that all names begin with: mask000001 -> 000001."""
    prefix = re.match(r"\D*", os.path.commonprefix(list(pictures))).group()
    return {name.removeprefix(prefix): path for name, path in pictures.items()}


def _pictures(folder: Path) -> dict[str, Path]:
    """Name without ending -> path of every picture of a folder."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; a data set of triplets has {', '.join(FOLDERS)}")
    by_name = defaultdict(list)
    for path in folder.iterdir():
        if path.suffix.lower() in PICTURES and not path.name.startswith("."):
            by_name[path.stem].append(path)
    for name, paths in by_name.items():
        if len(paths) > 1:
            files = ", ".join(sorted(path.name for path in paths))
            raise DataError(f"{folder}: {len(paths)} files are named {name}: {files}")
    return {name: paths[0] for name, paths in by_name.items()}
