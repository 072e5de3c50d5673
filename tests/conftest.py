"""Shared by all tests: the root of the checkout, and the real book built once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


def tracked_files(root: Path) -> list[str]:
    """What a commit of everything would hold: tracked files, and new ones git does not ignore."""
    listing = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root,
                             capture_output=True, text=True, check=True).stdout
    return [name for name in listing.split("\0") if name and (root / name).is_file()]


@pytest.fixture(scope="session")
def built_book(tmp_path_factory) -> Path:
    """The HTML of the real book, built from a clean copy with warnings as errors.

    `HTCV_BUILT_HTML` names a book that is built already: for quick work on these tests.
    """
    ready = os.environ.get("HTCV_BUILT_HTML")
    if ready:
        return Path(ready)
    copy = tmp_path_factory.mktemp("clean") / "checkout"
    for name in tracked_files(ROOT):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    environment = {**os.environ, "PYTHONPATH": str(copy), "HTCV_PROFILE": os.environ.get("HTCV_PROFILE", "quick")}
    for name in ("HTCV_ROOT", "HTCV_RUN_FOLDER", "HTCV_BUDGET", "HTCV_SEEDS"):
        environment.pop(name, None)
    command = [str(Path(sys.executable).with_name("jb")), "build", ".", "-W", "--keep-going", "-n"]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, f"jb build failed:\n{(done.stdout + done.stderr)[-4000:]}"
    return copy / "_build" / "html"
