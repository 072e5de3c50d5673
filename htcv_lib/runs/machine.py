"""Who computed it: device, versions, memory. Never a host name."""

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
