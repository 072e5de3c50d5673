"""Runs compared: seeds as dots, effects of two-level choices, one change at a time."""

from collections.abc import Callable, Mapping, Sequence
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
    heading_height,
    inches,
    limits,
    name_ends,
    notes,
    panel,
    sheet,
    signed,
    styled,
    text_width,
    wrapped,
    write,
    write_lines,
)


@styled
def seed_dots(frame: pd.DataFrame, margin: float | None = None, label: str = "accuracy", percent: bool = True,
              reference: str | None = None, intervals: pd.DataFrame | None = None, title: str | None = None,
              narrow: bool = False, digits: int = 3) -> Figure:
    """Every run is seen: one row a variant, one dot a seed; the mean is marked, the margin that matters shaded.

    Args:
        frame: Tidy, columns variant, seed, value; rows appear in order of first mention.
        margin: Shaded around the mean of `reference` (default: the first variant), in units of value.
        percent: Values are fractions, shown as percent.
        intervals: Optional columns variant, low, high: intervals of the means, drawn as bars.
        digits: Decimals of means that are not percent.
    """
    band, note = (), ""
    if margin is not None:
        reference = frame["variant"].iloc[0] if reference is None else reference
        middle = frame.loc[frame["variant"] == reference, "value"].mean()
        band = (middle - margin, middle + margin)
        note = f"shaded: within {_apart(margin, percent)} of {reference}"
    return _dot_rows(frame, "variant", "value", intervals, band, note, label + (", %" if percent else ""), percent,
                     lambda mean: f"{mean:.{1 if percent else digits}f}", title, narrow)


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
    band = () if margin is None else (-margin, margin)
    note = "" if margin is None else f"shaded: less than {_apart(margin, percent)} apart"
    return _dot_rows(frame, "label", "difference", intervals, band, note,
                     f"difference in {label}" + (", points" if percent else ""), percent,
                     lambda mean: signed(mean, 1 if percent else 3), title, narrow, zero=True, sides=sides)


def _apart(margin: float, percent: bool) -> str:
    return f"{margin * 100:g} points" if percent else f"{margin:g}"


def _dot_rows(frame: pd.DataFrame, name: str, value: str, intervals: pd.DataFrame | None, band: tuple, note: str,
              axis: str, percent: bool, written: Callable[[float], str], title: str | None, narrow: bool,
              zero: bool = False, sides: tuple[str, str] | None = None) -> Figure:
    """The drawing both figures share: a row for each `name`, a dot for each `value`, times 100 if `percent`."""
    scale, width = 100 if percent else 1, NARROW if narrow else WIDTH
    rows = list(dict.fromkeys(frame[name]))
    dots = [frame.loc[frame[name] == row, value].dropna().to_numpy() * scale for row in rows]
    means = [values.mean() if len(values) else np.nan for values in dots]
    texts = [f"{written(mean)}   n = {len(values)}" for mean, values in zip(means, dots, strict=True)]
    band = tuple(np.multiply(band, scale))
    bars = {} if intervals is None else {row: (low * scale, high * scale) for row, low, high in
                                         intervals[[name, "low", "high"]].itertuples(index=False)}
    names = ["\n".join(wrapped(row, width * (0.27 if narrow else 0.33))) for row in rows]
    left = PAD + max(map(text_width, names)) + 0.2
    right = PAD + max(map(text_width, texts)) + 0.2
    lines = notes(note, width)
    top = heading_height(title, width) + (0.26 if sides else 0.04)
    step = 0.27 + 0.17 * max(name.count("\n") + 1 for name in names)
    figure = sheet(width, top + step * len(rows) + 0.64 + 0.19 * len(lines), title)
    axes = panel(figure, left, top, width - left - right, step * len(rows), grid="x")
    axes.set(ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.set_xlim(limits(np.concatenate([*dots, *bars.values(), band, [0.0] if zero else []]), 0.06))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(axis, labelpad=4)
    if band:
        axes.axvspan(*band, color=SHADE, linewidth=0, zorder=0)
    if zero:
        axes.axvline(0, color=MUTED, linewidth=1.0, zorder=1)
    lane = 6.2 / 72 / step  # a dot's height, in rows
    reach = 6.2 / 72 / (width - left - right) * np.ptp(axes.get_xlim())  # a dot's width, in data
    for row, (values, mean) in enumerate(zip(dots, means, strict=True)):
        bar = bars.get(rows[row], (np.nan, np.nan))
        if np.all(np.isfinite(bar)):
            axes.plot(bar, [row, row], color=BLUE, linewidth=6.5, alpha=0.25, solid_capstyle="butt", zorder=2)
        axes.plot(values, row + _lanes(values, reach) * lane, "o", color=BLUE, markersize=5.6, markeredgecolor=PAPER,
                  markeredgewidth=0.7, zorder=3, clip_on=False)
        if len(values) > 1:
            axes.plot([mean, mean], [row - 0.26, row + 0.26], color=INK, linewidth=1.8, zorder=4)
        middle = top + (row + 0.5) * step
        write(figure, PAD, middle, names[row], BODY, va="center", linespacing=1.3)
        write(figure, width - PAD, middle, texts[row], SMALL, va="center", ha="right", color=MUTED)
        if row:
            axes.axhline(row - 0.5, color=RULE, linewidth=0.5, zorder=0.5)
    if sides:
        write(figure, left, top - 5 / 72, f"\u2190 {sides[0]}", SMALL, va="bottom", color=MUTED)
        write(figure, width - right, top - 5 / 72, f"{sides[1]} \u2192", SMALL, va="bottom", ha="right", color=MUTED)
    write_lines(figure, top + step * len(rows) + 0.56, lines)
    return figure


def _lanes(values: np.ndarray, reach: float) -> np.ndarray:
    """Lifts (0, 1, -1, 2, ...) that keep dots of nearly equal value from covering one another."""
    lifts, last = np.zeros(len(values)), {}
    for index in np.argsort(values, kind="stable"):
        for lift in (0, 1, -1, 2, -2):
            if values[index] - last.get(lift, -np.inf) >= reach:
                break
        lifts[index], last[lift] = lift, values[index]
    return lifts


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
    figure = sheet(width, top + down * step - 0.12, title)
    write(figure, PAD, top - 0.32, f"{label or value}{', %' if percent else ''}; grey: the other choices held fixed",
          SMALL, color=MUTED)
    ends = [max(text_width(str(level), SMALL) for level in levels[second]) + 0.26 for _, second in pairs]
    rooms = [0.4, max(ends, default=0.4)] if narrow else [*ends, *[0.4] * (across - len(ends))]
    share = (width - 2 * PAD - axis - sum(rooms)) / across
    span = limits(cells[value], 0.12)
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
        axes.set(xlim=(-0.22, 1.22), ylim=span)
        axes.tick_params(labelleft=column == 0)
        axes.set_xticks([0, 1], ["\n".join(wrapped(level, share / 1.44 * 0.92, SMALL)) for level in levels[names[0]]],
                        color=INK)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        (_interaction if lower else _main)(axes, cells, names, levels, value)
    return figure


def _levels(frame: pd.DataFrame, factors: Factors) -> dict[str, tuple[str, str]]:
    if not isinstance(factors, Mapping):
        factors = {name: tuple(dict.fromkeys(frame[name])) for name in factors}
    for name, pair in factors.items():
        if len(pair) != 2:
            raise ValueError(f"factor {name!r} needs two levels, has {len(pair)}: {', '.join(map(str, pair))}")
    return dict(factors)


def _main(axes: Axes, cells: pd.DataFrame, names: tuple[str], levels: dict, value: str) -> None:
    (name,) = names
    others = [other for other in levels if other != name]
    for _, part in cells.groupby(others) if others else []:
        line = part.set_index(name)[value].reindex(levels[name])
        axes.plot([0, 1], line, color=FAINT, linewidth=1.2, marker="o", markersize=3.2, zorder=2)
    line = cells.groupby(name)[value].mean().reindex(levels[name])
    axes.plot([0, 1], line, color=BLUE, linewidth=2.2, marker="o", markersize=6, markeredgecolor=PAPER, zorder=3)


def _interaction(axes: Axes, cells: pd.DataFrame, names: tuple[str, str], levels: dict, value: str) -> None:
    table = cells.groupby(list(names))[value].mean()
    lines = {level: [table.get((x, level), np.nan) for x in levels[names[0]]] for level in levels[names[1]]}
    for line, colour in zip(lines.values(), (BLUE, ORANGE), strict=True):
        axes.plot([0, 1], line, color=colour, linewidth=2.0, marker="o", markersize=5.5, markeredgecolor=PAPER)
    ends = [line[1] if np.isfinite(line[1]) else axes.get_ylim()[0] for line in lines.values()]
    name_ends(axes, 1, ends, list(lines), (BLUE, ORANGE))


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
    left = PAD + max(text_width(name, BODY, weight) for name, weight in zip(names, weights, strict=True)) + 0.22
    numbers = text_width(f"{100:.{digits}f}" if percent else "8.888", BODY, "bold")
    right = PAD + max(numbers + (0.52 if narrow else 0), text_width(label, SMALL)) + 0.2
    step = 0.27 + 0.17 * max(name.count("\n") + 1 for name in names)
    top = heading_height(title, width) + 0.26
    figure = sheet(width, top + step * len(names) + 0.62, title)
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
        if before is not None:  # the bar from that level to this one, its size, and the line that ties them
            last, start = before
            side, colour = (1, rise) if value >= start else (-1, fall)
            axes.plot([start, start], [last, row + 0.21], color=TIE, linewidth=1.0, zorder=1)
            axes.barh(row, value - start, left=start, height=0.42, color=colour, zorder=2)
            size = signed(value - start, digits)
            if narrow:  # beside its level, where there is room
                write(figure, width - PAD - numbers - 0.12, place, size, SMALL, va="center", ha="right", color=colour)
            else:
                axes.annotate(size, (value, row), (8 * side, 0), textcoords="offset points", va="center",
                              ha="left" if side > 0 else "right", fontsize=SMALL, color=colour, annotation_clip=False,
                              zorder=5, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.0})
        if bounds is not None and np.all(np.isfinite(bounds[row])):
            axes.plot(bounds[row], [row, row], color=INK, linewidth=1.1, zorder=3)
        axes.plot([value], [row], "o", color=INK, markersize=6.5 if total else 4.5, markeredgecolor=PAPER, zorder=4)
        before = (row, value)
    room = 0.16 if narrow else 0.62  # inches for what is written beside the bars
    axes.set_xlim(limits(values if bounds is None else [*values, *bounds.ravel()], room / (inches(axes)[0] - 2 * room)))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(label + (", %" if percent else ""), labelpad=4)
    return figure
