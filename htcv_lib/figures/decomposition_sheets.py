"""An image sequence split into its layers, as the report draws it: seven columns, three views below one another."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from htcv_lib.figures.column_heads import heads_height, write_heads
from htcv_lib.figures.grids import picture_grid, pictures
from htcv_lib.figures.style import (
    BODY,
    INK,
    MUTED,
    PAD,
    RULE,
    WIDTH,
    heading,
    heading_height,
    panel,
    sheet,
    styled,
    write,
)

DECOMPOSITION_COLUMNS = ("original", "views", "original, predicted", "shadow", "light", "mask", "occluder's colour")
SINGLE = (0, 2)  # columns with one picture for all views
GAP, COLUMN_GAP, BLOCK_GAP = 0.04, 0.09, 0.2  # inches between views, columns, blocks
BLANK = 255  # the sheet's white


def decomposition_tiles(image: np.ndarray, original: np.ndarray | None, pred: Any, sequence: int = 0,
                        views: Sequence[int] = (0, 1, 2), light_white: float = 1.0) -> np.ndarray:
    """One sequence and its predicted layers, a row a view; the strip that a run saves.

    Args:
        image: (N, 3, T, H, W) in [0, 1]. Tensors on the CPU will do, here and below.
        original: (N, 3, 1, H, W) in [0, 1], the clean pictures; None where nobody knows them.
        pred: Has the fields original (N, 3, 1, H, W), shadow (N, 1, T, H, W), light (N, 1 or 3, T, H, W), mask
            (N, 1, T, H, W) and occlusion (N, 3, T, H, W), as networks return them.
        sequence: Which of the N.
        views: Which of the T.
        light_white: The light that is drawn white; more where light is a factor that exceeds 1.

    Returns uint8 (V, 7, H, W, 3). Columns with one picture hold it in the first row and are white in the others.
    Errors: ValueError for a sequence or a view that is not there, and for light_white of 0 or less.
    """
    count, _, frames, height, width = np.shape(image)
    if not 0 <= sequence < count or not len(views) or not all(0 <= view < frames for view in views):
        raise ValueError(f"no sequence {sequence} with views {tuple(views)} among {count} of {frames} views")
    if light_white <= 0:
        raise ValueError(f"light_white must be above 0, got {light_white}")
    tiles = np.full((len(views), len(DECOMPOSITION_COLUMNS), height, width, 3), BLANK, np.uint8)
    for column, field in zip(SINGLE, (original, pred.original), strict=True):
        if field is not None:
            tiles[:1, column] = frame_pictures(np.asarray(field)[sequence], [0])
    light = np.asarray(pred.light, dtype=float) / light_white
    for column, field in ((1, image), (3, pred.shadow), (4, light), (5, pred.mask), (6, pred.occlusion)):
        tiles[:, column] = frame_pictures(np.asarray(field)[sequence], views)
    return tiles


def frame_pictures(frames: np.ndarray, views: Sequence[int]) -> np.ndarray:
    """Chosen frames of (C, T, H, W), C 1 or 3, as uint8 (V, H, W, 3)."""
    return pictures(np.asarray(frames).swapaxes(0, 1)[list(views)])


@styled
def decomposition_sheet(tiles: np.ndarray, labels: Sequence[str], title: str | None = None,
                        columns: Sequence[str] = DECOMPOSITION_COLUMNS, single: Sequence[int] = SINGLE,
                        width: float = WIDTH) -> Figure:
    """One block for each model, epoch or sequence, one above the other. Save it as PNG.

    Args:
        tiles: uint8 (M * V, K, H, W, 3): M strips of `decomposition_tiles` with V views each, concatenated.
        labels: M short texts, each above its block, for example "epoch 18".
        title: For readers who do not see it, the same words make a good alternative text.
        columns: K headings.
        single: Columns that show the first of their V pictures, half way down the block.
    """
    rows, across, height, breadth, _ = tiles.shape
    blocks = len(labels)
    if len(columns) != across or not blocks or rows % blocks:
        raise ValueError(f"{rows} rows and {across} columns of tiles do not go with {blocks} labels and "
                         f"{len(columns)} headings")
    views = rows // blocks
    tile = (width - 2 * PAD - COLUMN_GAP * (across - 1)) / across
    tall = tile * height / breadth
    above = heading_height(title, width) + heads_height(columns, tile + COLUMN_GAP) + 0.04
    block = 0.26 + views * tall + (views - 1) * GAP  # with its label
    figure = sheet(width, above + blocks * block + (blocks - 1) * BLOCK_GAP + PAD)
    heading(figure, title)
    lefts = [PAD + column * (tile + COLUMN_GAP) for column in range(across)]
    write_heads(figure, columns, lefts, above - 0.06, tile + COLUMN_GAP, color=MUTED)
    for number, label in enumerate(labels):
        top = above + number * (block + BLOCK_GAP)
        write(figure, PAD, top + 0.06, label, BODY, color=INK, weight="bold")
        for column, left in enumerate(lefts):
            middle = (views - 1) * (tall + GAP) / 2 if column in single else 0
            for view in range(1 if column in single else views):
                axes = panel(figure, left, top + 0.26 + middle + view * (tall + GAP), tile, tall, grid="")
                picture = tiles[number * views + view, column]
                axes.imshow(picture, interpolation="antialiased", aspect="auto")
                axes.set(xticks=[], yticks=[])
                drawn = column not in single or (picture != BLANK).any()
                axes.spines[:].set(visible=drawn, color=RULE, linewidth=0.6)  # white shadow ends somewhere
    return figure


def label_tiles(rows: Mapping[str, np.ndarray], views: Sequence[int] = tuple(range(6))) -> np.ndarray:
    """Views of one sequence over what a label says of each, for example inputs, pseudo-labels, truth.

    Args:
        rows: Name -> (C, T, H, W), C 1 or 3, uint8 or floats in [0, 1]; tensors on the CPU will do.
        views: Which of the T.

    Returns uint8 (R, V, H, W, 3).
    """
    parts = [frame_pictures(frames, views) for frames in rows.values()]
    if len({part.shape for part in parts}) > 1:
        sizes = {name: part.shape[1:3] for name, part in zip(rows, parts, strict=True)}
        raise ValueError(f"pictures differ in H, W: {sizes}")
    return np.stack(parts)


def label_sheet(tiles: np.ndarray, names: Sequence[str], title: str | None = None, note: str | None = None,
                width: float = WIDTH) -> Figure:
    """The report's figure of inputs over their targets, a column a view. Save it as PNG.

    Args:
        tiles: uint8 (R, V, H, W, 3), as from `label_tiles`.
        names: R short texts, left of the rows: the keys there.
    """
    return picture_grid(tiles, row_headings=names, title=title, note=note, width=width)
