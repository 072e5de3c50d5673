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

