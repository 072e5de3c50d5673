"""Composite, mask and depth as pictures: the truth beside what a network says, depth in one colour scale for both."""

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from htcv_lib.figures.grids import picture_grid, pictures
from htcv_lib.figures.style import WIDTH

MASK_DEPTH_COLUMNS = ("composite", "mask, truth", "mask, predicted", "depth, truth", "depth, predicted")
DEPTH_MAP = "viridis"  # equal steps look equal, also in grey and with colour blindness


def depth_colours(depth: np.ndarray, low: float | np.ndarray = 0.0, high: float | np.ndarray = 1.0) -> np.ndarray:
    """Depth in colours, dark blue near and yellow far, values beyond the range clipped.

    Args:
        depth: (N, H, W) or (N, 1, H, W).
        low, high: The range, one for all or (N,).

    Returns uint8 (N, H, W, 3).
    """
    depth = np.asarray(depth, dtype=float)
    depth = depth[:, 0] if depth.ndim == 4 and depth.shape[1] == 1 else depth
    if depth.ndim != 3:
        raise ValueError(f"depth must be (N, H, W) or (N, 1, H, W), got {depth.shape}")
    if not np.isfinite(depth).all():
        raise ValueError("depth holds values that are not finite")
    low, high = (np.asarray(end, dtype=float).reshape(-1, 1, 1) for end in (low, high))
    if (high < low).any():
        raise ValueError("the far end of the range is below the near end")
    share = (depth - low) / np.where(high > low, high - low, 1)
    return np.rint(matplotlib.colormaps[DEPTH_MAP](np.clip(share, 0, 1))[..., :3] * 255).astype(np.uint8)


def mask_depth_tiles(images: np.ndarray, mask_truth: np.ndarray, mask_pred: np.ndarray, depth_truth: np.ndarray,
                     depth_pred: np.ndarray, depth_range: tuple[float, float] | None = (0.0, 1.0)) -> np.ndarray:
    """Composite, two masks in grey, two depth maps in colour, side by side.

    Args:
        images: (N, 3, H, W), uint8 or floats in [0, 1]. Tensors on the CPU will do, here and below.
        mask_truth, mask_pred: (N, 1, H, W) or (N, H, W) in [0, 1]; predictions are not thresholded.
        depth_truth, depth_pred: (N, 1, H, W) or (N, H, W).
        depth_range: Of the colours. None: the range of each picture's truth, for its prediction too; for truths
            without unit, after the prediction was aligned.

    Returns uint8 (N, 5, H, W, 3).
    """
    truth, pred = np.asarray(depth_truth, dtype=float), np.asarray(depth_pred, dtype=float)
    low, high = depth_range or (truth.reshape(len(truth), -1).min(axis=1), truth.reshape(len(truth), -1).max(axis=1))
    parts = [pictures(images), pictures(mask_truth), pictures(mask_pred), depth_colours(truth, low, high),
             depth_colours(pred, low, high)]
    if len({part.shape for part in parts}) > 1:
        raise ValueError(f"pictures, masks and depths differ in N, H, W: {[part.shape[:3] for part in parts]}")
    return np.stack(parts, axis=1)


def mask_depth_grid(tiles: np.ndarray, row_labels: Sequence[str] | None = None, title: str | None = None,
                    columns: Sequence[str] = MASK_DEPTH_COLUMNS, ends: tuple[str, str] | None = ("near", "far"),
                    width: float = WIDTH) -> Figure:
    """A `picture_grid` with gaps, one row a picture; below, what the colours of depth mean. Save it as PNG.

    Args:
        tiles: uint8 (N, K, H, W, 3), as from `mask_depth_tiles`; more or fewer columns will do.
        row_labels: N short texts, left of the rows, for example "median IoU".
        title: For readers who do not see it, the same words make a good alternative text.
        columns: K headings; for the real pictures say "pseudo-truth", not "truth".
        ends: What the darkest and the brightest colour are, for example ("0 m", "10 m"); None: no scale.
    """
    scale = (DEPTH_MAP, f"depth: {ends[0]}", ends[1]) if ends else None
    return picture_grid(tiles, row_labels, columns, title=title, width=width, gap=0.07, scale=scale)


def own_sheet(network: Callable, images: Any, names: Sequence[str]) -> Figure:
    """A row for each picture: itself, and mask and depth as the network has them. Images (N, 3, H, W) in [0, 1]."""
    mask, depth, _ = network(images)
    tiles = np.stack([pictures(images), pictures(mask), depth_colours(depth)], axis=1)
    return mask_depth_grid(tiles, [name[:18] for name in names], columns=["picture", "mask", "depth"], width=5.2)
