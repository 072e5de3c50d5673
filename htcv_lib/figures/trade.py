"""What a weight buys and what it costs, and names beside points that cover nothing."""

import numbers
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterMathtext, LogLocator, MaxNLocator, NullFormatter

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
    heading_height,
    inches,
    notes,
    panel,
    readable,
    scale_of,
    sheet,
    styled,
    text_width,
    with_unit,
    wrapped,
    write,
    write_lines,
)

AROUND = np.deg2rad([20, -20, 160, -160, 90, -90, 50, -50, 130, -130])  # right first, as one reads


def free_places(anchors: np.ndarray, sizes: np.ndarray, avoid: np.ndarray, bounds: Sequence[float],
                reaches: Sequence[float]) -> np.ndarray:
    """Centres for names beside points, one after the other; each takes the first place tried that nothing else has.

    Where no place is free, the one that covers the least is taken. Lengths are in any one unit.

    Args:
        anchors: (N, 2) the named points.
        sizes: (N, 2) width and height of the names.
        avoid: (M, 2) points not to be covered.
        bounds: left, bottom, right, top of the room there is.
        reaches: Distances between a point and its name's edge to try, nearest first; 0 is on the point.

    Returns (N, 2).
    """
    anchors, sizes = np.asarray(anchors, float), np.asarray(sizes, float)
    tries = [(reach, angle) for reach in reaches for angle in (AROUND if reach else AROUND[:1])]
    taken: list[tuple[np.ndarray, np.ndarray]] = []  # lower left and upper right corners
    for index, (anchor, size) in enumerate(zip(anchors, sizes, strict=True)):
        places = []
        for reach, angle in tries:
            away = np.array([np.cos(angle), np.sin(angle)])
            centre = anchor + away * reach + np.clip(1.5 * away, -1, 1) * size / 2 if reach else anchor
            box = centre - size / 2, centre + size / 2
            places.append((_cost(box, anchor, np.delete(anchors, index, axis=0), avoid, bounds, taken), box))
            if places[-1][0] == 0:
                break
        least = min(cost for cost, _ in places)
        taken.append(next(box for cost, box in places if cost <= least + 1e-9))
    return np.array([(low + high) / 2 for low, high in taken]).reshape(-1, 2)


def _cost(box: tuple[np.ndarray, np.ndarray], anchor: np.ndarray, others: np.ndarray, avoid: np.ndarray,
          bounds: Sequence[float], taken: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """0 for a free and unambiguous place, more for one where a name covers something or seems another point's."""
    low, high = box

    def nearest(points: np.ndarray) -> float:
        return np.linalg.norm(np.maximum(np.maximum(low - points, points - high), 0), axis=1).min(initial=np.inf)

    covered = ((avoid >= low) & (avoid <= high)).all(axis=1).sum()
    beyond = np.maximum([bounds[:2] - low, high - bounds[2:]], 0).sum() / (high - low)[1]
    shared = sum(np.maximum(np.minimum(high, top) - np.maximum(low, bottom), 0).prod() for bottom, top in taken)
    line = np.linspace(anchor, np.clip(anchor, low, high), 16)  # that would lead to the name
    passed = np.linalg.norm(others[:, None] - line, axis=2).min(axis=1, initial=np.inf) < (high - low)[1] / 3
    ambiguous = nearest(others) < 1.6 * nearest(anchor[None])
    return float(covered + 4 * beyond + 8 * shared / (high - low).prod() + 0.5 * ambiguous + passed.sum())


STEPS = (1, 2, 2.5, 5, 10)  # between ticks
LEAD = 0.18  # inches between a point and its name from which a line leads there


@styled
def trade_off(frame: pd.DataFrame, x: str, y: str, label: str, xlabel: str | None = None, ylabel: str | None = None,
              prefix: str = "λ = ", log: str = "", title: str | None = None, narrow: bool = False) -> Figure:
    """One metric against another: swept weights joined in their order, everything else a point of its own.

    Args:
        frame: One row a run. Column `label` holds the swept weight, or the name of something that has none, for
            example a baseline. Several rows of one label are seeds: small dots around their mean.
        x, y: Columns of the metrics; shares are drawn in percent.
        prefix: Written before each weight.
        log: The axes with a logarithmic scale: "", "x", "y" or "xy".
    """
    frame = frame.dropna(subset=[x, y])
    if frame.empty:
        raise ValueError(f"no run has both {x} and {y}")
    means = frame.groupby(label, sort=False)[[x, y]].mean()
    weights = sorted(key for key in means.index if isinstance(key, numbers.Real))
    others = [key for key in means.index if key not in weights]
    width, tall = (NARROW, 2.9) if narrow else (WIDTH, 3.9)
    top = heading_height(title, width) + 0.26
    figure = sheet(width, top + tall + 0.62, title)
    axes = panel(figure, PAD + 0.46, top, width - 2 * PAD - 0.46, tall, grid="both")
    write(figure, PAD, top - 0.24, with_unit(y, ylabel), SMALL, color=MUTED)
    axes.set_xlabel(with_unit(x, xlabel), labelpad=5)
    if set(log) - {"x", "y"}:
        raise ValueError(f'log must be "", "x", "y" or "xy", got {log!r}')
    axes.set(**{f"{name}scale": "log" for name in log})
    scale = np.array([scale_of(x), scale_of(y)])
    for keys, colour, marker in ((weights, BLUE, "o"), (others, INK, "D")):
        line = means.loc[keys].to_numpy() * scale
        if keys is weights:
            axes.plot(*line.T, color=colour, linewidth=1.6, alpha=0.55, zorder=2)
        for key, mean in zip(keys, line, strict=True):
            seeds = frame.loc[frame[label] == key, [x, y]].to_numpy() * scale
            if len(seeds) > 1:
                axes.plot(*seeds.T, marker, color=colour, markersize=3.4, alpha=0.4, markeredgewidth=0, zorder=3)
            axes.plot(*mean, marker, color=colour, markersize=8 if marker == "o" else 6.5, markeredgecolor=PAPER,
                      markeredgewidth=1.2, zorder=4, clip_on=False)
    axes.margins(x=0.09, y=0.1)
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if name not in log:
            axis.set_major_locator(MaxNLocator(6, steps=STEPS))
            continue
        low, high = axis.get_view_interval()
        decades = np.log10(high / low)
        axis.set_major_locator(LogLocator(subs=(1,) if decades > 2.5 else (1, 2, 5)))
        axis.set_major_formatter("{x:g}" if decades < 6 else LogFormatterMathtext())
        axis.set_minor_formatter(NullFormatter())
        axis.set_tick_params(which="minor", length=0)
    names = [prefix + _number(key) for key in weights] + [str(key) for key in others]
    colours = [BLUE] * len(weights) + [INK] * len(others)
    _name_points(axes, means.loc[[*weights, *others]].to_numpy() * scale, len(weights), names, colours)
    return figure


@styled
def sweep(frame: pd.DataFrame, x: str, columns: Mapping[str, str] | Sequence[str], xlabel: str | None = None,
          marked: float | None = None, note: str | None = None, title: str | None = None,
          narrow: bool = False) -> Figure:
    """Small multiples over a weight on a logarithmic axis; one dot a seed, the line joins the means.

    Args:
        frame: One row a run.
        x: Column of the weight; 0 stands at the left, beyond a gap in the axis.
        columns: Column of a metric -> its title, one panel each; shares are drawn in percent.
        marked: A weight with a shaded column, for example the report's; say in `note` what it is.
    """
    given = columns if isinstance(columns, Mapping) else dict.fromkeys(columns)
    titles = {name: with_unit(name, text) for name, text in given.items()}
    weights = np.sort(frame[x].dropna().unique()).astype(float)
    if not len(weights) or weights[0] < 0:
        raise ValueError(f"{x} must hold weights of at least 0, got {weights.tolist()}")
    places = dict(zip(weights, _places(weights), strict=True))
    width = NARROW if narrow else WIDTH
    across = min(2 if narrow or len(titles) == 4 else 3, len(titles))
    down = -(-len(titles) // across)
    left, gap, tall = (0.4, 0.16, 1.3) if narrow else (0.42, 0.22, 1.5)
    broad = (width - 2 * PAD - gap * (across - 1)) / across - left
    heads = {name: wrapped(text, broad + left, BODY) for name, text in titles.items()}
    above = 0.19 * max(map(len, heads.values())) + 0.1
    step = above + tall + 0.42
    top = heading_height(title, width)
    lines = notes(note, width)
    figure = sheet(width, top + down * step + 0.16 + 0.19 * len(lines) + PAD, title)
    for index, (name, head) in enumerate(heads.items()):
        row, column = divmod(index, across)
        start = PAD + column * (left + broad + gap)
        place = top + row * step + above
        write(figure, start, place - 0.1, "\n".join(head), BODY, va="bottom", linespacing=1.25)
        axes = panel(figure, start + left, place, broad, tall)
        _sweep_panel(axes, frame, x, name, places, marked)
    write(figure, PAD, top + down * step - 0.06, xlabel or readable(x), SMALL, color=MUTED)
    write_lines(figure, top + down * step + 0.15, lines)
    return figure


def _number(value: float) -> str:
    """A weight as short as it can be: 0, 0.5, 1000, 30,000."""
    return f"{value:,.0f}" if value >= 10_000 and value == int(value) else f"{value:g}"


def _places(weights: np.ndarray) -> np.ndarray:
    """Where weights stand on the axis, in decades; 0 one decade left of the smallest other."""
    above = np.log10(weights[weights > 0])
    first = above[:1] if len(above) else np.zeros(1)
    return np.concatenate([first - 1, above]) if weights[0] == 0 else above


def _sweep_panel(axes: Axes, frame: pd.DataFrame, x: str, name: str, places: Mapping[float, float],
                 marked: float | None) -> None:
    values = frame[[x, name]].dropna()
    where = values[x].astype(float).map(places).to_numpy()
    shown = values[name] * scale_of(name)
    means = shown.groupby(where).mean()
    room = 0.35  # decades
    span = list(places.values())
    axes.set_xlim(span[0] - room, span[-1] + room)
    if marked is not None and float(marked) in places:
        middle = places[float(marked)]
        half = 0.13 * np.ptp(axes.get_xlim()) / inches(axes)[0]
        axes.axvspan(middle - half, middle + half, color=SHADE, linewidth=0, zorder=0)
    zero = places.get(0.0)
    above = means[means.index != zero]
    axes.plot(above.index, above, color=BLUE, linewidth=1.8, zorder=2)
    if zero in means.index and len(above):
        axes.plot([zero, above.index[0]], [means[zero], above.iloc[0]], color=BLUE, linewidth=1.2,
                  linestyle=(0, (2, 2.5)), zorder=2)
    if zero is not None and len(places) > 1:
        axes.axvline((zero + span[1]) / 2, color=RULE, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
    axes.plot(where, shown, "o", color=BLUE, markersize=5, markeredgecolor=PAPER,
              markeredgewidth=0.7, zorder=3, clip_on=False)
    axes.set_xticks(span, _tick_names(list(places), span, axes))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=STEPS, min_n_ticks=3))
    axes.margins(y=0.12)


def _tick_names(weights: Sequence[float], span: Sequence[float], axes: Axes) -> list[str]:
    """Every weight, but those that would touch the one before stay without a name."""
    per_decade = inches(axes)[0] / np.ptp(axes.get_xlim())
    names, end = [], -np.inf
    for weight, place in zip(weights, span, strict=True):
        text = _number(weight)
        half = text_width(text, SMALL) / 2
        free = place * per_decade - half > end + 0.03
        names.append(text if free else "")
        end = place * per_decade + half if free else end
    return names


def _name_points(axes: Axes, points: np.ndarray, joined: int, names: Sequence[str], colours: Sequence[str]) -> None:
    """Each point's name beside it, off the other points and off the line through the first `joined`; a thin line leads
    to a name that stands away from its point or nearer to another."""
    axes.autoscale_view()
    size = inches(axes)
    transform = axes.transScale + axes.transLimits
    anchors = transform.transform(points) * size  # inches
    between = [np.linspace(one, other, 24) for one, other in pairwise(anchors[:joined])]
    ring = np.array([(0, 0), (0.05, 0), (-0.05, 0), (0, 0.05), (0, -0.05)])
    avoid = np.concatenate([*between, (anchors[:, None] + ring).reshape(-1, 2)])
    sizes = np.array([[text_width(name, BODY) + 0.06, 0.17] for name in names])
    centres = free_places(anchors, sizes, avoid, (0, 0, *size), (0.1, 0.15, 0.22, 0.32, 0.5, 0.7))
    in_data = transform.inverted().transform
    for place, name, colour in zip(in_data(centres / size), names, colours, strict=True):
        axes.text(*place, name, fontsize=BODY, color=colour, ha="center", va="center", zorder=5)
    for index, edge in enumerate(np.clip(anchors, centres - sizes / 2, centres + sizes / 2)):
        away = np.linalg.norm(anchors - edge, axis=1)
        if away[index] > LEAD or (np.delete(away, index) < 1.3 * away[index]).any():
            axes.plot(*in_data(np.array([anchors[index], edge]) / size).T, color=MUTED, linewidth=0.7, zorder=2)
