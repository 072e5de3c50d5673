"""Where things lie in a checkout, and which machine this is: never a host name."""

import json
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import quote

import yaml

from htcv_lib.data.manifest import DataError, cache_folder, data_folder

# Where things lie in a checkout: the one place that knows the folder names.

ROOM = 300 * 2**20  # bytes that a disk must have left before a run starts


@dataclass(frozen=True)
class Project:
    """A checkout of the report book, found by its folders `notebooks` and `data_manifests`."""

    root: Path

    @classmethod
    def find(cls, start: Path | str | None = None) -> "Project":
        """The project that contains `start` (default: `HTCV_ROOT`, the working folder, this package), settled.

        Errors: FileNotFoundError if none of them lies in a project.
        """
        starts = [start] if start else [os.environ.get("HTCV_ROOT"), Path.cwd(), Path(__file__).parent]
        for place in filter(None, starts):
            for folder in (Path(place).resolve(), *Path(place).resolve().parents):
                if (folder / "notebooks").is_dir() and (folder / "data_manifests").is_dir():
                    project = cls(folder)
                    project.settle()
                    return project
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
        return cache_folder() / "checkpoints"

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

    def settle(self) -> None:
        """Make the folders that the environment names absolute, for this process and those it starts; where there is no
        home to write to, as in many containers, `runs/home` becomes it."""
        home = os.path.expanduser("~")  # as it is, where nobody knows
        if not os.access(home, os.W_OK):
            os.environ["HOME"] = str(self.built / "home")
            Path(os.environ["HOME"]).mkdir(parents=True, exist_ok=True)
        os.environ["HTCV_CACHE"] = str(cache_folder().absolute())
        if data := data_folder():
            os.environ["HTCV_DATA"] = str(data.absolute())

    def scrub(self, text: str) -> str:
        """Replace the folders of this machine by neutral words, in every spelling: as they are, in HTML, addresses and
        JSON. `/data` is one in "/data/pets", and none in "../../data.md"."""
        words = {cache_folder(): "$HTCV_CACHE", Path(os.path.expanduser("~")): "~", self.root: "."}
        if data := data_folder():
            words[data] = "$HTCV_DATA"
        spelled = {}
        for folder, word in words.items():
            for path in {str(folder.absolute()), str(folder.resolve())} - {"/"}:
                spelled |= dict.fromkeys((path, escape(path), quote(path), json.dumps(path)[1:-1]), word)
        longest = sorted(spelled, key=len, reverse=True)
        pattern = rf"(^|[^\w.~/%-]|://|\x1b\[[\d;]*m)({'|'.join(map(re.escape, longest))})(?![\w-]|\.\w)"
        return re.sub(pattern, lambda found: found[1] + spelled[found[2]], text)


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

GRANTED = Path("/sys/fs/cgroup/cpu.max")  # microseconds of computing in so many
REPORTED = ("torch", "torchvision", "segmentation-models-pytorch", "numpy", "papermill")


def cuda_devices() -> list[str]:
    """The CUDA devices that torch can use, as `CUDA_VISIBLE_DEVICES` calls them; torch is asked in a process of its
    own, and only where there is a driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible == "" or not (shutil.which("nvidia-smi") or Path("/dev/nvidiactl").exists()):
        return []
    count = _count_devices(visible)
    return [name.strip() for name in visible.split(",")][:count] if visible else [str(index) for index in range(count)]


@cache
def _count_devices(visible: str | None) -> int:
    ask = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"
    try:
        return int(subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=120).stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def usable_cores() -> int:
    """Cores that this process may use: those of its affinity, as schedulers set it, and no more than its container is
    granted."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = map(int, GRANTED.read_text().split())
        return max(1, min(cores, quota // period))
    except (OSError, ValueError):  # no container, or "max"
        return cores


def device_name() -> str:
    """For example "NVIDIA H200" or "Intel Xeon, 2 threads"."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads() if torch is not None else usable_cores()
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
        return git(root, "rev-parse", "--short=12", "HEAD"), bool(git(root, "status", "--porcelain", "--", ".",
                                                                      ":!book/runs"))
    except (OSError, subprocess.SubprocessError):
        return "unknown", False


def git(root: Path, *arguments: str) -> str:
    """What git answers about a checkout, whoever owns it. Errors: OSError, CalledProcessError with git's own words."""
    return subprocess.run(["git", "-c", "safe.directory=*", *arguments], cwd=root, capture_output=True, text=True,
                          check=True).stdout.strip()


# How a command ends when it is told to.


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM end the process with one line and status 130 or 143; a second one does so at once."""

    def end(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        os.write(2, f"htcv: ended by {signal.Signals(number).name}; what was finished is kept, and a training that was "
                    "not goes on from its last checkpoint when you start again\n".encode())
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
