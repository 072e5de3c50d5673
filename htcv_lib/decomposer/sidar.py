"""Sequences of SIDAR: a folder in the authors' layout, and the two real sequences of the data pack."""

import csv
import hashlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import torch
from torch import Tensor

from htcv_lib.data.files import fetch, read_members
from htcv_lib.data.manifest import DataError, Manifest, load_manifest
from htcv_lib.decomposer.sequences import SequenceSet, reduced
from htcv_lib.image import Size, decode_picture, height_width, shrunk

# SIDAR (earlier SIAR) as its authors store it, a folder for each sequence, which holds `gt.png` (the clean picture),
# `0.png` ... `9.png` (the distorted views) and, in the part made for evaluation, `0-m.png` ... `9-m.png` (solids white
# on black). M. Kwiatkowski, S. Matern, O. Hellwich, "SIDAR: Synthetic Image Dataset for Alignment & Restoration",
# VISAPP 2024, arXiv:2305.12036. Facts of the layout: the public code of Decomposer (arXiv:2311.16829).

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


class SidarFiles(NamedTuple):
    """The files of one sequence."""

    original: Path
    views: list[Path]  # in the order of their numbers
    masks: list[Path] | None  # one for each view, or None where there are none


def sidar_split(name: str) -> str:
    """"train", "val" or "test" for a sequence's folder, 80/10/10 by a hash of its name.

    The reports drew their lists at random without a seed. The hash never changes, whatever else there is on a disk.
    """
    place = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") / 2**64  # uniform in [0, 1)
    for split, share in SHARES.items():
        if place < share:
            return split
        place -= share
    return split


def sequence_folders(folder: Path, split: str, lists: Path | None = None) -> list[Path]:
    """The sequences of a split, numbers in their order and before other names.

    Args:
        folder: Holds one folder per sequence; those without `gt.png` are not sequences.
        split: "train", "val", "test", or "all".
        lists: Folder with the authors' `train.csv`, `val.csv` and `test.csv` (a column `id`); by default `folder`
            itself, if it holds them. Without lists `sidar_split` decides.

    Errors: DataError for a folder that is not there, for a listed sequence that is not, and for a split without
    sequences; ValueError for another split.
    """
    if split not in (*SHARES, "all"):
        raise ValueError(f"split must be one of {', '.join(SHARES)} or all, got {split!r}")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    table = (lists or folder) / f"{split}.csv"
    if split != "all" and (lists is not None or table.is_file()):
        found = [folder / name for name in _listed(table)]
        if gone := [place.name for place in found if not (place / "gt.png").is_file()]:
            raise DataError(f"{table} lists {len(gone)} sequences that {folder} does not have, the first is {gone[0]}")
    else:
        found = [place.parent for place in folder.glob("*/gt.png")]
        found = [place for place in found if split in ("all", sidar_split(place.name))]
    if not found:
        raise DataError(f"{folder}: no sequences (folders with a gt.png) in split {split}")
    return sorted(found, key=lambda place: _order(place.name))


def sequence_files(place: Path, views: int) -> SidarFiles:
    """The clean picture, the first `views` views by number, and their masks if there are any.

    Errors: DataError for fewer views, and where only some of the views have a mask.
    """
    numbered = [path for path in place.iterdir() if path.stem.isdecimal() and path.suffix.lower() in SUFFIXES]
    numbered = sorted(numbered, key=lambda path: int(path.stem))[:views]
    if len(numbered) < views:
        raise DataError(f"{place}: expected {views} views, found {len(numbered)}")
    masks = [path.with_name(f"{path.stem}-m.png") for path in numbered]
    there = sum(path.is_file() for path in masks)
    if 0 < there < views:
        raise DataError(f"{place}: {there} of {views} views have a mask (N-m.png), expected all or none")
    return SidarFiles(place / "gt.png", numbered, masks if there else None)


def _listed(table: Path) -> list[str]:
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            return [row["id"] for row in csv.DictReader(stream)]
    except (OSError, KeyError) as error:
        raise DataError(f"{table}: no list with a column id: {error}") from error


def _order(name: str) -> tuple[bool, int, str]:
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)


# All pictures are averaged over areas in linear light and squashed to the size asked for; the reports did not resize,
# except for the evaluation part.

VIEWS = 10


class SidarFolder:
    """The sequences of one split of such a folder; pictures are decoded when asked for, nothing before.

    Args:
        folder, split, lists: As `sequence_folders` in `htcv_lib.decomposer.sidar`.
        size: Side in pixels, or (H, W), at most that of the files (256 px in the original).
        limit: Only the first so many sequences.
        views: T, the first ones by their numbers.

    `folder[i]` is a dict of one sequence's fields by the attributes of a `SequenceSet`: images (3, T, H, W), originals
    (3, 1, H, W), and where masks are stored, masks (1, T, H, W) and occlusions (3, T, H, W), uint8.

    Errors: DataError for files that are missing or cannot be decoded; ValueError for a size above the stored one.
    """

    def __init__(self, folder: str | Path, size: Size, split: str = "train", limit: int | None = None,
                 lists: str | Path | None = None, views: int = VIEWS):
        lists = None if lists is None else Path(lists)
        self.places = sequence_folders(Path(folder).expanduser(), split, lists)[:limit]
        self.size = height_width(size)
        self.views = views

    @property
    def names(self) -> list[str]:
        return [place.name for place in self.places]

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        files = sequence_files(self.places[index], self.views)
        views = torch.stack([_read(path) for path in files.views], dim=1)  # (3, T, H, W)
        masks = None if files.masks is None else torch.stack([_read(path, "L") for path in files.masks], dim=1)
        return reduced(views, _read(files.original), masks, self.size)


def load_sidar_folder(folder: str | Path, size: Size, split: str = "train", limit: int | None = None,
                      lists: str | Path | None = None) -> SequenceSet:
    """One split of such a folder in memory, 33 bytes per pixel and sequence: 7.9 GB for 14,541 sequences at 128 px.

    Masks and occlusions are None unless all sequences have them. Arguments and errors: see `SidarFolder`.
    """
    found = SidarFolder(folder, size, split, limit, lists)
    fields: dict[str, Tensor] = {}
    for i, row in enumerate(found):
        if i == 0:  # one allocation, filled in place
            fields = {name: tensor.new_empty(len(found), *tensor.shape) for name, tensor in row.items()}
        for name in list(fields):
            if name in row:
                fields[name][i] = row[name]
            else:
                del fields[name]
    return SequenceSet(**fields, names=found.names)


def load_sidar_sample(size: Size = 64, name: str | Manifest = "sidar_sample") -> SequenceSet:
    """The two real sequences of the pack, ten views each.

    `sequence_a` has its clean picture. `sequence_b` has none: in its place is the per-pixel median of all its eleven
    views at this size, a stand-in, and its name in the set says so. Scores against it are not scores against a truth;
    the median of the ten views comes close to it by construction. Nothing else is known of either.

    Args:
        size: Side in pixels, or (H, W): at most 256, in the sample 64; sequence b is squashed from 852 x 600.
        name: "sidar_sample" (in `HTCV_DATA`), or "sidar_sample/sample" in the repository.

    Errors: DataError for pictures that are missing or cannot be decoded; ValueError for a size above the stored one.
    """
    manifest = load_manifest(name)
    members = dict(pair for path in fetch(manifest).values() for pair in read_members(path, lambda member: True))

    def pictures(split: str) -> Tensor:  # (3, T, H, W)
        rule = manifest.split(split)
        found = rule.select([m for m in sorted(members) if fnmatchcase(m, rule.rule["match"])], manifest.name)
        return torch.stack([shrunk(_decode(members[m], m), size) for m in found], dim=1)

    first, second = pictures("sequence_a"), pictures("sequence_b")
    [truth] = [m for m in members if PurePosixPath(m).stem == "gt"]
    stand_in = second.median(dim=1, keepdim=True).values  # of eleven: the one in the middle
    return SequenceSet(
        images=torch.stack([first[:, :VIEWS], second[:, :VIEWS]]),
        originals=torch.stack([shrunk(_decode(members[truth], truth)[:, None], size), stand_in]),
        names=["sequence_a", "sequence_b (stand-in: median of the views)"])


def _read(path: Path, mode: str = "RGB") -> Tensor:
    try:
        return _decode(path.read_bytes(), path, mode)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _decode(content: bytes, place: str | Path, mode: str = "RGB") -> Tensor:
    try:
        return decode_picture(content, mode)
    except OSError as error:
        raise DataError(f"{place} cannot be decoded: {error}") from error
