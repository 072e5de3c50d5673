"""Where each true layer ended up: heat maps with their numbers."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from htcv_lib.figures.column_heads import heads_height, write_heads
from htcv_lib.figures.style import (
    BLUE,
    BODY,
    INK,
    MUTED,
    ORANGE,
    PAD,
    PAPER,
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

SCALE = LinearSegmentedColormap.from_list("share", [ORANGE, PAPER, BLUE])  # -1, 0, 1
DARK = 0.55  # shares from here on are written in white
CELL = (0.8, 0.36)  # inches, widest and height
GAP, LABEL = 0.34, 0.24  # between two maps; the room of a map's name


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
    across = 2 if len(matrices) > 1 and (full - GAP) / 2 - names >= least * len(heads) else 1
    breadth = min(((full - GAP * (across - 1)) / across - names) / len(heads), CELL[0] if across > 1 else 1.1)
    head = heads_height(heads, breadth - 0.06) + 0.06
    rows = [list(matrices.items())[k:k + across] for k in range(0, len(matrices), across)]
    heights = [LABEL + head + CELL[1] * max(len(matrix) for _, matrix in row) for row in rows]
    notes = wrapped(note, full, SMALL) if note else []
    start = heading_height(title, width)
    bottom = start + 0.2 + sum(heights) + GAP * (len(rows) - 1)
    figure = sheet(width, bottom + 0.19 * len(notes) + (0.1 if notes else 0) + PAD)
    heading(figure, title)
    write(figure, PAD, start, "rows: true; columns: predicted", SMALL, color=MUTED)
    top = start + 0.2
    for row, height in zip(rows, heights, strict=True):
        for column, (name, matrix) in enumerate(row):
            left = PAD + column * (names + len(heads) * breadth + GAP)
            write(figure, left, top + 0.04, name, BODY, weight="bold")
            _draw_map(figure, matrix, heads, left + names, top + LABEL + head, breadth)
        top += height + GAP
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
