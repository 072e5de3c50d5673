"""The balance of an adversarial training: both losses, what the discriminator gets right, and what the rules did."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from htcv_lib.figures.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAD,
    PAPER,
    PLUM,
    SHADE,
    SMALL,
    WIDTH,
    heading,
    heading_height,
    panel,
    sheet,
    spread,
    styled,
    text_width,
    write,
)

LEFT, HEAD, GAP = 0.42, 0.23, 0.12  # inches: room for ticks, a group's head, white below a panel
GENERATOR, DISCRIMINATOR, ACCURACY, RULES = 0.75, 0.42, 0.95, 0.38  # heights of the panels, inches
LOG_FROM = 4  # a logarithmic axis where the largest loss is this many times the smallest
LOG_TICKS = ((0.8, (1, 2, 3, 5)), (1.3, (1, 2, 5)), (2, (1, 3)), (np.inf, (1,)))  # up to so many decades
LINE = 1.35 * SMALL / 72  # inches from one name to the next
NAMES = {"generator": BLUE, "discriminator": ORANGE, "real pictures": GREEN, "generated pictures": PLUM,
         "mean of both": INK, "discriminator paused": ORANGE, "generator, extra": BLUE, "discriminator, extra": ORANGE,
         "generator, log scale": BLUE}
INTERVENTIONS = ("balance/paused", "balance/extra_generator", "balance/extra_discriminator")


@styled
def balance_curves(frame: pd.DataFrame, limits: tuple[float, float] | None = None, title: str | None = None) -> Figure:
    """One adversarial training over its epochs: losses, the discriminator's accuracies, and interventions.

    The loss of a warm-up without discriminator is dashed, and its epochs are shaded. Without rules the interventions
    are left out.

    Args:
        frame: One row an epoch, as `balance_frame` of `htcv_lib.training` returns it.
        limits: Accuracies in [0, 1], averaged over real and generated pictures, between which the rules give each
            side one update: the band that is shaded. They decide at every step; the curves are means over an epoch.
    """
    lines = {name: _line(frame, f"train/{name}/loss") for name in ("warm_up", "generator", "discriminator")}
    told = [100 * _line(frame, f"train/generator/{name}_accuracy") for name in ("real", "fake")]
    if not all(len(line) for line in (lines["generator"], lines["discriminator"], *told)):
        raise ValueError(f"no adversarial training in {', '.join(map(str, frame.columns))}")
    if limits is not None and not 0 <= limits[0] < limits[1] <= 1:
        raise ValueError(f"limits must be two shares, the lower first, got {limits}")
    done = [100 * _line(frame, column) for column in INTERVENTIONS]
    top = heading_height(title, WIDTH) + HEAD
    head = "discriminator right, %" + ("; mean within the band: each side gets one update" if limits else "")
    groups = {"loss": (GENERATOR, DISCRIMINATOR), head: (ACCURACY,)}
    if any(len(line) for line in done):
        groups["pauses, and updates beyond one, per 100 steps"] = (RULES, RULES)
    tall = sum(height + GAP for heights in groups.values() for height in heights) + HEAD * (len(groups) - 1)
    figure = sheet(WIDTH, top + tall - GAP + 0.5)
    heading(figure, title)
    names = max(text_width(name, SMALL) for name in NAMES)
    panels, place = [], top
    for head, heights in groups.items():
        write(figure, PAD, place - HEAD, head, SMALL, color=MUTED)
        for height in heights:
            panels.append(panel(figure, PAD + LEFT, place, WIDTH - 2 * PAD - LEFT - names - 0.12, height))
            place += height + GAP
        place += HEAD
    start = _share_epochs(panels, _epochs(frame), lines["warm_up"].index.difference(lines["generator"].index))
    _draw_generator(panels[0], lines["generator"], lines["warm_up"])
    panels[1].plot(lines["discriminator"].index, lines["discriminator"], color=ORANGE, linewidth=1.9)
    panels[1].margins(y=0.12)
    panels[1].yaxis.set_major_locator(MaxNLocator(2, min_n_ticks=2))
    _name_ends(panels[1], {"discriminator": lines["discriminator"]})
    _draw_accuracies(panels[2], *told, limits, start)
    if len(panels) > 3:
        _draw_interventions(*panels[3:], *done, _epochs(frame))
    return figure


def _epochs(frame: pd.DataFrame) -> np.ndarray:
    return (frame["epoch"] if "epoch" in frame else frame.index).to_numpy()


def _line(frame: pd.DataFrame, column: str) -> pd.Series:
    """One column by epoch, gaps left out; empty where nobody recorded it."""
    if column not in frame:
        return pd.Series(dtype=float)
    return pd.Series(frame[column].to_numpy(dtype=float), index=_epochs(frame)).dropna()


def _share_epochs(panels: Sequence[Axes], epochs: np.ndarray, warm: pd.Index) -> float:
    """One axis of epochs for all, the warm-up shaded and named; returns where the adversarial epochs start."""
    first, *others = panels
    start = (warm.max() if len(warm) else epochs[0] - 1) + 0.5
    for axes in others:
        axes.sharex(first)
    first.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    first.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    for axes in panels:
        axes.tick_params(labelbottom=axes is panels[-1])
    panels[-1].set_xlabel("epoch", labelpad=4)
    if not len(warm):
        return start
    for axes in panels:
        axes.axvspan(warm.min() - 0.5, start, color=SHADE, linewidth=0, zorder=0)
    figure, box = first.figure, first.get_position()
    middle = box.x0 + box.width * ((warm.min() + start - 0.5) / 2 - epochs[0] + 0.5) / np.ptp(first.get_xlim())
    width, height = figure.get_size_inches()
    nearest = PAD + text_width("loss ", SMALL) + 0.1 + text_width("warm-up", SMALL) / 2
    write(figure, max(middle * width, nearest), (1 - box.y1) * height - HEAD, "warm-up", SMALL, color=MUTED,
          ha="center")
    return start


def _draw_generator(axes: Axes, line: pd.Series, warm_up: pd.Series) -> None:
    """The generator's loss after that of its warm-up, which lacks the adversarial term."""
    lead = pd.concat([warm_up[warm_up.index < line.index[0]], line.iloc[:1]])
    axes.plot(lead.index, lead, color=BLUE, linewidth=1.3, linestyle=(0, (3, 1.6)))
    axes.plot(line.index, line, color=BLUE, linewidth=1.9)
    axes.margins(y=0.08)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    values = pd.concat([lead, line])
    logarithmic = 0 < LOG_FROM * values.min() <= values.max()
    if logarithmic:
        decades = np.log10(values.max() / values.min())
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=next(subs for most, subs in LOG_TICKS if decades < most)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    _name_ends(axes, {"generator, log scale" if logarithmic else "generator": line})


def _draw_accuracies(axes: Axes, real: pd.Series, fake: pd.Series, limits: tuple[float, float] | None,
                     start: float) -> None:
    lines = {"real pictures": real, "generated pictures": fake}
    for name, line in lines.items():
        axes.plot(line.index, line, color=NAMES[name], linewidth=1.9)
    ticks = [50, 100, 0]  # the first of those too near to each other stays
    if limits is not None:
        low, high = (100 * limit for limit in limits)
        axes.fill_between([start, axes.get_xlim()[1]], low, high, color=GREEN, alpha=0.13, linewidth=0, zorder=0.5)
        lines["mean of both"] = ((real + fake) / 2).dropna()
        axes.plot(lines["mean of both"].index, lines["mean of both"], color=INK, linewidth=1.0)
        ticks = [low, high, *ticks]
    bottom = 45 if min(line.min() for line in lines.values()) > 48 else -4
    axes.set_ylim(bottom, 104)
    room = 0.13 / ACCURACY * np.ptp(axes.get_ylim())
    kept: list[float] = []
    for tick in ticks:
        if tick >= bottom and all(abs(tick - other) >= room for other in kept):
            kept.append(tick)
    axes.yaxis.set_major_locator(FixedLocator(sorted(kept)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:.3g}"))
    _name_ends(axes, lines)


def _draw_interventions(upper: Axes, lower: Axes, paused: pd.Series, generator: pd.Series, discriminator: pd.Series,
                        epochs: np.ndarray) -> None:
    """Above what the rules do for the generator, below what they do for the discriminator; one step an epoch."""
    edges = np.append(epochs - 0.5, epochs[-1] + 0.5)
    for axes, line in ((upper, paused), (lower, discriminator)):
        axes.stairs(line.reindex(epochs).fillna(0), edges, fill=True, color=ORANGE, alpha=0.45, linewidth=0)
    upper.stairs(generator.reindex(epochs), edges, baseline=None, color=BLUE, linewidth=1.4)
    for axes, lines in ((upper, {"discriminator paused": paused, "generator, extra": generator}),
                        (lower, {"discriminator, extra": discriminator})):
        highest = max((line.max() for line in lines.values() if len(line)), default=0)
        axes.set_ylim(0, 1.06 * highest or 1)
        axes.yaxis.set_major_locator(MaxNLocator(2, integer=True) if highest else FixedLocator([0]))
        _name_ends(axes, {name: line for name, line in lines.items() if len(line)}, dots=False)


def _name_ends(axes: Axes, lines: dict[str, pd.Series], dots: bool = True) -> None:
    """Each line's name right of the panel at the height of its last value, moved apart where they would touch."""
    axes.autoscale_view(scalex=False)
    tall = axes.get_position().height * axes.figure.get_size_inches()[1]
    to_share = axes.transScale + axes.transLimits
    ends = [to_share.transform((line.index[-1], line.iloc[-1]))[1] for line in lines.values()]
    inset = (LINE - GAP) / 2 / tall  # so that the names of two panels do not touch
    places = _within(spread(ends, LINE / tall), inset, 1 - inset)
    for (name, line), place in zip(lines.items(), places, strict=True):
        if dots:
            axes.plot(line.index[-1:], line.iloc[-1:], "o", color=NAMES[name], markersize=5, markeredgecolor=PAPER,
                      clip_on=False, zorder=4)
        axes.annotate(name, (1, place), (7, 0), xycoords="axes fraction", textcoords="offset points",
                      color=NAMES[name], fontsize=SMALL, va="center", annotation_clip=False)


def _within(places: Sequence[float], low: float, high: float) -> np.ndarray:
    """All of them moved alike so that none is outside, the upper end first."""
    moved = np.asarray(places) - max(0.0, np.max(places) - high)
    return moved + max(0.0, low - np.min(moved))
