"""Every test has its own cache, no packs unless it asks for them, and small files made on the spot."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PACKS = os.environ.get("HTCV_DATA")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """An empty cache, no HTCV_DATA, and no proxy between us and a server on this machine."""
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
