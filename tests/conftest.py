"""Shared by all tests: the root of the checkout, the real book built once, an own cache, small files."""

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from toy_training import ToyBatches, squared_error, toy_model, toy_phase

ROOT = Path(__file__).parents[1]
PACKS = os.environ.get("HTCV_DATA")
torch.set_num_threads(1)  # tiny sizes; the other cores build the book


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


def tracked_files(root: Path) -> list[str]:
    """What a commit of everything would hold: tracked files, and new ones git does not ignore."""
    listing = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root,
                             capture_output=True, text=True, check=True).stdout
    return [name for name in listing.split("\0") if name and (root / name).is_file()]


def pytest_collection_modifyitems(items) -> None:
    """What builds, executes or opens the book is slow; the real book is read last, for it is built meanwhile."""
    for item in items:
        if {"built_book", "jb"} & set(item.fixturenames) or item.get_closest_marker("browser"):
            item.add_marker("slow")
    items.sort(key=lambda item: "built_book" in item.fixturenames)


@pytest.fixture(scope="session", autouse=True)
def book_build(request, tmp_path_factory) -> Iterator[tuple[subprocess.Popen, Path] | None]:
    """The build of the real book from a clean copy, warnings as errors; it goes on beside the other tests.

    None if no test asks for the book, or `HTCV_BUILT_HTML` names one that is built already: for work on these tests.
    """
    if "HTCV_BUILT_HTML" in os.environ or not any("built_book" in item.fixturenames for item in request.session.items):
        yield None
        return
    copy = tmp_path_factory.mktemp("clean") / "checkout"
    for name in tracked_files(ROOT):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    environment = {**os.environ, "PYTHONPATH": str(copy), "HTCV_PROFILE": os.environ.get("HTCV_PROFILE", "quick")}
    for name in ("HTCV_ROOT", "HTCV_RUN_FOLDER", "HTCV_BUDGET", "HTCV_SEEDS"):
        environment.pop(name, None)
    command = [str(Path(sys.executable).with_name("jb")), "build", ".", "-W", "--keep-going", "-n"]
    with (copy.parent / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=copy, env=environment, stdout=log, stderr=log, start_new_session=True)
    yield process, copy
    if process.poll() is None:  # the tests were stopped
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="session")
def built_book(book_build) -> Path:
    """The HTML of the real book."""
    if book_build is None:
        return Path(os.environ["HTCV_BUILT_HTML"])
    process, copy = book_build
    failed = process.wait(timeout=1500)
    assert not failed, f"jb build failed:\n{(copy.parent / 'log').read_text(errors='replace')[-4000:]}"
    return copy / "_build" / "html"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Every test has an empty cache, no HTCV_DATA, and no proxy between us and a server on this machine."""
    monkeypatch.setenv("HTCV_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HTCV_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def packs(monkeypatch) -> Path:
    """The real packs, where the machine has them."""
    if not PACKS or not Path(PACKS, "oxford_pets").is_dir():
        pytest.skip("HTCV_DATA does not name the data packs")
    monkeypatch.setenv("HTCV_DATA", PACKS)
    return Path(PACKS)


@pytest.fixture
def encoded():
    """array, format -> the bytes of that picture."""
    def encode(array: np.ndarray, kind: str, **how) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(array).save(stream, kind, **how)
        return stream.getvalue()
    return encode


@pytest.fixture
def archived():
    """path, members, mode -> that archive, written."""
    def archive(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, mode) as tar:
            for name, content in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return path
    return archive


@pytest.fixture(scope="session")
def spheres() -> torch.Tensor:
    """(12, 3, 40, 52) shaded discs with a highlight on black; every third has noise, every third is blurred."""
    generator = torch.Generator().manual_seed(1)
    height, width = 40, 52
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    pictures = []
    for number in range(12):
        u = torch.rand(9, generator=generator)
        radius = 4 + 14 * u[0]
        normal_x, normal_y = (x - (0.2 + 0.6 * u[1]) * width) / radius, (y - (0.2 + 0.6 * u[2]) * height) / radius
        inside = normal_x**2 + normal_y**2 < 1
        normal_z = (1 - normal_x**2 - normal_y**2).clamp(min=0).sqrt()
        light = F.normalize(torch.stack([u[3] - 0.5, u[4] - 0.5, 0.2 + u[5]]), dim=0)
        facing = normal_x * light[0] + normal_y * light[1] + normal_z * light[2]
        highlight = (2 * facing * normal_z - light[2]).clamp(min=0) ** (3 + 17 * u[5])
        picture = (0.03 + u[6:, None, None] * facing.clamp(min=0) + highlight) * inside
        if number % 3 == 1:
            picture = picture + 0.05 * torch.randn(3, height, width, generator=generator)
        if number % 3 == 2:
            picture = F.avg_pool2d(picture, 5, stride=1, padding=2)
        pictures.append(picture.clamp(0, 1))
    return torch.stack(pictures)


@pytest.fixture
def toy():
    """A regression so small that every test of the loop takes milliseconds: its pieces, as attributes."""
    return SimpleNamespace(Batches=ToyBatches, model=toy_model, phase=toy_phase, squared_error=squared_error)
