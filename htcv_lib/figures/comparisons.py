"""Runs compared: seeds as dots, effects of two-level choices, one change at a time."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from htcv_lib.figures.style import (
    BLUE,
    BODY,
    DOWN,
    INK,
    MUTED,
    NARROW,
    ORANGE,
    PAD,
    PAPER,
    RULE,
    SHADE,
    SMALL,
    UP,
    WIDTH,
    heading,
    heading_height,
    panel,
    sheet,
    signed,
    spread,
    styled,
    text_width,
    wrapped,
    write,
)

# Seeds as dots: every run is seen, its mean is marked, and the margin that matters is shaded.


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


# A full grid of two-level choices: what each choice changes, and whether it depends on the others.

FAINT = "#c3ccd4"
Factors = Mapping[str, tuple[str, str]] | Sequence[str]


def effect_table(frame: pd.DataFrame, factors: Factors, value: str) -> pd.DataFrame:
    """Main effects and two-way interactions, seed by seed.

    A main effect is the mean at the second level minus the mean at the first, the other factors averaged. An
    interaction is half the change of one effect when the other factor goes from first to second level.

    Args:
        frame: One row per run: the factors' columns, seed, and `value`. Seeds without the full grid are left out.
        factors: Column -> (first level, second level), or columns whose levels are in order of first mention.

    Returns columns effect, seed, estimate.
    """
    levels = _levels(frame, factors)
    frame = frame.dropna(subset=[value])
    signs = pd.DataFrame({name: frame[name].map({low: -1.0, high: 1.0}) for name, (low, high) in levels.items()})
    rows = []
    for seed, part in frame.assign(seed=frame.get("seed", 0)).groupby("seed"):
        sign = signs.loc[part.index]
        if len(sign.drop_duplicates()) < 2 ** len(levels):
            continue
        cells = part.groupby(list(levels))[value].transform("mean").to_numpy()
        weight = 1 / part.groupby(list(levels))[value].transform("size").to_numpy()
        for names in [(name,) for name in levels] + list(combinations(levels, 2)):
            contrast = sign[list(names)].prod(axis=1).to_numpy()
            estimate = (contrast * cells * weight).sum() / 2 ** (len(levels) - 1)
            rows.append({"effect": " × ".join(names), "seed": seed, "estimate": estimate})
    return pd.DataFrame(rows, columns=["effect", "seed", "estimate"])


@styled
def main_effects(frame: pd.DataFrame, factors: Factors, value: str, percent: bool = True, label: str | None = None,
                 title: str | None = None, narrow: bool = False) -> Figure:
    """Above, what each choice changes on average; below, each pair of choices: parallel lines mean no interaction.

    Thin grey lines are the cells of the grid (means over seeds), the bold one their average.
    Arguments as in `effect_table`.
    """
    levels = _levels(frame, factors)
    scale = 100 if percent else 1
    cells = frame.dropna(subset=[value]).groupby(list(levels), as_index=False)[value].mean()
    cells[value] *= scale
    mean = effect_table(frame, levels, value).groupby("effect")["estimate"].mean() * scale
    pairs = list(combinations(levels, 2))
    rows = max(len(levels), len(pairs))

    across, down = (2, rows) if narrow else (rows, 2)
    width, axis, tall, step = NARROW if narrow else WIDTH, 0.42, 1.6, 2.72
    top = heading_height(title, width) + 0.34
    figure = sheet(width, top + down * step - 0.12)
    heading(figure, title)
    write(figure, PAD, top - 0.32, f"{label or value}{', %' if percent else ''}; grey: the other choices held fixed",
          SMALL, color=MUTED)
    ends = [max(text_width(str(level), SMALL) for level in levels[second]) + 0.26 for _, second in pairs]
    rooms = [0.4, max(ends, default=0.4)] if narrow else [*ends, *[0.4] * (across - len(ends))]
    share = (width - 2 * PAD - axis - sum(rooms)) / across
    limits = _limits(cells[value])
    for number, names in enumerate([(name,) for name in levels] + pairs):
        lower, place = divmod(number, len(levels)) if number < len(levels) else (1, number - len(levels))
        column, row = (lower, place) if narrow else (place, lower)
        left, up = PAD + axis + column * share + sum(rooms[:column]), top + row * step
        axes = panel(figure, left, up + 0.48, share, tall)
        effect = " × ".join(names)
        write(figure, left, up, effect, BODY, weight="bold")
        if effect in mean:
            write(figure, left, up + 0.19, signed(mean[effect], 1 if percent else 3, " points" * percent), SMALL,
                  color=MUTED)
        _two_levels(axes, levels[names[0]], limits, numbers=column == 0)
        if lower:
            _interaction(axes, cells, names, levels, value)
        else:
            _main(axes, cells, names[0], levels, value)
    return figure


def _levels(frame: pd.DataFrame, factors: Factors) -> dict[str, tuple[str, str]]:
    if not isinstance(factors, Mapping):
        factors = {name: tuple(dict.fromkeys(frame[name])) for name in factors}
    for name, pair in factors.items():
        if len(pair) != 2:
            raise ValueError(f"factor {name!r} needs two levels, has {len(pair)}: {', '.join(map(str, pair))}")
    return dict(factors)


def _limits(values: pd.Series) -> tuple[float, float]:
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    pad = 0.12 * (high - low) or 0.5
    return low - pad, high + pad


def _two_levels(axes: Axes, pair: tuple[str, str], limits: tuple[float, float], numbers: bool) -> None:
    axes.set(xlim=(-0.22, 1.22), ylim=limits)
    axes.tick_params(labelleft=numbers)
    inches = axes.figure.get_size_inches()[0] * axes.get_position().width / 1.44
    axes.set_xticks([0, 1], ["\n".join(wrapped(level, inches * 0.92, SMALL)) for level in pair], color=INK)
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _main(axes: Axes, cells: pd.DataFrame, name: str, levels: dict, value: str) -> None:
    others = [other for other in levels if other != name]
    for _, part in cells.groupby(others) if others else []:
        line = part.set_index(name)[value].reindex(levels[name])
        axes.plot([0, 1], line, color=FAINT, linewidth=1.2, marker="o", markersize=3.2, zorder=2)
    line = cells.groupby(name)[value].mean().reindex(levels[name])
    axes.plot([0, 1], line, color=BLUE, linewidth=2.2, marker="o", markersize=6, markeredgecolor=PAPER, zorder=3)


def _interaction(axes: Axes, cells: pd.DataFrame, names: tuple[str, str], levels: dict, value: str) -> None:
    table = cells.groupby(list(names))[value].mean()
    lines = {level: [table.get((x, level), np.nan) for x in levels[names[0]]] for level in levels[names[1]]}
    low, high = axes.get_ylim()
    per_inch = (high - low) / (axes.figure.get_size_inches()[1] * axes.get_position().height)
    ends = [line[1] if np.isfinite(line[1]) else low for line in lines.values()]
    places = spread(ends, 1.4 * SMALL / 72 * per_inch)
    for (level, line), colour, place in zip(lines.items(), (BLUE, ORANGE), places, strict=True):
        axes.plot([0, 1], line, color=colour, linewidth=2.0, marker="o", markersize=5.5, markeredgecolor=PAPER)
        axes.annotate(level, (1, place), (8, 0), textcoords="offset points", color=colour, fontsize=SMALL,
                      va="center", annotation_clip=False)


# From one setting to another, one change at a time.

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
    _change_limits(axes, values, bounds, room=0.16 if narrow else 0.62)
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


def _change_limits(axes, values: np.ndarray, bounds: np.ndarray | None, room: float) -> None:
    seen = np.concatenate([values, bounds.ravel() if bounds is not None else []])
    seen = seen[np.isfinite(seen)]
    low, high = (seen.min(), seen.max()) if len(seen) else (0.0, 1.0)
    inches = axes.figure.get_size_inches()[0] * axes.get_position().width
    pad = room / (inches - 2 * room) * (high - low) or 0.5  # `room` inches for what is written beside the bars
    axes.set_xlim(low - pad, high + pad)
    axes.xaxis.set_major_locator(MaxNLocator(5))
