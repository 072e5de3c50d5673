"""Arrays that were expensive to decode, kept as .npy files under `HTCV_CACHE/decoded`."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from htcv_lib.data.places import cache_folder

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
