"""SIDAR (earlier SIAR) as its authors store it: one folder per sequence with `gt.png` and numbered views.

A folder holds `gt.png` (the clean picture), `0.png` ... `9.png` (the distorted views) and, in the part made for
evaluation, `0-m.png` ... `9-m.png` (solids white on black). M. Kwiatkowski, S. Matern, O. Hellwich, "SIDAR: Synthetic
Image Dataset for Alignment & Restoration", VISAPP 2024, arXiv:2305.12036. Facts of the layout: the public code of
Decomposer (arXiv:2311.16829).
"""

import csv
import hashlib
from pathlib import Path
from typing import NamedTuple

from htcv_lib.data.manifest import DataError

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
