"""Where things lie in a checkout, and which machine this is: never a host name."""

import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from htcv_lib.data.manifest import DataError, data_folder

# Where things lie in a checkout: the one place that knows the folder names.

ROOM = 300 * 2**20  # bytes that a disk must have left before a run starts


@dataclass(frozen=True)
class Project:
    """A checkout of the report book, found by its folders `notebooks` and `data_manifests`."""

    root: Path

    @classmethod
    def find(cls, start: Path | str | None = None) -> "Project":
        """The project that contains `start` (default: `HTCV_ROOT`, the working folder, this package).

        Errors: FileNotFoundError if none of them lies in a project.
        """
        starts = [start] if start else [os.environ.get("HTCV_ROOT"), Path.cwd(), Path(__file__).parent]
        for place in filter(None, starts):
            for folder in (Path(place).resolve(), *Path(place).resolve().parents):
                if (folder / "notebooks").is_dir() and (folder / "data_manifests").is_dir():
                    return cls(folder)
        raise FileNotFoundError("no notebooks and data_manifests here or above: not inside a report book")

    @property
    def tables(self) -> dict[str, Path]:
        """Family -> its table of runs, in the order of `_toc.yml`; a family that is not there yet comes last."""
        contents = self.root / "_toc.yml"
        text = contents.read_text(encoding="utf-8") if contents.is_file() else ""
        parts = list(dict.fromkeys(re.findall(r"book/pages/(\w+)/", text)))

        def place(path: Path) -> tuple[int, str]:
            family = path.parent.name
            return (parts.index(family) if family in parts else len(parts)), family

        return {path.parent.name: path for path in sorted(self.notebooks.glob("*/runs.yml"), key=place)}

    def metrics(self, family: str) -> Path:
        """What each number of a family means."""
        return self.notebooks / family / "metrics.yml"

    @property
    def notebooks(self) -> Path:
        return self.root / "notebooks"

    @property
    def package(self) -> Path:
        return self.root / "htcv_lib"

    @property
    def manifests(self) -> Path:
        return self.root / "data_manifests"

    @property
    def references(self) -> Path:
        """Committed records, one folder per run."""
        return self.root / "book" / "runs"

    @property
    def claims(self) -> Path:
        """What the reports conclude: one file a family, see `claims_of`."""
        return self.root / "book" / "claims"

    def claims_of(self, family: str) -> Path:
        """The claims of one family; there need not be any."""
        return self.claims / f"{family}.yml"

    @property
    def pages(self) -> Path:
        """Pages of the present build; ignored by git."""
        return self.root / "book" / "pages"

    @property
    def built(self) -> Path:
        """What this machine executed; ignored by git."""
        return self.root / "runs"

    @property
    def staging(self) -> Path:
        return self.built / "staging"

    @property
    def scratch(self) -> Path:
        return self.built / "scratch"

    @property
    def resume(self) -> Path:
        """Training states, by result key: a killed run goes on from here."""
        return self.built / "resume"

    @property
    def weights(self) -> Path:
        """Trained weights, by result key; shared by all checkouts of this user."""
        cache = os.environ.get("HTCV_CACHE") or Path.home() / ".cache" / "htcv"
        return Path(cache) / "checkpoints"

    def check_places(self) -> None:
        """Try what a run would fail at in its end. Errors: OSError, one line, for a folder of results or weights that
        cannot be written to, or has too little room."""
        for folder, remedy in ((self.built, "make it yours"), (self.weights, "set HTCV_CACHE to a folder of yours")):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=folder).close()
            except OSError as error:
                raise OSError(f"cannot write to {folder} ({error.strerror}): {remedy}") from None
            free = shutil.disk_usage(folder).free
            if free < ROOM:
                raise OSError(f"{folder} has {free / 2**20:.0f} MiB left, a run wants {ROOM / 2**20:.0f}: make room")

    def reference(self, profile: str, name: str) -> Path:
        return self.references / profile / name


# What can be wrong on a machine, and how it is said.


def check_data_folder() -> None:
    """Errors: FileNotFoundError if `HTCV_DATA` is set and names no folder."""
    folder = data_folder()
    if folder and not folder.is_dir():
        raise FileNotFoundError(f"HTCV_DATA={folder}: there is no such folder")


def one_line(error: Exception) -> str:
    """What to print of an error: what is wrong and where, in one line. One that nobody foresaw is named, with the file
    that holds its traceback."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, ValueError | OSError | DataError | yaml.YAMLError):
        return text
    with tempfile.NamedTemporaryFile("w", prefix="htcv-", suffix=".log", delete=False) as log:
        log.writelines(traceback.format_exception(error))
    return f"{type(error).__name__}: {text} (nobody foresaw this: please report it, with {log.name})"


# Who computed it: device, versions, memory. Never a host name.

REPORTED = ("torch", "torchvision", "segmentation-models-pytorch", "numpy", "papermill")


def cuda_devices() -> list[str]:
    """Indices of the visible CUDA devices, found without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [index for index in visible.split(",") if index not in ("", "-1")]
    try:
        listing = subprocess.run(["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
                                 capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return listing.split()


def device_name() -> str:
    """For example "NVIDIA H200" or "Intel Xeon, 2 threads"."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads() if torch is not None else os.cpu_count()
    return f"{cpu_name()}, {threads} thread{'s' if threads != 1 else ''}"


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return " ".join(name.replace("(R)", "").replace("(TM)", "").partition("@")[0].split())


def peak_memory_mib() -> int:
    """Of the GPU if one is used, else of this process."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**20)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in REPORTED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_state(root: Path) -> tuple[str, bool]:
    """Commit (12 digits; "unknown" outside git) and whether the tree differs from it."""
    try:
        commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=root, capture_output=True,
                                text=True, check=True).stdout.strip()
        changes = subprocess.run(["git", "status", "--porcelain", "--", ".", ":!book/runs"], cwd=root,
                                 capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown", False
    return commit, bool(changes)
