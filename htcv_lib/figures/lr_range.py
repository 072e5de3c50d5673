"""The curve of a learning-rate range test."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from htcv_lib.figures.style import (
    BLUE,
    INK,
    MUTED,
    NARROW,
    ORANGE,
    PAD,
    SMALL,
    WIDTH,
    heading,
    heading_height,
    panel,
    sheet,
    styled,
    text_width,
    write,
)

COLOURS = (ORANGE, INK, MUTED)
LINE = 1.35 * SMALL / 72  # inches from one name to the next


@styled
def lr_range_figure(result: Mapping[str, Sequence[float]], marks: Mapping[str, float] | None = None,
                    title: str | None = None, narrow: bool = False) -> Figure:
    """Loss over a logarithmic learning rate: every step thin, the smoothed curve bold.

    The part of the divergence that would flatten everything else is cut off at the top.

    Args:
        result: Columns "lr", "loss" and "smoothed", as `lr_range_test` of `htcv_lib.training` returns them.
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
    figure = sheet(width, top + height + 0.56)
    heading(figure, title)
    axes = panel(figure, PAD + 0.42, top, width - 2 * PAD - 0.42, height)
    write(figure, PAD, top - head + 0.04, "training loss; bold: smoothed", SMALL, color=MUTED)
    axes.plot(lr, loss, color=BLUE, linewidth=0.9, alpha=0.35)
    axes.plot(lr, smooth, color=BLUE, linewidth=2.2)
    axes.set_xscale("log")
    axes.set_xlim(lr[0], lr[-1])
    axes.set_ylim(*limits(loss, smooth))
    axes.xaxis.set_major_locator(LogLocator(numticks=6 if narrow else 9))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("learning rate", labelpad=4)
    draw_marks(axes, dict(zip(names, marks.values(), strict=True)))
    return figure


def limits(loss: np.ndarray, smooth: np.ndarray) -> tuple[float, float]:
    """From the smallest loss to a little above the highest before the smoothed minimum."""
    until = max(int(smooth.argmin()), 1) + 1
    low, high = min(loss.min(), smooth.min()), max(loss[:until].max(), smooth[:until].max())
    room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + 2 * room


def draw_marks(axes: Axes, marks: Mapping[str, float]) -> None:
    """A dashed line at each rate and its name above the panel, the smallest rate topmost, inside the sheet."""
    figure = axes.figure
    width = figure.get_size_inches()[0] * axes.get_position().width
    low, high = np.log(axes.get_xlim())
    for number, (name, rate) in enumerate(sorted(marks.items(), key=lambda item: item[1])):
        colour = COLOURS[number % len(COLOURS)]
        axes.axvline(rate, color=colour, linewidth=1.2, linestyle=(0, (3, 1.6)))
        place = (np.log(rate) - low) / (high - low) * width
        shift = min(0.0, width - place - text_width(name, SMALL))  # back from the right edge
        axes.annotate(name, (rate, 1), (72 * shift, 72 * (LINE * (len(marks) - number) - 0.1)),
                      xycoords=("data", "axes fraction"), textcoords="offset points", color=colour, fontsize=SMALL,
                      va="center", annotation_clip=False)
