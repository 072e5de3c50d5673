"""Reading tar archives without trusting them.

Members are read into memory; nothing is written unless `unpack` is asked to. An archive with a member
that would land outside its folder, or with a link or a device, is refused.
"""

import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath, PureWindowsPath

from htcv_lib.data.manifest import DataError, Manifest


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
