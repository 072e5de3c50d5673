"""A network of a video encoder and decoders, drawn from its traced stages: down on the left, up in a column each."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from htcv_lib.figures.networks import LOOKS, arrow, short_count
from htcv_lib.figures.style import (
    BODY,
    INK,
    MUTED,
    ORANGE,
    PAD,
    PAPER,
    SMALL,
    WIDTH,
    heading,
    heading_height,
    sheet,
    styled,
    wrapped,
)

TALL, STEP, GAP, BOX = 0.5, 0.84, 0.24, 2.05  # a box's height, from row to row, between columns, a box's greatest width
LINE = 0.19
DRAWN = {"original_head": "clean picture", "lighting_head": "shadow, light", "occlusion_head": "mask, colour",
         "decoder": "views"}  # what a decoder draws, by its name in the model


@styled
def draw_sequence_network(layers: Sequence[Any], title: str | None = None, cut: bool = False) -> Figure:
    """A column for the encoder and one for each decoder; a row is a resolution, finest at the top.

    Args:
        layers: As from `trace_sequence` of `htcv_lib.models`: name, kind, out_shape (B, C, T, H, W) and params.
        cut: The skips are multiplied by zero.
    """
    parts: dict[str, list[Any]] = {}
    for layer in layers:
        parts.setdefault(layer.name.split(".")[0], []).append(layer)
    encoder, decoders = parts.pop("encoder"), parts
    stages = [layer for layer in encoder if "stage" in layer.name]
    image = tuple(encoder[0].in_shape)
    box = min(BOX, (WIDTH - 2 * PAD - GAP * len(decoders)) / (1 + len(decoders)))
    middles = [PAD + box / 2] + [WIDTH - PAD - box / 2 - k * (box + GAP) for k in range(len(decoders))][::-1]
    sizes = sorted({_size(layer.out_shape) for layer in layers} | {_size(image)}, reverse=True)
    top = heading_height(title, WIDTH)
    rows = {size: top + TALL / 2 + STEP * (1 + place) for place, size in enumerate(sizes)}  # above them, what comes out
    note = wrapped(f"channels × views × height × width; right: parameters; dashed: skips, "
                   f"{'multiplied by zero' if cut else 'concatenated'}", WIDTH - 2 * PAD, SMALL)
    figure = sheet(WIDTH, rows[sizes[-1]] + TALL / 2 + 0.16 + LINE * len(note) + PAD)
    heading(figure, title)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(figure.get_size_inches()[1], 0))
    axes.set_axis_off()
    for number, (column, blocks) in enumerate(zip(middles[1:], decoders.values(), strict=True)):
        _skips(axes, stages, blocks, rows, middles[number], column, box, cut)
    _encoder(axes, encoder, rows, middles[0], box, image)
    lowest = rows[_size(stages[-1].out_shape)]
    axes.plot([middles[0] + box / 2, middles[-1]], [lowest, lowest], color=INK, linewidth=1.0)
    for column, (part, blocks) in zip(middles[1:], decoders.items(), strict=True):
        _decoder(axes, blocks, DRAWN.get(part, part), rows, column, box, lowest, top + TALL / 2)
    for place, line in enumerate(note):
        axes.text(PAD, rows[sizes[-1]] + TALL / 2 + 0.2 + LINE * place, line, fontsize=SMALL, color=MUTED, va="top")
    return figure


def _size(shape: Sequence[int]) -> int:
    return shape[-2] * shape[-1]


def _skips(axes: Axes, stages: Sequence[Any], blocks: Sequence[Any], rows: Mapping[int, float], start: float,
           column: float, box: float, cut: bool) -> None:
    """Dashed arrows from the column before, at each resolution that both sides have."""
    for size in {_size(stage.out_shape) for stage in stages} & {_size(block.out_shape) for block in blocks}:
        left, right, y = start + box / 2 + 0.03, column - box / 2 - 0.03, rows[size]
        arrow(axes, (left, y), (right, y), ORANGE if cut else MUTED, dashed=True)
        if cut:
            axes.text((left + right) / 2, y, " × 0 ", fontsize=SMALL, color=ORANGE, ha="center", va="center",
                      backgroundcolor=PAPER)


def _encoder(axes: Axes, encoder: Sequence[Any], rows: Mapping[int, float], x: float, box: float,
             image: Sequence[int]) -> None:
    y = rows[_size(image)]
    _box(axes, "input", "views", image, 0, x, y, box)
    for step, stage in zip(encoder[::2], encoder[1::2], strict=True):
        before, y = y, rows[_size(stage.out_shape)]
        arrow(axes, (x, before + TALL / 2), (x, y - TALL / 2), INK)
        text = f"{'merging' if 'merging' in step.name else step.name.split('.')[1]} · {short_count(step.params)}"
        axes.text(x + 0.08, y - TALL / 2 - (STEP - TALL) / 2, text, fontsize=SMALL, color=MUTED, va="center")
        _box(axes, "bottleneck" if stage is encoder[-1] else "encoder", stage.kind, stage.out_shape, stage.params, x,
             y, box)


def _decoder(axes: Axes, blocks: Sequence[Any], name: str, rows: Mapping[int, float], x: float, box: float,
             below: float, end: float) -> None:
    for block in blocks[:-1]:
        y = rows[_size(block.out_shape)]
        arrow(axes, (x, below if below == max(rows.values()) else below - TALL / 2), (x, y + TALL / 2), INK)
        _box(axes, "decoder", "block", block.out_shape, block.params, x, y, box)
        below = y
    arrow(axes, (x, below - TALL / 2), (x, end + TALL / 2), INK)
    _box(axes, "input", name, blocks[-1].out_shape, blocks[-1].params, x, end, box)


def _box(axes: Axes, look: str, name: str, shape: Sequence[int], params: int, x: float, y: float, box: float) -> None:
    fill, edge = LOOKS[look]
    left = x - box / 2
    axes.add_patch(FancyBboxPatch((left + 0.04, y - TALL / 2 + 0.04), box - 0.08, TALL - 0.08, linewidth=0.9,
                                  boxstyle="round,pad=0.04", facecolor=fill, edgecolor=edge))
    axes.text(left + 0.1, y - 0.09, name, fontsize=BODY, weight="bold", va="center", color=INK)
    axes.text(left + 0.1, y + 0.11, " × ".join(map(str, tuple(shape)[1:])), fontsize=SMALL, va="center", color=INK)
    if params:
        axes.text(left + box - 0.1, y - 0.09, short_count(params), fontsize=SMALL, va="center", ha="right", color=MUTED)
