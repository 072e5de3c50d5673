"""Curves: the history of one run, several variants with their seeds, a learning-rate range test."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from htcv_lib.figures.style import (
    BLUE,
    BODY,
    INK,
    MUTED,
    NARROW,
    ORANGE,
    PAD,
    PAPER,
    SERIES,
    SMALL,
    WIDTH,
    heading_height,
    inches,
    is_share,
    name_ends,
    panel,
    readable,
    scale_of,
    sheet,
    styled,
    text_width,
    with_unit,
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
    width, height = (NARROW, 2.5) if narrow else (WIDTH, 3.1)
    labels = max(text_width(label, BODY) for label in groups)
    top = heading_height(title, width) + 0.28
    figure = sheet(width, top + height + 0.56, title)
    axes = panel(figure, PAD + 0.36, top, width - 2 * PAD - 0.36 - labels - 0.18, height)
    write(figure, PAD, top - 0.24, with_unit(column) + (", smoothed" if smooth else ""), SMALL, color=MUTED)
    ends = []
    for (label, seeds), colour in zip(groups.items(), cycle(SERIES), strict=False):
        lines = [line for line in (_line(frame, column, smooth) for frame in seeds) if len(line)]
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
def loss_panels(groups: Mapping[str, Sequence[pd.DataFrame]], columns: Sequence[str], width: float = WIDTH) -> Figure:
    """A panel for each network, side by side, as reports draw theirs: training and validation loss, each of its scale.

    Args:
        groups: Label -> one history per seed; thin lines are the seeds, bold their mean.
        columns: The training loss and the validation loss, for example `train/network/loss` and `val/loss`.
    """
    names = {column: _curve_name(column, columns) for column in columns}
    room = max(text_width(name, SMALL) for name in names.values()) + 0.3
    share = (width - 2 * PAD) / len(groups)
    figure = sheet(width, PAD + 0.24 + 1.6 + 0.52)
    for number, (label, seeds) in enumerate(groups.items()):
        left = PAD + number * share
        axes = panel(figure, left + 0.5, PAD + 0.24, share - 0.5 - room, 1.6)
        write(figure, left, PAD, label, SMALL, weight="bold")
        ends = []
        for (column, name), colour in zip(names.items(), SERIES, strict=False):
            lines = [_line(frame, column, None) for frame in seeds]
            for line in lines if len(lines) > 1 else []:
                axes.plot(line.index, line, color=colour, **THIN)
            mean = pd.concat(lines, axis=1).dropna().mean(axis=1)
            axes.plot(mean.index, mean, color=colour, linewidth=1.9)
            ends.append((name, colour, mean.index[-1], mean.iloc[-1]))
        _finish(axes, ends, SMALL)
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
    figure = sheet(width, top + (height + 0.9) * (len(panels) if stacked else 1) - 0.34, title)
    share = (width - 2 * PAD + 0.3) / (1 if stacked else len(panels)) - 0.3
    named = [{c: _curve_name(c, part) for c in part} for part in panels]
    rooms = [max(text_width(name, SMALL) for name in part.values()) + 0.16 for part in named]
    for number, part in enumerate(named):
        left = PAD + (0 if stacked else number * (share + 0.3))
        place = top + (number * (height + 0.9) if stacked else 0)
        room = max(rooms) if stacked else rooms[number]
        axes = panel(figure, left + 0.4, place, share - 0.4 - room, height)
        unit = "%" if is_share(next(iter(part))) else "loss" if any(c.endswith("/loss") for c in part) else ""
        write(figure, left, place - 0.24, unit, SMALL, color=MUTED)
        ends = []
        for (column, name), colour in zip(part.items(), cycle(SERIES), strict=False):
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
    metrics = [c for c in ("val/accuracy", "val/mean_iou", "val/boundary_iou") if c in frame]
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
    by_epoch = by_epoch.dropna() * scale_of(column)
    return pd.Series(smoothed(by_epoch.to_numpy(), smooth), index=by_epoch.index)


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
    axes.set_ylim(low, high)
    names, colours, xs, ys = zip(*ends, strict=True)
    for colour, x, y in zip(colours, xs, ys, strict=True):
        axes.plot([x], [y], "o", color=colour, markersize=5, markeredgecolor=PAPER, clip_on=False, zorder=4)
    name_ends(axes, max(xs), ys, names, colours, size)


COLOURS = (ORANGE, INK, MUTED)
LINE = 1.35 * SMALL / 72  # inches from one name to the next


@styled
def lr_range_figure(result: Mapping[str, Sequence[float]], marks: Mapping[str, float] | None = None,
                    title: str | None = None, narrow: bool = False) -> Figure:
    """Loss over a logarithmic learning rate: every step thin, the smoothed curve bold.

    The part of the divergence that would flatten everything else is cut off at the top.

    Args:
        result: Columns "lr", "loss" and "smoothed", as `lr_range_test` of `htcv_lib.mask_depth` returns them.
        marks: Name -> learning rate, each a dashed line named above the panel, for example those of `suggested_lr`.
            NaN is left out; a rate outside the range that was tested is an error.
    """
    lr, loss, smooth = (np.asarray(result[name], dtype=float) for name in ("lr", "loss", "smoothed"))
    if not len(lr) == len(loss) == len(smooth) >= 2:
        raise ValueError(f"need lr, loss and smoothed of one length of at least 2, got {len(lr)}, {len(loss)}, "
                         f"{len(smooth)}")
    marks = {name: float(rate) for name, rate in (marks or {}).items() if not np.isnan(rate)}
    outside = [name for name, rate in marks.items() if not lr[0] <= rate <= lr[-1]]
    if outside:
        raise ValueError(f"{', '.join(outside)} outside the tested range {lr[0]:.3g} to {lr[-1]:.3g}")
    width, height = (NARROW, 2.0) if narrow else (WIDTH, 2.6)
    names = [f"{name}, {rate:.1e}".replace("e-0", "e-").replace("e+00", "") for name, rate in marks.items()]
    head = 0.28 + LINE * len(names)
    top = heading_height(title, width) + head
    figure = sheet(width, top + height + 0.56, title)
    axes = panel(figure, PAD + 0.42, top, width - 2 * PAD - 0.42, height)
    write(figure, PAD, top - head + 0.04, "training loss; bold: smoothed", SMALL, color=MUTED)
    axes.plot(lr, loss, color=BLUE, linewidth=0.9, alpha=0.35)
    axes.plot(lr, smooth, color=BLUE, linewidth=2.2)
    axes.set_xscale("log")
    axes.set_xlim(lr[0], lr[-1])
    until = max(int(smooth.argmin()), 1) + 1  # the highest loss that counts is one before the smoothed minimum
    low, high = min(loss.min(), smooth.min()), max(loss[:until].max(), smooth[:until].max())
    room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set_ylim(low - room, high + 2 * room)
    axes.xaxis.set_major_locator(LogLocator(numticks=6 if narrow else 9))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("learning rate", labelpad=4)
    _draw_marks(axes, dict(zip(names, marks.values(), strict=True)))
    return figure


def _draw_marks(axes: Axes, marks: Mapping[str, float]) -> None:
    """A dashed line at each rate and its name above the panel, the smallest rate topmost, inside the sheet."""
    width = inches(axes)[0]
    low, high = np.log(axes.get_xlim())
    for number, (name, rate) in enumerate(sorted(marks.items(), key=lambda item: item[1])):
        colour = COLOURS[number % len(COLOURS)]
        axes.axvline(rate, color=colour, linewidth=1.2, linestyle=(0, (3, 1.6)))
        place = (np.log(rate) - low) / (high - low) * width
        shift = min(0.0, width - place - text_width(name, SMALL))  # back from the right edge
        axes.annotate(name, (rate, 1), (72 * shift, 72 * (LINE * (len(marks) - number) - 0.1)),
                      xycoords=("data", "axes fraction"), textcoords="offset points", color=colour, fontsize=SMALL,
                      va="center", annotation_clip=False)
