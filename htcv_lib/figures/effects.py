"""A full grid of two-level choices: what each choice changes, and whether it depends on the others."""

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
    INK,
    MUTED,
    NARROW,
    ORANGE,
    PAD,
    PAPER,
    RULE,
    SMALL,
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

    width = NARROW if narrow else WIDTH
    top = heading_height(title, width)
    tall = 1.5 if narrow else 1.65
    figure = sheet(width, top + (rows if narrow else 2) * (tall + 1.12) - 0.02)
    heading(figure, title)
    room = max(text_width(level, SMALL) for name in list(levels)[1:] for level in levels[name]) + 0.12
    axis = 0.36
    share = (width - 2 * PAD) / (2 if narrow else rows)
    limits = _limits(cells[value])
    unit = " points" if percent else ""
    for number, names in enumerate([(name,) for name in levels] + pairs):
        lower, place = number >= len(levels), number % len(levels)
        across, down = (int(lower), place) if narrow else (place, int(lower))
        left, up = PAD + across * share, top + down * (tall + 1.12)
        axes = panel(figure, left + axis, up + 0.5, share - axis - room - (0 if narrow else 0.1), tall)
        effect = " × ".join(names)
        write(figure, left, up, effect, BODY, weight="bold")
        if effect in mean:
            write(figure, left, up + 0.19, signed(mean[effect], 1 if percent else 3, unit), SMALL, color=MUTED)
        _two_levels(axes, levels[names[0]], limits)
        if lower:
            _interaction(axes, cells, names, levels, value)
        else:
            _main(axes, cells, names[0], levels, value)
    if label or percent:
        _corner(figure, label or value, percent)
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


def _two_levels(axes: Axes, pair: tuple[str, str], limits: tuple[float, float]) -> None:
    axes.set(xlim=(-0.25, 1.25), ylim=limits)
    inches = axes.figure.get_size_inches()[0] * axes.get_position().width / 1.5
    axes.set_xticks([0, 1], ["\n".join(wrapped(level, inches * 0.92, SMALL)) for level in pair], color=INK)
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _main(axes: Axes, cells: pd.DataFrame, name: str, levels: dict, value: str) -> None:
    others = [other for other in levels if other != name]
    for _, part in cells.groupby(others) if others else []:
        line = part.set_index(name)[value].reindex(levels[name])
        axes.plot([0, 1], line, color=RULE, linewidth=1.2, marker="o", markersize=3.2, zorder=2)
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


def _corner(figure: Figure, label: str, percent: bool) -> None:
    """What the vertical axes count, once."""
    axes = figure.axes[0]
    axes.annotate(label + (", %" if percent else ""), (0, 1), (-26, 4), xycoords="axes fraction",
                  textcoords="offset points", fontsize=SMALL, color=MUTED, va="bottom")
