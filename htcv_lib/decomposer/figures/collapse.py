"""Trainings that collapse and trainings that do not: loss and gradient norm of many seeds over the steps."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from htcv_lib.figures.style import (
    BLUE,
    BODY,
    MUTED,
    ORANGE,
    PAD,
    PAPER,
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

FEW = 300  # a range of up to so many times is marked at 1, 2 and 5, a larger one at powers of ten
LOSSES = ("training loss", "validation loss")
HEIGHTS = (1.5, 1.1)  # of the panels of loss and gradient norm, inches
LEFT, GAP, HEAD = 0.46, 0.2, 0.24  # room for ticks; between panels; for what a row of panels shows


@styled
def collapse_panels(groups: Mapping[str, Sequence[pd.DataFrame]], collapsed: Mapping[str, Sequence[float | None]],
                    loss: str = "val/loss", norm: str = "train/decomposer/grad_norm", title: str | None = None,
                    width: float = WIDTH) -> Figure:
    """A column of panels for each group, a line for each seed; above, the loss, below, the gradient's norm.

    Collapsed seeds are orange, with a dot where the collapse began; the others are blue. Axes are shared, the norm's
    is logarithmic, and the loss's too where it spans more than a factor of 20. Values that are not finite end a line.

    Args:
        groups: Label -> one history per seed (as `History.frame()`); up to four labels.
        collapsed: Label -> for each seed the epoch in which it collapsed, or None.
        loss, norm: Columns of the histories; rows without a value are skipped.
    """
    if not 1 <= len(groups) <= 4:
        raise ValueError(f"one to four groups can be drawn, got {len(groups)}")
    if {label: len(seeds) for label, seeds in groups.items()} != {k: len(v) for k, v in collapsed.items()}:
        raise ValueError("`collapsed` needs the same groups and an entry for each seed")
    share = (width - 2 * PAD - LEFT - GAP * (len(groups) - 1)) / len(groups)
    names = ["\n".join(wrapped(label, share, BODY, "bold")) for label in groups]
    room = 0.17 * max(name.count("\n") + 1 for name in names) + 0.2  # name, and how many collapsed
    top = heading_height(title, width) + room + HEAD
    figure = sheet(width, top + sum(HEIGHTS) + HEAD + GAP + 0.9)
    heading(figure, title)
    shown = {loss: LOSSES[loss.startswith("val/")], norm: "gradient norm before clipping"}
    for row, (column, text) in enumerate(shown.items()):
        place = top + row * (HEIGHTS[0] + HEAD + GAP)
        write(figure, PAD, place - HEAD, text, SMALL, color=MUTED)
        axes: list[Axes] = []
        for number, (label, seeds) in enumerate(groups.items()):
            box = panel(figure, PAD + LEFT + number * (share + GAP), place, share, HEIGHTS[row])
            if axes:
                box.sharex(axes[0])
                box.sharey(axes[0])
            _draw_seeds(box, seeds, collapsed[label], column)
            axes.append(box)
        _finish(axes, logarithmic=row == 1 or _span(groups, column) > 20, last=row == 1)
    for number, (label, name) in enumerate(zip(groups, names, strict=True)):
        left, lines = PAD + LEFT + number * (share + GAP), name.count("\n") + 1
        start = top - HEAD - room
        write(figure, left, start, name, BODY, weight="bold", linespacing=1.2)
        gone = [epoch for epoch in collapsed[label] if epoch is not None]
        write(figure, left, start + 0.17 * lines, f"{len(gone)} of {len(collapsed[label])} collapsed", SMALL,
              color=ORANGE if gone else BLUE)
    _draw_key(figure, figure.get_size_inches()[1] - PAD - 0.12)
    return figure


def _line(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Step, epoch and value where the column was measured, up to the first value that is not finite."""
    if column not in frame or "step" not in frame:
        raise ValueError(f"no columns step and {column!r}; the history has {', '.join(map(str, frame.columns))}")
    part = frame[frame[column].notna()]
    finite = np.isfinite(part[column].to_numpy(dtype=float)).cumprod().astype(bool)
    part = part[finite]
    epoch = part["epoch"] if "epoch" in part else part.index
    return pd.DataFrame({"step": part["step"], "epoch": epoch, "value": part[column].astype(float)})


def _draw_seeds(axes: Axes, seeds: Sequence[pd.DataFrame], collapsed: Sequence[float | None], column: str) -> None:
    for frame, epoch in zip(seeds, collapsed, strict=True):
        line = _line(frame, column)
        colour, order = (BLUE, 2) if epoch is None else (ORANGE, 3)
        axes.plot(line["step"], line["value"], color=colour, linewidth=1.3, alpha=0.75, zorder=order)
        if epoch is None or line.empty:
            continue
        after = line[line["epoch"] >= epoch]
        start = after.iloc[0] if len(after) else line.iloc[-1]  # a loss that became infinite has no value there
        axes.plot([start["step"]], [start["value"]], "o", color=ORANGE, markersize=5, markeredgecolor=PAPER, zorder=4)


def _span(groups: Mapping[str, Sequence[pd.DataFrame]], column: str) -> float:
    """Largest over smallest value; 1 where one of them is not positive."""
    values = np.concatenate([_line(frame, column)["value"].to_numpy() for seeds in groups.values() for frame in seeds])
    return float(values.max() / values.min()) if len(values) and values.min() > 0 else 1.0


def _finish(axes: Sequence[Axes], logarithmic: bool, last: bool) -> None:
    """Shared limits and ticks: values at the left panel, steps below the last row."""
    for number, box in enumerate(axes):
        if logarithmic:
            box.set_yscale("log")
            low, high = box.dataLim.intervaly
            box.yaxis.set_major_locator(LogLocator(numticks=5) if high > FEW * low else LogLocator(subs=(1, 2, 5)))
            box.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            box.yaxis.set_minor_locator(NullLocator())
        else:
            box.yaxis.set_major_locator(MaxNLocator(4))
        box.margins(x=0.03, y=0.08)
        box.xaxis.set_major_locator(MaxNLocator(3 if len(axes) > 2 else 5, integer=True))
        box.tick_params(labelleft=number == 0, labelbottom=last, which="both")
        box.autoscale_view()
        if last:
            box.set_xlabel("step", labelpad=3)


def _draw_key(figure: Figure, top: float) -> None:
    """What the colours mean, below."""
    left, height = PAD, figure.get_size_inches()[1]
    for text, colour in (("a seed", BLUE), ("a seed that collapsed; dot: where it began", ORANGE)):
        key = panel(figure, left, top - 0.06, 0.26, 0.12, grid="")
        key.plot([0, 1], [0, 0], color=colour, linewidth=1.6)
        key.set_axis_off()
        write(figure, left + 0.34, min(top, height), text, SMALL, color=MUTED, va="center")
        left += 0.34 + text_width(text, SMALL) + 0.3
