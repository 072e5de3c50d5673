"""What a data set is (files with checksums, splits with counts, licence), and where data lie on this machine."""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import yaml

# Where data lie on this machine.

MANIFESTS = Path(__file__).resolve().parents[2] / "data_manifests"


def data_folder() -> Path | None:
    """The reader's own copy of the data packs (`HTCV_DATA`), or None if it is not set."""
    folder = os.environ.get("HTCV_DATA", "").strip()
    return Path(folder).expanduser() if folder else None


def cache_folder() -> Path:
    """Downloads, decoded sets and checkpoints (`HTCV_CACHE`, default `~/.cache/htcv`)."""
    return Path(os.environ.get("HTCV_CACHE", "").strip() or "~/.cache/htcv").expanduser()


def search_folders() -> list[tuple[str, Path]]:
    """Where a data file is looked for, in this order, with the name a message gives to the place."""
    places = [("cache", cache_folder() / "data")]
    if (own := data_folder()) is not None:
        places.insert(0, ("HTCV_DATA", own))
    return places


# What a data set is: its files with checksums, its splits with counts, its licence.
#
# A manifest is a YAML file in `data_manifests/`; `NAME/sample` is the few real images of it that travel
# with the repository.

Item = TypeVar("Item")
CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")
REQUIRED = {"name", "title", "homepage", "license", "cite", "files", "splits", "fields"}
OPTIONAL = {"sample", "notes"}
RULES = {"list", "part", "match", "only", "start", "stop", "every", "except_every"}


class DataError(RuntimeError):
    """Something is wrong with data on this machine; the message is one line."""

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))


@dataclass(frozen=True)
class DataFile:
    """One file: its path below a data folder, size in bytes, `algorithm:hex` checksum, official address."""

    path: str
    checksum: str
    size: int | None = None
    url: str | None = None
    bundled: Path | None = None  # where it lies in the repository, for files of a sample

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Split:
    """Which items of a data set belong together, and how many there must be."""

    name: str
    count: int
    rule: Mapping[str, Any]

    def select(self, items: Sequence[Item], dataset: str = "") -> list[Item]:
        """The items kept: `start:stop` of them, then every n-th (the n-th, 2n-th ...) or all but those."""
        items = list(items)[self.rule.get("start") : self.rule.get("stop")]
        if n := self.rule.get("every"):
            items = items[n - 1 :: n]
        elif n := self.rule.get("except_every"):
            items = [item for i, item in enumerate(items, 1) if i % n]
        if len(items) != self.count:
            raise DataError(f"{dataset} split {self.name}: expected {self.count} items, found {len(items)}")
        return items


@dataclass(frozen=True)
class Manifest:
    """A data set as its YAML file describes it."""

    name: str
    title: str
    homepage: str | None
    license: str
    cite: str
    files: tuple[DataFile, ...]
    splits: Mapping[str, Split]
    fields: Mapping[str, Any]
    notes: str = ""
    sample: "Manifest | None" = None

    @property
    def is_sample(self) -> bool:
        return self.name.endswith("/sample")

    @cached_property
    def digest(self) -> str:
        """sha256 over what decides the pixels: file checksums, splits and fields; no prose, no addresses."""
        parts = {
            "files": [[file.name, file.checksum] for file in self.files],
            "splits": {name: [split.count, dict(split.rule)] for name, split in self.splits.items()},
            "fields": self.fields,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def file(self, name: str) -> DataFile:
        """The file of this name; DataError if the manifest has none."""
        for file in self.files:
            if name in (file.name, file.path):
                return file
        raise DataError(f"{self.name}: the manifest has no file {name}")

    def split(self, name: str) -> Split:
        """The split of this name; DataError if the manifest has none."""
        if name not in self.splits:
            raise DataError(f"{self.name} has no split {name!r}; it has {', '.join(self.splits)}")
        return self.splits[name]


def manifest_names() -> list[str]:
    """Names of all manifests of the repository, samples not included."""
    return sorted(path.stem for path in MANIFESTS.glob("*.yaml"))


def load_manifest(name: "str | Path | Manifest") -> Manifest:
    """Read and check a manifest.

    Args:
        name: A name in `data_manifests/`, or the path of a `.yaml` file of your own; `/sample` behind
            either means its bundled sample. A `Manifest` is returned as it is.
    """
    if isinstance(name, Manifest):
        return name
    base = str(name).removesuffix("/sample")
    path = Path(base) if base.endswith(".yaml") else MANIFESTS / f"{base}.yaml"
    if not path.is_file():
        raise DataError(f"no data manifest {base!r}; there are {', '.join(manifest_names())}")
    manifest = parse_manifest(yaml.safe_load(path.read_text(encoding="utf-8")), path)
    if not str(name).endswith("/sample"):
        return manifest
    if manifest.sample is None:
        raise DataError(f"{base} has no bundled sample")
    return manifest.sample


def parse_manifest(entry: Mapping[str, Any], path: Path) -> Manifest:
    """A manifest from what its YAML file holds; every mistake is a DataError naming the file."""
    keys = set(entry or ())
    if wrong := sorted((REQUIRED - keys) | (keys - REQUIRED - OPTIONAL)):
        raise DataError(f"{path.name}: missing or unknown keys: {', '.join(wrong)}")
    if entry["name"] != path.stem:
        raise DataError(f"{path.name}: its name says {entry['name']!r}")
    common = {key: entry[key] for key in ("homepage", "license", "cite", "fields")}
    sample = None
    if given := entry.get("sample"):
        sample = Manifest(
            name=f"{entry['name']}/sample", title=f"{entry['title']}, bundled sample", **common,
            files=_files(given, path, entry["name"], bundled=True), splits=_splits(given, path),
        )
    return Manifest(
        name=entry["name"], title=entry["title"], notes=entry.get("notes", ""), sample=sample, **common,
        files=_files(entry, path, entry["name"]), splits=_splits(entry, path),
    )


def _files(entry: Mapping[str, Any], path: Path, name: str, bundled: bool = False) -> tuple[DataFile, ...]:
    files = []
    for given in entry["files"]:
        where = given.get("path") or f"{name}/{given['url'].rsplit('/', 1)[-1]}"
        if where.startswith("/") or ".." in where.split("/"):
            raise DataError(f"{path.name}: {where} is not a path below the data folder")
        if not CHECKSUM.fullmatch(str(given.get("checksum"))):
            raise DataError(f"{path.name}: {where} needs a checksum, sha256:... or md5:...")
        home = path.parent / where if bundled else None
        files.append(DataFile(where, given["checksum"], given.get("size"), given.get("url"), home))
    if len({file.name for file in files}) != len(files):
        raise DataError(f"{path.name}: two files have the same name")
    return tuple(files)


def _splits(entry: Mapping[str, Any], path: Path) -> dict[str, Split]:
    splits = {}
    for name, given in entry["splits"].items():
        rule = {key: value for key, value in given.items() if key != "count"}
        if unknown := sorted(set(rule) - RULES):
            raise DataError(f"{path.name}: split {name} has unknown rules: {', '.join(unknown)}")
        if not isinstance(given.get("count"), int) or given["count"] < 1:
            raise DataError(f"{path.name}: split {name} needs a count")
        splits[name] = Split(name, given["count"], rule)
    return splits
