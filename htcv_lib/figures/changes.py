"""From one setting to another, one change at a time."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from htcv_lib.figures.style import (
    BODY,
    DOWN,
    INK,
    MUTED,
    NARROW,
    PAD,
    PAPER,
    SMALL,
    UP,
    WIDTH,
    heading,
    heading_height,
    panel,
    sheet,
    signed,
    styled,
    text_width,
    wrapped,
    write,
)

TIE = "#aab4bf"


@styled
def waterfall(steps: pd.DataFrame, label: str = "accuracy", percent: bool = True, title: str | None = None,
              narrow: bool = False, digits: int = 3, lower_is_better: bool = False) -> Figure:
    """Each row keeps the changes above it and adds one; the bar is what that change gave or cost.

    Args:
        steps: Columns label, value (level reached with this change), and optionally lo, hi (its interval).
            The first row is the start, the last the end; a missing value leaves its row empty.
        percent: Values are fractions, shown as percent and changes as points.
        digits: Decimals of values that are not percent.
        lower_is_better: A fall has the colour of a gain.
    """
    scale, digits = (100, 1) if percent else (1, digits)
    width = NARROW if narrow else WIDTH
    values = steps["value"].to_numpy(float) * scale
    weights = ["bold" if row in (0, len(values) - 1) else "normal" for row in range(len(values))]
    limit = width * (0.3 if narrow else 0.36)
    names = ["\n".join(wrapped(str(name), limit, BODY, weight))
             for name, weight in zip(steps["label"], weights, strict=True)]
    left = PAD + max(text_width(*parts) for parts in zip(names, [BODY] * len(names), weights, strict=True)) + 0.22
    numbers = text_width(f"{100:.{digits}f}" if percent else "8.888", BODY, "bold")
    right = PAD + max(numbers + (0.52 if narrow else 0), text_width(label, SMALL)) + 0.2
    step = 0.27 + 0.17 * max(name.count("\n") + 1 for name in names)
    top = heading_height(title, width) + 0.26
    figure = sheet(width, top + step * len(names) + 0.62)
    heading(figure, title)
    axes = panel(figure, left, top, width - left - right, step * len(names), grid="x")
    axes.set(ylim=(len(names) - 0.5, -0.5), yticks=[])
    write(figure, width - PAD, top - 0.24, label, SMALL, ha="right", color=MUTED)

    bounds = steps[["lo", "hi"]].to_numpy(float) * scale if {"lo", "hi"} <= set(steps) else None
    before = None
    rise, fall = (DOWN, UP) if lower_is_better else (UP, DOWN)
    for row, value in enumerate(values):
        place = top + (row + 0.5) * step
        weight, total = weights[row], weights[row] == "bold"
        write(figure, PAD, place, names[row], BODY, va="center", linespacing=1.3, weight=weight)
        write(figure, width - PAD, place, f"{value:.{digits}f}" if np.isfinite(value) else "n/a", BODY,
              va="center", ha="right", color=INK if total else MUTED, weight=weight)
        if not np.isfinite(value):
            continue
        if before is not None:
            colour = rise if value >= before[1] else fall
            _change(axes, row, before, value, "" if narrow else signed(value - before[1], digits), colour)
            if narrow:  # beside its level, where there is room
                write(figure, width - PAD - numbers - 0.12, place, signed(value - before[1], digits), SMALL,
                      va="center", ha="right", color=colour)
        if bounds is not None and np.all(np.isfinite(bounds[row])):
            axes.plot(bounds[row], [row, row], color=INK, linewidth=1.1, zorder=3)
        axes.plot([value], [row], "o", color=INK, markersize=6.5 if total else 4.5, markeredgecolor=PAPER, zorder=4)
        before = (row, value)
    _limits(axes, values, bounds, room=0.16 if narrow else 0.62)
    axes.set_xlabel(label + (", %" if percent else ""), labelpad=4)
    return figure


def _change(axes, row: int, before: tuple[int, float], value: float, size: str, colour: str) -> None:
    """The bar from the level before to this one, its size beside its end, and the line that ties them."""
    last, start = before
    side = 1 if value >= start else -1
    axes.plot([start, start], [last, row + 0.21], color=TIE, linewidth=1.0, zorder=1)
    axes.barh(row, value - start, left=start, height=0.42, color=colour, zorder=2)
    axes.annotate(size, (value, row), (8 * side, 0), textcoords="offset points", va="center",
                  ha="left" if side > 0 else "right", fontsize=SMALL, color=colour, annotation_clip=False, zorder=5,
                  bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.0})


def _limits(axes, values: np.ndarray, bounds: np.ndarray | None, room: float) -> None:
    seen = np.concatenate([values, bounds.ravel() if bounds is not None else []])
    seen = seen[np.isfinite(seen)]
    low, high = (seen.min(), seen.max()) if len(seen) else (0.0, 1.0)
    inches = axes.figure.get_size_inches()[0] * axes.get_position().width
    pad = room / (inches - 2 * room) * (high - low) or 0.5  # `room` inches for what is written beside the bars
    axes.set_xlim(low - pad, high + pad)
    axes.xaxis.set_major_locator(MaxNLocator(5))
