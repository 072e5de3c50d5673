"""An image sequence split into its layers, as the report draws it, and where each true layer ended up."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from htcv_lib.figures.pictures import heads_height, picture_grid, pictures, write_heads
from htcv_lib.figures.style import (
    BLUE,
    BODY,
    INK,
    MUTED,
    ORANGE,
    PAD,
    PAPER,
    RULE,
    SHADE,
    SMALL,
    WIDTH,
    heading,
    heading_height,
    panel,
    sheet,
    styled,
    text_width,
    wrapped,
    write,
)

# An image sequence split into its layers, as the report draws it: seven columns, three views below one another.

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


# Where each true layer ended up: heat maps with their numbers.

SCALE = LinearSegmentedColormap.from_list("share", [ORANGE, PAPER, BLUE])  # -1, 0, 1
DARK = 0.55  # shares from here on are written in white
CELL = (0.8, 0.36)  # inches, widest and height
MAP_GAP, LABEL = 0.34, 0.24  # between two maps; the room of a map's name


def leakage_table(entries: Mapping[str, float], prefix: str = "") -> pd.DataFrame:
    """The matrix of numbers named "true>predicted", as a record keeps them: true layers in rows, in their order.

    Args:
        entries: `Leakage.entries()` of `htcv_lib.metrics`, or a record's metrics; names without ">" are skipped.
        prefix: What the names begin with in a record.

    A combination that is not there is NaN. Errors: ValueError if there is none at all.
    """
    cells = {tuple(name.removeprefix(prefix).split(">")): value for name, value in entries.items()
             if name.startswith(prefix) and ">" in name}
    if not cells:
        raise ValueError(f"no entry is called {prefix}true>predicted; there are {', '.join(entries)}")
    rows, columns = (list(dict.fromkeys(names)) for names in zip(*cells, strict=True))
    return pd.DataFrame([[cells.get((row, column), np.nan) for column in columns] for row in rows], rows, columns)


@styled
def leakage_heatmap(matrices: Mapping[str, pd.DataFrame], title: str | None = None, note: str | None = None,
                    width: float = WIDTH) -> Figure:
    """How much of each true layer (rows) each predicted one (columns) holds, one map a model.

    Blue is a share of the true layer, orange a share with the opposite sign; beyond -1 and 1 the colour stays. Frames
    mark the cells that should be 1: predicted and true layer have the same name.

    Args:
        matrices: Name of the model -> rows of true and columns of predicted layers, as from `leakage_table`; NaN, a
            layer that is not there, is "n/a". All with the same columns.
        note: Written below.
    """
    if not matrices or len({tuple(matrix.columns) for matrix in matrices.values()}) > 1:
        raise ValueError("need at least one matrix, and all with the same columns")
    first = next(iter(matrices.values()))
    names = max(text_width(str(name), SMALL) for matrix in matrices.values() for name in matrix.index) + 0.1
    full = width - 2 * PAD
    heads = [str(name) for name in first.columns]
    least = max(text_width(word, SMALL) for name in heads for word in name.split()) + 0.02
    across = 2 if len(matrices) > 1 and (full - MAP_GAP) / 2 - names >= least * len(heads) else 1
    breadth = min(((full - MAP_GAP * (across - 1)) / across - names) / len(heads), CELL[0] if across > 1 else 1.1)
    head = heads_height(heads, breadth - 0.06) + 0.06
    rows = [list(matrices.items())[k:k + across] for k in range(0, len(matrices), across)]
    heights = [LABEL + head + CELL[1] * max(len(matrix) for _, matrix in row) for row in rows]
    notes = wrapped(note, full, SMALL) if note else []
    start = heading_height(title, width)
    bottom = start + 0.2 + sum(heights) + MAP_GAP * (len(rows) - 1)
    figure = sheet(width, bottom + 0.19 * len(notes) + (0.1 if notes else 0) + PAD)
    heading(figure, title)
    write(figure, PAD, start, "rows: true; columns: predicted", SMALL, color=MUTED)
    top = start + 0.2
    for row, height in zip(rows, heights, strict=True):
        for column, (name, matrix) in enumerate(row):
            left = PAD + column * (names + len(heads) * breadth + MAP_GAP)
            write(figure, left, top + 0.04, name, BODY, weight="bold")
            _draw_map(figure, matrix, heads, left + names, top + LABEL + head, breadth)
        top += height + MAP_GAP
    for number, line in enumerate(notes):
        write(figure, PAD, bottom + 0.1 + 0.19 * number, line, SMALL, color=MUTED)
    return figure


def _draw_map(figure: Figure, matrix: pd.DataFrame, heads: list[str], left: float, top: float,
              breadth: float) -> None:
    """One matrix with its names, its upper left cell at a place in inches."""
    values = matrix.to_numpy(dtype=float)
    rows, columns = values.shape
    axes = panel(figure, left, top, columns * breadth, rows * CELL[1], grid="")
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_axis_off()
    for row, column in np.ndindex(rows, columns):
        _draw_cell(axes, row, column, values[row, column])
    for row, name in enumerate(matrix.index):
        write(figure, left - 0.08, top + (row + 0.5) * CELL[1], str(name), SMALL, ha="right", va="center")
        if name in matrix.columns:
            place = list(matrix.columns).index(name)
            axes.add_patch(Rectangle((place, row), 1, 1, fill=False, edgecolor=INK, linewidth=1.4, clip_on=False,
                                     zorder=3))
    middles = [left + (column + 0.5) * breadth for column in range(columns)]
    write_heads(figure, heads, middles, top - 0.08, breadth - 0.06, ha="center")


def _draw_cell(axes: Axes, row: int, column: int, value: float) -> None:
    known = bool(np.isfinite(value))
    colour = SCALE((np.clip(value, -1, 1) + 1) / 2) if known else SHADE
    axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, edgecolor=PAPER, linewidth=1))
    text = "n/a" if not known else f"{value:.2f}".replace("-0.00", "0.00").replace("-", "\u2212")
    axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=SMALL,
              color=PAPER if known and abs(value) >= DARK else INK)
