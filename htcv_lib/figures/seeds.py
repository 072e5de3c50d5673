"""Seeds as dots: every run is seen, its mean is marked, and the margin that matters is shaded."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from htcv_lib.figures.style import (
    BLUE,
    BODY,
    INK,
    MUTED,
    NARROW,
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
    signed,
    styled,
    text_width,
    wrapped,
    write,
)


@styled
def seed_dots(frame: pd.DataFrame, margin: float | None = None, label: str = "accuracy", percent: bool = True,
              reference: str | None = None, intervals: pd.DataFrame | None = None, title: str | None = None,
              narrow: bool = False, digits: int = 3) -> Figure:
    """One row a variant, one dot a seed.

    Args:
        frame: Tidy, columns variant, seed, value; rows appear in order of first mention.
        margin: Shaded around the mean of `reference` (default: the first variant), in units of value.
        percent: Values are fractions, shown as percent.
        intervals: Optional columns variant, low, high: intervals of the means, drawn as bars.
        digits: Decimals of means that are not percent.
    """
    scale = 100 if percent else 1
    variants = list(dict.fromkeys(frame["variant"]))
    dots = [frame.loc[frame["variant"] == name, "value"].dropna().to_numpy() * scale for name in variants]
    means = [values.mean() if len(values) else np.nan for values in dots]
    digits = 1 if percent else digits
    texts = [f"{mean:.{digits}f}   n = {len(values)}" for mean, values in zip(means, dots, strict=True)]
    band = None
    if margin is not None:
        middle = means[variants.index(reference) if reference is not None else 0]
        band = (middle - margin * scale, middle + margin * scale)
    note = "" if margin is None else (
        f"shaded: within {margin * scale:g}{' points' if percent else ''} of {reference or variants[0]}")
    bars = _bars(intervals, "variant", variants, scale)
    axis = label + (", %" if percent else "")
    return _dot_rows(variants, dots, means, texts, bars, band, axis, note, title, narrow)


@styled
def paired_dots(frame: pd.DataFrame, margin: float | None = None, label: str = "accuracy", percent: bool = True,
                intervals: pd.DataFrame | None = None, sides: tuple[str, str] | None = None,
                title: str | None = None, narrow: bool = False) -> Figure:
    """Paired differences: one row a comparison, one dot a seed, zero marked, the margin shaded.

    Args:
        frame: Tidy, columns label, seed, difference (claimed better minus claimed worse).
        margin: Half width of the shaded band around zero: differences in it do not matter.
        intervals: Optional columns label, low, high: intervals of the mean differences.
        sides: What a difference left and right of zero means, written above the rows.
    """
    scale = 100 if percent else 1
    rows = list(dict.fromkeys(frame["label"]))
    dots = [frame.loc[frame["label"] == name, "difference"].dropna().to_numpy() * scale for name in rows]
    means = [values.mean() if len(values) else np.nan for values in dots]
    texts = [f"{signed(mean, 1 if percent else 3)}   n = {len(values)}"
             for mean, values in zip(means, dots, strict=True)]
    band = None if margin is None else (-margin * scale, margin * scale)
    note = "" if margin is None else f"shaded: less than {margin * scale:g}{' points' if percent else ''} apart"
    bars = _bars(intervals, "label", rows, scale)
    axis = f"difference in {label}" + (", points" if percent else "")
    return _dot_rows(rows, dots, means, texts, bars, band, axis, note, title, narrow, zero=True, sides=sides)


def _bars(intervals: pd.DataFrame | None, column: str, rows: Sequence[str], scale: float) -> list:
    if intervals is None:
        return [None] * len(rows)
    known = intervals.set_index(column)[["low", "high"]] * scale
    return [tuple(known.loc[row]) if row in known.index else None for row in rows]


def _dot_rows(rows, dots, means, texts, bars, band, axis, note, title, narrow, zero=False, sides=None) -> Figure:
    """The drawing both figures share; every number is already in display units."""
    width = NARROW if narrow else WIDTH
    names = ["\n".join(wrapped(row, width * (0.27 if narrow else 0.33))) for row in rows]
    left = PAD + max(map(text_width, names)) + 0.2
    right = PAD + max(map(text_width, texts)) + 0.2
    step = 0.27 + 0.17 * max(name.count("\n") + 1 for name in names)
    top = heading_height(title, width) + (0.26 if sides else 0.04)
    notes = wrapped(note, width - 2 * PAD, SMALL) if note else []
    figure = sheet(width, top + step * len(rows) + 0.58 + 0.19 * len(notes) + 0.06)
    heading(figure, title)
    axes = panel(figure, left, top, width - left - right, step * len(rows), grid="x")
    axes.set(ylim=(len(rows) - 0.5, -0.5), yticks=[])
    span = _x_limits(axes, dots, bars, band, zero)
    if band:
        axes.axvspan(*band, color=SHADE, linewidth=0, zorder=0)
    if zero:
        axes.axvline(0, color=MUTED, linewidth=1.0, zorder=1)
    lane = 6.2 / 72 / step  # a dot's height, in rows
    reach = 6.2 / 72 / (width - left - right) * span  # a dot's width, in data
    for row, (values, mean, bar) in enumerate(zip(dots, means, bars, strict=True)):
        if bar is not None and np.all(np.isfinite(bar)):
            axes.plot(bar, [row, row], color=BLUE, linewidth=6.5, alpha=0.25, solid_capstyle="butt", zorder=2)
        lifts = _lanes(values, reach)
        axes.plot(values, row + lifts * lane, "o", color=BLUE, markersize=5.6, markeredgecolor=PAPER,
                  markeredgewidth=0.7, zorder=3, clip_on=False)
        if len(values) > 1:
            axes.plot([mean, mean], [row - 0.26, row + 0.26], color=INK, linewidth=1.8, zorder=4)
        place = top + (row + 0.5) * step
        write(figure, PAD, place, names[row], BODY, va="center", linespacing=1.3)
        write(figure, width - PAD, place, texts[row], SMALL, va="center", ha="right", color=MUTED)
        if row:
            axes.axhline(row - 0.5, color=RULE, linewidth=0.5, zorder=0.5)
    if sides:
        _name_sides(axes, sides)
    axes.set_xlabel(axis, labelpad=4)
    for number, line in enumerate(notes):
        write(figure, PAD, top + step * len(rows) + 0.56 + 0.19 * number, line, SMALL, color=MUTED)
    return figure


def _x_limits(axes: Axes, dots: Sequence[np.ndarray], bars: Sequence, band, zero: bool) -> float:
    """Room for every dot, bar and the band; returns the width in data units."""
    seen = np.concatenate([*dots, *[bar for bar in bars if bar], list(band or ()), [0.0] if zero else []])
    seen = seen[np.isfinite(seen)]
    low, high = (seen.min(), seen.max()) if len(seen) else (0.0, 1.0)
    pad = 0.06 * (high - low) or 0.5
    axes.set_xlim(low - pad, high + pad)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return high - low + 2 * pad


def _lanes(values: np.ndarray, reach: float) -> np.ndarray:
    """Lifts (0, 1, -1, 2, ...) that keep dots of nearly equal value from covering one another."""
    lifts, last = np.zeros(len(values)), {}
    for index in np.argsort(values, kind="stable"):
        for lift in (0, 1, -1, 2, -2):
            if values[index] - last.get(lift, -np.inf) >= reach:
                break
        lifts[index], last[lift] = lift, values[index]
    return lifts


def _name_sides(axes: Axes, sides: tuple[str, str]) -> None:
    style = {"textcoords": "offset points", "fontsize": SMALL, "color": MUTED, "annotation_clip": False,
             "va": "bottom", "xycoords": axes.transAxes}
    axes.annotate(f"\u2190 {sides[0]}", (0, 1), (0, 5), ha="left", **style)
    axes.annotate(f"{sides[1]} \u2192", (1, 1), (0, 5), ha="right", **style)
