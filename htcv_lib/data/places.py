"""Where data lie on this machine."""

import os
from pathlib import Path

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
