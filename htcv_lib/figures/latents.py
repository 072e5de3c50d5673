"""A map of a latent space: every image a point, every class a colour and its name where it lies."""

from collections.abc import Sequence

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.figure import Figure

from htcv_lib.figures.labels import free_places
from htcv_lib.figures.style import (
    MUTED,
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

# told apart with red or green cones missing too (tested); classes that often lie together differ most
TEN = ("#5d069b", "#f04b73", "#237afd", "#8e7618", "#98cc38", "#00c8b1", "#a45498", "#2b2b33", "#064911", "#3ab6fd")
NAME = 10.0  # points
MAP = 5.2  # inches, the longer side


@styled
def latent_map(points: np.ndarray, labels: np.ndarray, names: Sequence[str], title: str | None = None,
               axis_names: tuple[str, str] = ("", ""), note: str | None = None, width: float = WIDTH) -> Figure:
    """Points by class; both axes have one scale, so that distances can be compared.

    Args:
        points: (N, 2), for example the two directions of a latent space that vary most.
        labels: (N,), index into `names`.
        names: At most ten classes; each is written at the median of its points, or near it with a line there.
        axis_names: What the two coordinates are.
    """
    points, labels = np.asarray(points, float), np.asarray(labels)
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != (len(points),):
        raise ValueError(f"points must be (N, 2) and labels (N,), got {points.shape} and {labels.shape}")
    if len(names) > len(TEN) or (len(labels) and not 0 <= labels.min() <= labels.max() < len(names)):
        raise ValueError(f"labels must name one of at most {len(TEN)} classes, got {len(names)} names")
    low, high = _limits(points)
    box = (high - low) * min((width - 2 * PAD - 0.3) / (high - low)[0], MAP / (high - low)[1])  # inches
    top = heading_height(title, width)
    notes = wrapped(note, width - 2 * PAD, SMALL) if note else []
    figure = sheet(width, top + box[1] + 0.3 + 0.19 * len(notes) + PAD)
    heading(figure, title)
    axes = panel(figure, (width - box[0]) / 2, top, *box, grid="")
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[], xlabel=axis_names[0],
             ylabel=axis_names[1])
    axes.spines[["left", "top", "right"]].set_visible(True)

    order = np.random.default_rng(0).permutation(len(points))  # no class lies on top of the others
    colours = np.array(TEN)[labels[order]] if len(points) else []
    size = np.clip(16000 / max(len(points), 1), 4, 22)
    axes.scatter(*points[order].T, s=size, c=colours, alpha=0.7, linewidths=0, rasterized=True)
    _name_classes(axes, points, labels, names, low, box / (high - low))
    for number, line in enumerate(notes):
        write(figure, PAD, top + box[1] + 0.34 + 0.19 * number, line, SMALL, color=MUTED)
    return figure


def _limits(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners around all points, with a little room; no side is less than two fifths of the other."""
    if not len(points):
        return np.zeros(2), np.ones(2)
    middle, span = (points.max(axis=0) + points.min(axis=0)) / 2, np.ptp(points, axis=0)
    half = np.maximum(0.53 * span, 0.21 * span.max()) if span.any() else np.full(2, 0.5)
    return middle - half, middle + half


def _name_classes(axes, points: np.ndarray, labels: np.ndarray, names: Sequence[str], low: np.ndarray,
                  per_unit: np.ndarray) -> None:
    """Every name at the median of its class; moved ones keep a line to it."""
    present = [k for k in range(len(names)) if (labels == k).any()]
    if not present:
        return
    medians = np.array([np.median(points[labels == k], axis=0) for k in present])
    anchors = (medians - low) * per_unit  # inches
    sizes = np.array([[text_width(names[k], NAME) + 0.12, 0.26] for k in present])
    bounds = (0, 0, *(axes.get_position().size * axes.figure.get_size_inches()))
    centres = free_places(anchors, sizes, np.empty((0, 2)), bounds, (0, 0.12, 0.3, 0.55, 0.85, 1.2))
    for k, median, anchor, centre in zip(present, medians, anchors, centres, strict=True):
        place = centre / per_unit + low
        if np.abs(centre - anchor).max() > 0.01:
            axes.plot(*zip(median, place, strict=True), color=TEN[k], linewidth=1.2, zorder=3,
                      path_effects=[effects.withStroke(linewidth=2.6, foreground=PAPER)])
            axes.plot(*median, "o", color=TEN[k], markersize=5.5, markeredgecolor=PAPER, zorder=4)
        axes.text(*place, names[k], fontsize=NAME, ha="center", va="center", zorder=5,
                  bbox={"boxstyle": "round,pad=0.25", "facecolor": PAPER, "edgecolor": TEN[k], "linewidth": 1.8})
