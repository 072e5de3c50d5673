"""Composites with mask and depth: the report's folders, and 31 real triplets of its course."""

import io
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from htcv_lib.data.batches import DataSet
from htcv_lib.data.files import fetch, read_members
from htcv_lib.data.manifest import DataError, Manifest, load_manifest
from htcv_lib.image import Size, height_width, in_unit


@dataclass(frozen=True)
class TripletSet(DataSet):
    """Composites with the mask of the pasted object and a depth map, all in 8 bits."""

    images: Tensor  # (N, 3, H, W) uint8, the composite
    mask_levels: Tensor  # (N, 1, H, W) uint8, 255 is all object; levels between are shares of a pixel
    depth_levels: Tensor  # (N, 1, H, W) uint8, 0 is near, 255 is far
    names: list[str]
    sets: list[str] | None = None  # which collection each picture is from, where there are several

    @property
    def masks(self) -> Tensor:
        """Share of each pixel that is object, made anew: (N, 1, H, W) float32 in [0, 1]; > 0.5 is object."""
        return in_unit(self.mask_levels)

    @property
    def depth(self) -> Tensor:
        """Depth, made anew: (N, 1, H, W) float32 in [0, 1]; 1 is far. No unit: see where the set comes from."""
        return in_unit(self.depth_levels)

    def of(self, collection: str) -> "TripletSet":
        """The pictures of one collection, for example "a"; ValueError if there are none."""
        where = [i for i, name in enumerate(self.sets or ()) if name == collection]
        if not where:
            raise ValueError(f"no pictures of {collection!r}; there are {', '.join(sorted(set(self.sets or ())))}")
        return self.subset(where)

    def tensors(self) -> dict[str, Tensor]:
        """What a batch is cut from, by field name, uint8; there is no `background`: these sets come without."""
        return {"image": self.images, "mask": self.mask_levels, "depth": self.depth_levels}


# The report's data set, in the folders its author used: `images`, `masks` and `depth`, same numbers in each.
#
# Depth maps are the output of a network (DenseDepth: Alhashim and Wonka, 2018, arXiv:1812.11941), a pseudo-truth
# without a unit. In the report's pictures of them white is near; here depth grows with distance, so they are inverted.

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
        files = paths[names[i]]
        try:
            parts = decode_triplet([path.read_bytes() for path in files], size)
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise DataError(f"{files[0]}: it, its mask or its depth cannot be read as a picture: {error}") from error
        for array, part in zip(arrays, parts, strict=True):
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


# 31 real triplets that participants of the report's course made, from three data sets: a test, not a training set.
#
# Here white is far: the ground at the lower edge is dark, the sky and the ends of rooms are bright, and most pasted
# animals and people are darker than what is behind them. The maps come from DenseDepth (Alhashim and Wonka, 2018,
# arXiv:1812.11941), each stretched to its own range: they have no unit, only an order, and near the frame an artefact
# of the network. Compare a prediction with them after `scale_and_shift`.

PARTS = ("fg_bg", "fg_bg_mask", "depthmap")  # folders of image, mask and depth


def load_depthmask_sample(size: Size = 80, dataset: str | Manifest = "depthmask_sample/sample") -> TripletSet:
    """All 31 triplets, five of set "a" (sides 220 px), sixteen of "b" (192 px), ten of "c" (132 px), in this order.

    Args:
        size: Side in pixels, or (H, W); pictures are squashed to it, antialiased bilinear.
        dataset: The copy at 96 px in the repository, or "depthmask_sample", the files themselves (in `HTCV_DATA`).

    Shapes:
        images: (31, 3, H, W) uint8
        masks:  (31, 1, H, W) in [0, 1]; binary at 128 before resizing
        depth:  (31, 1, H, W) in [0, 1], 0 near and 1 far, without unit
        names:  31, as "a/26682"; `sets`: 31 letters
    """
    manifest = load_manifest(dataset)
    rules = {name: split.rule["match"] for name, split in manifest.splits.items()}
    members = {}
    for path in fetch(manifest).values():
        members |= dict(read_members(path, lambda name: PurePosixPath(name).parent.name in PARTS))
    rows, names, sets = [], [], []
    for split, pattern in rules.items():
        letter = split.removeprefix("set_")
        found = [name for name in sorted(members) if fnmatchcase(name, pattern)]
        for image in manifest.split(split).select(found, manifest.name):
            try:
                rows.append(decode_triplet([members[name] for name in partners(image, members)], size))
            except (OSError, ValueError) as error:
                raise DataError(f"{manifest.name}: {image} cannot be decoded: {error}") from error
            names.append(f"{letter}/{number(image)}")
            sets.append(letter)
    images, masks, depth = (torch.from_numpy(np.stack(part)) for part in zip(*rows, strict=True))
    return TripletSet(images, masks, depth, names, sets)


def number(member: str) -> str:
    """What the three files of a triplet share: "fg_bg_26682.jpg" and "depth_26682.jpg" -> "26682"."""
    return PurePosixPath(member).stem.rsplit("_", 1)[-1]


def partners(image: str, members: dict[str, bytes]) -> list[str]:
    """Member names of the image, its mask and its depth; DataError naming what is missing."""
    root, wanted = PurePosixPath(image).parent.parent, number(image)
    chosen = []
    for part in PARTS:
        found = [name for name in members if PurePosixPath(name).parent == root / part and number(name) == wanted]
        if len(found) != 1:
            raise DataError(f"{image}: expected one partner in {root / part}, found {len(found)}")
        chosen += found
    return chosen
