"""Figures of the chapter: the map of a latent space, and a VAE that is told a label, drawn from its stages."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from htcv_lib.figures.networks import BOX, LOOKS, TALL, short_count
from htcv_lib.figures.style import (
    BODY,
    GREEN,
    INK,
    MUTED,
    NARROW,
    PAD,
    PAPER,
    PLUM,
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
from htcv_lib.figures.trade import free_places

LOOK = {**LOOKS, "label": ("#e8f3ec", GREEN)}
KINDS = {"Sequential": "block", "Conv2d": "conv", "ConvTranspose2d": "transposed", "MaxPool2d": "max pool",
         "AvgPool2d": "mean pool", "AdaptiveAvgPool2d": "mean pool", "AdaptiveMaxPool2d": "max pool", "GELU": "GELU",
         "ReLU": "ReLU", "SiLU": "SiLU"}
STEP, LANE, GAP = 0.72, 0.2, 0.02  # between rows; room of a wire beside a column; between a box and an arrow


@dataclass(eq=False)
class _Box:
    """A stage, with its output shape and parameters."""

    name: str
    part: str
    shape: Sequence[int] | str
    params: int = 0
    arrival: str = ""  # what happens on the way to it
    told: bool = False  # hears the label
    apart: bool = False  # starts again from what entered the network
    side: "_Box | None" = None  # what is added besides the stage before
    x: float = 0.0  # its middle
    y: float = 0.0
    width: float = 0.0
    height: float = TALL

    @property
    def text(self) -> str:
        return self.shape if isinstance(self.shape, str) else " × ".join(map(str, self.shape))

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2


@styled
def draw_vae(encoder: Sequence[Any], decoder: Sequence[Any], latent: int, conditional: bool = False,
             label_classes: int = 10, title: str | None = None, narrow: bool = False,
             image: Sequence[int] | None = None) -> Figure:
    """Encoder down the left, decoder up the right; below them the posterior, z, the prior and the label.

    Stages without parameters, and normalizations, are written beside arrows. A stage that takes what entered the
    network, not what the stage before gave, is drawn as a second path; the paths meet in a sum.

    Args:
        encoder: Stages in order of execution, image -> features; each with kind, in_shape, out_shape (B, C, H, W)
            or (B, F), and params, as `trace_shapes` returns them.
        decoder: The same for z -> image; if empty, one box stands for it.
        latent: Size of z. Mean and log-variance are counted as linear maps of the features.
        conditional: Prior and decoder are told the label too, not the posterior alone.
        label_classes: Number of labels; each has an embedding for the mean and one for the log-variance.
        image: (C, H, W), for where the first stage sees the image flattened and no traced decoder ends in one.
    """
    if not encoder:
        raise ValueError("no encoder layers to draw")
    down, left_over = _stages(encoder, "encoder")
    up, at_end = _stages(decoder, "decoder")
    shape = tuple(image or (decoder and len(decoder[-1].out_shape) == 4 and decoder[-1].out_shape[1:])
                  or encoder[0].in_shape[1:])
    down.insert(0, _Box("image", "input", shape))
    up = [*(up or [_Box("decoder", "decoder", "")]), _Box("picture", "input", shape, arrival=at_end)]
    if conditional and not any(box.told for box in up):
        up[0].told = True
    features, tables = math.prod(encoder[-1].out_shape[1:]), 2 * label_classes * latent
    mean, logvar = (_Box(name, "bottleneck", (latent,), (features + 1) * latent) for name in ("mean μ", "log-variance"))
    z = _Box("z", "bottleneck", (latent,))
    prior = _Box("prior", "input", (latent,) if conditional else "N(0, I)", tables if conditional else 0)
    label = _Box("label", "label", f"1 of {label_classes}", tables)

    width = NARROW if narrow else WIDTH
    inset = LANE if any(box.side for box in down) else 0.0
    outset = LANE * (any(box.side for box in up) + conditional)
    size = min(BOX, (width - 2 * PAD - inset - outset - (0.3 if inset and narrow else 0.36)) / 2)
    top = heading_height(title, width)
    _place(down, up, top, size, (PAD + inset + size / 2, width - PAD - outset - size / 2))
    base = down[-1].y + 1.05
    _place_latents(mean, logvar, label, base, size, down[-1].right, narrow)
    z.width = prior.width = min(size, width - PAD - outset - logvar.right - (0.32 if narrow else 0.66))
    z.x = prior.x = up[0].right - z.width / 2
    z.y, prior.y = base, label.y

    figure = sheet(width, label.bottom + (0.24 if conditional else 0.08) + 0.3 + PAD)
    heading(figure, title)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(figure.get_size_inches()[1], 0))
    axes.set_axis_off()
    _column(axes, down, down[0], -1)
    _column(axes, [z, *up], z, 1)
    _latents(axes, down[-1], mean, logvar, z, left_over)
    _label(axes, label, mean, logvar)
    _wire(axes, [(up[0].x, prior.top - GAP), (up[0].x, z.bottom + GAP)], MUTED, dashed=True)
    _note(axes, up[0].x + 0.1, (prior.top + z.bottom) / 2, "or from")
    if conditional:
        _wire(axes, [(label.right + GAP, label.y), (prior.left - GAP, prior.y)], GREEN)
        lane, floor = up[0].right + outset - 0.04, label.bottom + 0.2
        for box in (box for box in up if box.told):
            _wire(axes, [(label.x, label.bottom + GAP), (label.x, floor), (lane, floor), (lane, box.y),
                         (box.right + GAP, box.y)], GREEN)
    boxes = [*down, *up, mean, logvar, z, prior, label]
    below = any(box.params and text_width(box.name, BODY, "bold") + text_width(short_count(box.params), SMALL) + 0.3
                > box.width for box in boxes)
    for box in boxes:
        _draw(axes, box, below)
    axes.text(PAD, figure.get_size_inches()[1] - PAD, "channels × height × width; right: parameters", fontsize=SMALL,
              color=MUTED, va="bottom")
    return figure


def _stages(layers: Sequence[Any], part: str) -> tuple[list[_Box], str]:
    """Boxes in order of execution, each with what happens on the way to it, and what happens after the last.

    Of two paths the shorter comes first; a sum ends them.
    """
    entered = math.prod(layers[0].in_shape[1:]) if layers else 0
    paths = [_Trail(entered)]
    trail = paths[0]
    for layer in layers:
        count = f" · {short_count(layer.params)}" if layer.params else ""
        if layer.kind == "Embedding":  # of the label
            trail.pending.append("label" + count)
            trail.told = True
            continue
        takes = math.prod(layer.in_shape[1:])
        if takes != trail.carried:
            others = [path for path in paths if path.carried == takes]
            if not others and takes == entered and len(paths) == 1:
                paths.append(_Trail(entered))
                others = paths[1:]
            trail = others[0] if others else trail
        trail.carried = math.prod(layer.out_shape[1:])
        if not layer.params or "Norm" in layer.kind:
            trail.pending.append(_called(layer) + count)
            continue
        arrival = ", ".join(trail.pending)
        trail.boxes.append(_Box(_called(layer), part, layer.out_shape[1:], int(layer.params), arrival, trail.told))
        trail.told, trail.pending = False, []
    paths = sorted((path for path in paths if path.boxes), key=lambda path: len(path.boxes))
    if len(paths) < 2:
        return (paths[0].boxes if paths else []), ", ".join(paths[0].pending if paths else trail.pending)
    short, long = paths
    long.boxes[0].apart = True
    total = _Box("sum", part, layers[-1].out_shape[1:], arrival=", ".join(long.pending), side=short.boxes[-1])
    return [*short.boxes, *long.boxes, total], ""


@dataclass
class _Trail:
    """One path through a network, as far as it has been followed."""

    carried: int  # numbers that leave its last stage
    told: bool = False  # was the label heard since
    boxes: list[_Box] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)  # on the way to the next box


def _called(layer: Any) -> str:
    """Conv2d -> "conv 3×3" (the kernel follows from the parameters), LayerNorm -> "layer norm"."""
    name = KINDS.get(layer.kind) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"\dd$", "", layer.kind)).lower()
    if layer.kind in ("Conv2d", "ConvTranspose2d"):
        inner, outer = layer.in_shape[-3], layer.out_shape[-3]
        for weights in (layer.params - outer, layer.params):  # with a bias, without
            side = math.isqrt(max(0, weights) // (inner * outer))
            if side and weights == side * side * inner * outer:
                return f"{name} {side}×{side}"
    if layer.kind == "Upsample" and tuple(layer.out_shape[-2:]) == tuple(2 * n for n in layer.in_shape[-2:]):
        return "doubling"
    return name


def _place(down: list[_Box], up: list[_Box], top: float, size: float, middles: tuple[float, float]) -> None:
    """Both columns from the same top to the same bottom; a decoder of one box fills its column."""
    span = (max(len(down), len(up)) - 1) * STEP
    for column, x in ((down, middles[0]), (up[::-1], middles[1])):
        for place, box in enumerate(column):
            box.x, box.width = x, size
            box.y = top + TALL / 2 + span * place / (len(column) - 1)
    if len(up) == 2:
        up[0].height = span - STEP + TALL
        up[0].y -= (span - STEP) / 2


def _place_latents(mean: _Box, logvar: _Box, label: _Box, base: float, size: float, edge: float, narrow: bool) -> None:
    """Mean and log-variance side by side below the encoder, whose right edge is given; the label below both."""
    mean.width, logvar.width = (0.92, 1.2) if narrow else (1.45, 1.75)
    mean.x = PAD + 0.1 + mean.width / 2
    logvar.x = mean.right + 0.12 + logvar.width / 2
    mean.y = logvar.y = base
    label.x, label.y = (mean.right + logvar.left) / 2, base + TALL + 0.5
    label.width = min(size, logvar.right - mean.left - 0.3, 2 * (label.x - mean.left))


def _column(axes: Axes, boxes: list[_Box], start: _Box, outer: int) -> None:
    """Arrows from box to box; second paths start on the inner side of the column and end on its outer side."""
    for before, box in pairwise(boxes):
        ends = ((before.bottom + GAP, box.top - GAP) if box.y > before.y else (before.top - GAP, box.bottom + GAP))
        if box.apart:
            _bypass(axes, start, box, -outer)
        else:
            _wire(axes, [(box.x, ends[0]), (box.x, ends[1])])
        if box.side is not None:
            _bypass(axes, box.side, box, outer)
        inner = -1 if outer > 0 and before is not start else 1  # beside z there is more room outside
        _note(axes, box.x + inner * 0.1, sum(ends) / 2, box.arrival, "left" if inner > 0 else "right")


def _bypass(axes: Axes, start: _Box, end: _Box, side: int) -> None:
    """An arrow out of one box and into another, along a lane left (-1) or right (1) of the column."""
    leave, arrive = (box.x + side * (box.width / 2 + GAP) for box in (start, end))
    lane = arrive + side * (0.14 - GAP)
    _wire(axes, [(leave, start.y), (lane, start.y), (lane, end.y), (arrive, end.y)])


def _latents(axes: Axes, last: _Box, mean: _Box, logvar: _Box, z: _Box, left_over: str) -> None:
    """The posterior's frame, what leads to it from the encoder, and the draw of z."""
    top, bottom, left, right = mean.top - 0.24, mean.bottom + 0.1, mean.left - 0.1, logvar.right + 0.1
    axes.add_patch(FancyBboxPatch((left + 0.04, top + 0.04), right - left - 0.08, bottom - top - 0.08, zorder=0,
                                  boxstyle="round,pad=0.04", facecolor="none", edgecolor=PLUM, linewidth=0.8,
                                  linestyle=(0, (3, 2.5))))
    across = (max(logvar.left, last.left) + min(logvar.right, last.right)) / 2
    for x, box in (((max(mean.left, last.left) + mean.right) / 2, mean), (across, logvar)):
        _wire(axes, [(x, last.bottom + GAP), (x, box.top - GAP)])
    _note(axes, across + 0.1, (last.bottom + top) / 2, left_over)
    axes.text(right - 0.08, (top + mean.top) / 2, "posterior", fontsize=SMALL, color=PLUM, ha="right", va="center")
    _wire(axes, [(right + GAP, z.y), (z.left - GAP, z.y)])
    if z.left - right > 0.5:
        axes.text((right + z.left) / 2, z.y - 0.06, "draw", fontsize=SMALL, color=MUTED, ha="center", va="bottom")


def _label(axes: Axes, label: _Box, mean: _Box, logvar: _Box) -> None:
    """The label's embeddings, added to mean and log-variance."""
    places = [(max(mean.left, label.left) + mean.right) / 2, (logvar.left + min(logvar.right, label.right)) / 2]
    for x in places:
        _wire(axes, [(x, label.top - GAP), (x, mean.bottom + GAP)], GREEN)
    text = next((words for words in ("embeddings", "added") if text_width(words, SMALL) + 0.16 < places[1] - places[0]),
                "+")
    axes.text(sum(places) / 2, (label.top + mean.bottom + 0.1) / 2, text, fontsize=SMALL, color=MUTED, ha="center",
              va="center")


def _draw(axes: Axes, box: _Box, below: bool) -> None:
    """One box; the parameters stand beside its name, or `below` it beside the shape."""
    fill, edge = LOOK[box.part]
    axes.add_patch(FancyBboxPatch((box.left + 0.04, box.top + 0.04), box.width - 0.08, box.height - 0.08,
                                  boxstyle="round,pad=0.04", facecolor=fill, edgecolor=edge, linewidth=0.9))
    x, y, side = (box.left + 0.1, box.y - 0.09, "left") if box.text else (box.x, box.y, "center")
    axes.text(x, y, box.name, fontsize=BODY, weight="bold", va="center", ha=side, color=INK)
    axes.text(box.left + 0.1, box.y + 0.11, box.text, fontsize=SMALL, va="center", color=INK)
    if box.params:
        axes.text(box.right - 0.1, box.y + (0.11 if below else -0.09), short_count(box.params), fontsize=SMALL,
                  va="center", ha="right", color=MUTED)


def _wire(axes: Axes, points: list[tuple[float, float]], colour: str = INK, dashed: bool = False) -> None:
    """An arrow through all these points."""
    axes.add_patch(FancyArrowPatch(path=Path(points), arrowstyle="-|>,head_length=3.2,head_width=2.0",
                                   mutation_scale=1.0, facecolor=colour, edgecolor=colour, linewidth=1.0,
                                   joinstyle="miter", linestyle=(0, (3, 2.5)) if dashed else "-"))


def _note(axes: Axes, x: float, y: float, text: str, side: str = "left") -> None:
    axes.text(x, y, text, fontsize=SMALL, color=MUTED, va="center", ha=side)


# A map of a latent space: every image a point, every class a colour and its name where it lies.

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
