"""The curves and grids of a run as TensorBoard events, for those who read them there."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from htcv_lib.training.history import History
from htcv_lib.training.loop import summary_writer

MISSING = "no TensorBoard events written: the package is missing; pip install tensorboard"


def log_to_tensorboard(folder: str | Path, history: History | pd.DataFrame,
                       grids: Mapping[str, np.ndarray] | None = None) -> bool:
    """Write a history and picture grids as an event file; without the package tensorboard, only say so.

    A training that should be watched while it runs has `fit(..., tensorboard=folder)` for its curves.

    Args:
        folder: The run's own; `tensorboard --logdir` takes it or one above it.
        history: As `fit` returns it, or its frame (as read back from CSV): every number of every row, under the
            column's name, at the row's step. Gaps are left out.
        grids: Name -> uint8 (R, C, H, W, 3), what `picture_grid` draws: R rows of C pictures, or uint8 (H, W, 3),
            one picture. They are written at the last step.

    Returns whether anything was written.
    """
    images = {name: mosaic(np.asarray(grid), name) for name, grid in (grids or {}).items()}
    frame = history.frame() if callable(getattr(history, "frame", None)) else history
    try:
        writer = summary_writer(folder)
    except ImportError:
        print(MISSING)
        return False
    last = 0
    try:
        for row in frame.to_dict("records"):
            last = int(row.get("step", row.get("epoch", last + 1)))
            for name, value in row.items():
                if name not in ("epoch", "step") and isinstance(value, int | float) and not np.isnan(value):
                    writer.add_scalar(name, float(value), last)
        for name, image in images.items():
            writer.add_image(name, image, last, dataformats="HWC")
    finally:
        writer.close()
    return True


def mosaic(grid: np.ndarray, name: str) -> np.ndarray:
    """Rows of pictures as one picture: uint8 (R, C, H, W, 3) or (H, W, 3) -> (R * H, C * W, 3)."""
    if grid.dtype != np.uint8 or grid.ndim not in (3, 5) or grid.shape[-1] != 3:
        raise ValueError(f"{name}: a grid is uint8 (R, C, H, W, 3) or (H, W, 3), got {grid.dtype} {grid.shape}")
    if grid.ndim == 3:
        return grid
    rows, columns, height, width, _ = grid.shape
    return grid.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
