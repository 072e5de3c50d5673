"""What `htcv data list|fetch|verify` print."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from htcv_lib.data.files import check, download, find, split_members, verify
from htcv_lib.data.manifest import DataError, Manifest, load_manifest, manifest_names


class Line(NamedTuple):
    """One line to print, and whether what it says is good."""

    ok: bool
    text: str


def size_text(size: int | None) -> str:
    """12345678 -> '11.8 MiB'."""
    if size is None:
        return "unknown size"
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"


def everything() -> list[str]:
    """Names of all manifests and of all bundled samples."""
    return [each for name in manifest_names()
            for each in (name, f"{name}/sample")[: 2 if load_manifest(name).sample else 1]]


def where(manifest: Manifest) -> str:
    """The place that has the whole data set, or what is missing and how it can be had."""
    hits = [find(file) for file in manifest.files]
    if None not in hits:
        return ", ".join(sorted({place for place, _ in hits}))
    absent = [file for file, hit in zip(manifest.files, hits, strict=True) if hit is None]
    size = size_text(sum(file.size or 0 for file in absent))
    return f"can be fetched ({size})" if all(file.url for file in absent) else "not here (set HTCV_DATA)"


def list_data() -> str:
    """A table of every data set: size, where it is, splits, licence."""
    rows = [("data set", "size", "where", "splits", "licence")]
    for name in everything():
        manifest = load_manifest(name)
        size = size_text(sum(file.size or 0 for file in manifest.files))
        splits = ", ".join(f"{split.name} {split.count}" for split in manifest.splits.values())
        rows.append((name, size, where(manifest), splits, manifest.license))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def fetch_data(names: Iterable[str] = (), progress: bool = True) -> Iterator[Line]:
    """Fetch what is missing of the named data sets (of all that have an address, if none is named)."""
    named = list(names)
    for name in named or manifest_names():
        try:
            manifest = load_manifest(name)
            for file in manifest.files:
                hit = find(file)
                if hit is None and file.url and file.bundled is None:
                    path = download(file, progress)
                    yield Line(True, f"fetched  {name}: {path}")
                elif hit is None and not named:
                    yield Line(True, f"skipped  {name}: {file.path} has no public address (set HTCV_DATA)")
                else:
                    path = check(file, hit[1]) if hit else verify(manifest)[file.name]
                    yield Line(True, f"present  {name}: {path}")
        except DataError as error:
            yield Line(False, f"error    {name}: {error}")


def verify_data(names: Iterable[str] = ()) -> Iterator[Line]:
    """Read every file of the named data sets, compare checksums, and counts where splits are patterns.

    With no names, all data sets and samples are looked at, and one that is not on this machine is no error.
    """
    named = list(names)
    for name in named or everything():
        try:
            manifest = load_manifest(name)
            if not named and not manifest.is_sample and all(find(file) is None for file in manifest.files):
                yield Line(True, f"absent   {name}: {where(manifest)}")
                continue
            paths = verify(manifest)
            for split in manifest.splits.values():
                if "match" in split.rule:
                    split_members(manifest, paths, split.name)
            count = len(manifest.files)
            yield Line(True, f"ok       {name}: {count} {'file' if count == 1 else 'files'}, checksums match")
        except DataError as error:
            yield Line(False, f"error    {name}: {error}")
