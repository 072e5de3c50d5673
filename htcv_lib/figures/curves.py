"""Curves over epochs: the history of one run, and several variants with their seeds."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from htcv_lib.figures.style import (
    BODY,
    NARROW,
    PAD,
    PAPER,
    SERIES,
    SMALL,
    WIDTH,
    heading,
    heading_height,
    is_share,
    panel,
    readable,
    sheet,
    spread,
    styled,
    text_width,
    write,
)

THIN = {"linewidth": 0.9, "alpha": 0.35}  # the seeds behind
LEAST_SPAN = 0.01  # of the level: what changes by less is drawn flat


def smoothed(values: Sequence[float], weight: float | None) -> np.ndarray:
    """Exponential average without the pull towards zero at the start (TensorBoard's); None: unchanged.

    Args:
        values: (T,) without gaps.
        weight: Of the past, in [0, 1).
    """
    values = np.asarray(values, dtype=float)
    if not weight:
        return values
    total, out = 0.0, []
    for count, value in enumerate(values, start=1):
        total = weight * total + (1 - weight) * value
        out.append(total / (1 - weight**count))
    return np.array(out)


@styled
def plot_curves(groups: Mapping[str, Sequence[pd.DataFrame]], column: str, smooth: float | None = 0.6,
                title: str | None = None, narrow: bool = False) -> Figure:
    """Several variants of one column: thin seeds, bold mean, each named where its line ends.

    Args:
        groups: Label -> one history per seed (as `History.frame()`; rows without `column` are skipped).
        column: For example `val/accuracy`; shares are drawn in percent.
        smooth: Weight of the past, or None for the raw values.
    """
    width = NARROW if narrow else WIDTH
    labels = max(text_width(label, BODY) for label in groups)
    top = heading_height(title, width) + 0.28
    figure = sheet(width, top + (2.5 if narrow else 3.1) + 0.56)
    heading(figure, title)
    axes = panel(figure, PAD + 0.36, top, width - 2 * PAD - 0.36 - labels - 0.18, 2.5 if narrow else 3.1)
    what = readable(column) + (", %" if is_share(column) else "") + (", smoothed" if smooth else "")
    write(figure, PAD, top - 0.24, what, SMALL, color=axes.yaxis.label.get_color())
    ends = []
    for (label, seeds), colour in zip(groups.items(), _colours(len(groups)), strict=True):
        lines = [_line(frame, column, smooth) for frame in seeds]
        lines = [line for line in lines if len(line)]
        if not lines:
            continue
        if len(lines) > 1:
            for line in lines:
                axes.plot(line.index, line, color=colour, **THIN)
        mean = pd.concat(lines, axis=1).dropna().mean(axis=1)
        axes.plot(mean.index, mean, color=colour, linewidth=2.2)
        ends.append((label, colour, mean.index[-1], mean.iloc[-1]))
    _finish(axes, ends)
    return figure


@styled
def plot_history(history: pd.DataFrame, columns: Sequence[str] | None = None, title: str | None = None,
                 narrow: bool = False, others: Sequence[pd.DataFrame] = ()) -> Figure:
    """One run: its losses in one panel, its validation metrics in another.

    Args:
        history: A `History`, or its frame.
        columns: Which columns to draw; by default every total loss and up to four validation metrics.
        others: Histories of other seeds, drawn thin behind it.
    """
    frame = history.frame() if callable(getattr(history, "frame", None)) else history
    columns = [c for c in columns or _usual_columns(frame) if c in frame and frame[c].notna().any()]
    losses = [c for c in columns if not is_share(c)]
    panels = [part for part in (losses, [c for c in columns if is_share(c)]) if part]
    if not panels:
        raise ValueError(f"no column to draw among {', '.join(map(str, frame.columns))}")
    width, height = (NARROW, 2.0) if narrow else (WIDTH, 2.5)
    stacked = narrow or len(panels) == 1
    top = heading_height(title, width) + 0.28
    figure = sheet(width, top + (height + 0.9) * (len(panels) if stacked else 1) - 0.34)
    heading(figure, title)
    share = (width - 2 * PAD + 0.3) / (1 if stacked else len(panels)) - 0.3
    rooms = [max(text_width(_curve_name(c, part), SMALL) for c in part) + 0.16 for part in panels]
    for number, part in enumerate(panels):
        left = PAD + (0 if stacked else number * (share + 0.3))
        place = top + (number * (height + 0.9) if stacked else 0)
        names = [_curve_name(c, part) for c in part]
        room = max(rooms) if stacked else rooms[number]
        axes = panel(figure, left + 0.4, place, share - 0.4 - room, height)
        unit = "loss" if any(column.endswith("/loss") for column in part) else ""
        write(figure, left, place - 0.24, "%" if is_share(part[0]) else unit, SMALL,
              color=axes.yaxis.label.get_color())
        ends = []
        for column, name, colour in zip(part, names, _colours(len(part)), strict=True):
            line = _line(frame, column, None)
            single = {"marker": "o", "markersize": 4} if len(line) == 1 else {}
            axes.plot(line.index, line, color=colour, linewidth=1.9, **single)
            for thin in (_line(other, column, None) for other in others if column in other):
                axes.plot(thin.index, thin, color=colour, zorder=1, **THIN, **single)
            ends.append((name, colour, line.index[-1], line.iloc[-1]))
        _finish(axes, ends, SMALL)
    return figure


def _usual_columns(frame: pd.DataFrame) -> list[str]:
    losses = [c for c in frame if c.startswith("train/") and c.endswith("/loss")]
    losses += [c for c in frame if c == "val/loss"]
    order = ("val/accuracy", "val/mean_iou", "val/boundary_iou")
    metrics = [c for c in order if c in frame]
    metrics += [c for c in frame if c.startswith("val/") and is_share(c) and c not in metrics and "/iou_" not in c]
    return losses + metrics[:4]


def _curve_name(column: str, part: Sequence[str]) -> str:
    kind, *middle, _ = column.split("/")
    if column.endswith("/loss"):
        phases = {c.split("/")[1] for c in part if c.startswith("train/")}
        return "validation" if kind == "val" else "training" if len(phases) == 1 else middle[0].replace("_", "-")
    return readable(column)


def _line(frame: pd.DataFrame, column: str, smooth: float | None) -> pd.Series:
    """One column by epoch, in percent where it is a share, gaps left out."""
    if column not in frame:
        raise ValueError(f"no column {column!r}; the history has {', '.join(map(str, frame.columns))}")
    by_epoch = frame.set_index("epoch")[column] if "epoch" in frame else frame[column]
    by_epoch = by_epoch.dropna() * (100 if is_share(column) else 1)
    return pd.Series(smoothed(by_epoch.to_numpy(), smooth), index=by_epoch.index)


def _colours(count: int) -> list[str]:
    return [SERIES[k % len(SERIES)] for k in range(count)]


def _finish(axes: Axes, ends: Sequence[tuple[str, str, float, float]], size: float = BODY) -> None:
    """Axis furniture, then a dot and a name at each line's end, moved apart where they would touch."""
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("epoch", labelpad=4)
    axes.margins(x=0.02, y=0.06)
    if not ends:
        return
    low, high = axes.get_ylim()
    missing = LEAST_SPAN * max(abs(low), abs(high)) - (high - low)
    if missing > 0:
        low, high = low - missing / 2, high + missing / 2
    figure = axes.figure
    per_inch = (high - low) / (figure.get_size_inches()[1] * axes.get_position().height)
    last = max(x for _, _, x, _ in ends)
    places = spread([y for _, _, _, y in ends], 1.35 * size / 72 * per_inch)
    for (label, colour, x, y), place in zip(ends, places, strict=True):
        axes.plot([x], [y], "o", color=colour, markersize=5, markeredgecolor=PAPER, clip_on=False, zorder=4)
        axes.annotate(label, (last, place), (9, 0), textcoords="offset points", color=colour, fontsize=size,
                      va="center", annotation_clip=False)
    axes.set_ylim(low, high)
