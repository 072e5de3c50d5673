"""An encoder-decoder drawn from its traced layers: down the left side, up the right, skips across."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from htcv_lib.figures.style import (
    BLUE,
    BODY,
    INK,
    MUTED,
    NARROW,
    ORANGE,
    PAD,
    PLUM,
    SMALL,
    WIDTH,
    canvas,
    heading_height,
    sheet,
    styled,
)

LOOKS = {"input": ("#f4f6f8", "#aab4bf"), "encoder": ("#e6eff7", BLUE), "bottleneck": ("#f5eaf1", PLUM),
         "decoder": ("#fbece5", ORANGE)}  # fill, edge
KINDS = {"MaxPool2d": "max pool", "AvgPool2d": "mean pool", "Conv2d": "strided", "ConvTranspose2d": "transposed",
         "Upsample": "upsample"}
BOX, TALL, STEP = 2.05, 0.5, 0.82  # a box's width and height, and from one row to the next, in inches


class _Block:
    """A box: a stage that keeps the resolution, or the input."""

    def __init__(self, name: str, part: str, shape: tuple[int, ...], params: int = 0, arrival: Any = None):
        self.name, self.part, self.shape, self.params = name, part, _inner(shape), int(params)
        self.arrival = arrival  # the layer that changed the resolution on the way here
        self.skip: _Block | None = None
        self.x = self.y = 0.0  # its middle

    @property
    def size(self) -> int:
        return self.shape[-2] * self.shape[-1]


@styled
def draw_architecture(layers: Sequence[Any], title: str | None = None, narrow: bool = False) -> Figure:
    """One box a stage with its output shape and parameters; a row is a resolution, finest at the top.

    A layer that only changes the resolution becomes the label of an arrow. A skip is drawn where a stage takes
    exactly the channels of the layer before it plus those of the encoder stage of its resolution.

    Args:
        layers: In order of execution, each with name, kind, in_shape, out_shape (..., C, H, W), or of sequences
            (B, C, T, H, W), and params, as `trace_shapes` returns them.
    """
    blocks = _blocks(layers)
    flat = not any(block.part == "bottleneck" for block in blocks)
    width = NARROW if narrow or flat else WIDTH
    box = min(BOX, (width - 2 * PAD - 0.36) / 2)
    top = heading_height(title, width)
    rows = _place(blocks, width, box, top, narrow)
    figure = sheet(width, top + (rows - 1) * STEP + TALL + 0.34 + PAD, title)
    axes = canvas(figure)
    for before, block in pairwise(blocks):
        _step(axes, before, block, box)
    skipping = [block for block in blocks if block.skip]
    for block in skipping:
        start, end = block.skip.x + box / 2, block.x - box / 2
        arrow(axes, (start + 0.05, block.skip.y), (end - 0.05, block.y), MUTED, dashed=True)
        if end - start > 1.0 and block is skipping[-1]:
            axes.text((start + end) / 2, block.y - 0.06, "skip: concatenated", ha="center", va="bottom",
                      fontsize=SMALL, color=MUTED)
    for block in blocks:
        draw_box(axes, block.x, block.y, box, block.part, block.name, block.shape, block.params)
    sizes = "channels × height × width" if len(blocks[0].shape) == 3 else "channels × views × height × width"
    axes.text(PAD, figure.get_size_inches()[1] - PAD, f"{sizes}; right: parameters", fontsize=SMALL, color=MUTED,
              va="bottom")
    return figure


def _inner(shape: Sequence[int]) -> tuple[int, ...]:
    """(C, H, W), or (C, T, H, W) of a sequence, whatever stands before."""
    return tuple(shape)[1:] if len(shape) == 5 else tuple(shape)[-3:]


def _blocks(layers: Sequence[Any]) -> list[_Block]:
    """Boxes in order of execution: the input, then every stage that is not just a change of resolution."""
    if not layers:
        raise ValueError("no layers to draw")
    sizes = [(tuple(layer.in_shape)[-2:], tuple(layer.out_shape)[-2:]) for layer in layers]
    kept, arrival = [], None
    for place, (layer, (entered, left)) in enumerate(zip(layers, sizes, strict=True)):
        follows = place + 1 < len(layers) and sizes[place + 1] == (left, left)
        if entered != left and follows:
            arrival = layer
        else:
            kept.append((layer, arrival, layers[place - 1] if place else None))
            arrival = None
    deepest = min(range(len(kept)), key=lambda k: tuple(kept[k][0].out_shape)[-1])
    blocks = [_Block("image", "input", layers[0].in_shape)]
    flat = len({tuple(layer.out_shape)[-2:] for layer in layers}) == 1
    for place, (layer, came, previous) in enumerate(kept):
        part = "encoder" if place < deepest or flat else "bottleneck" if place == deepest else "decoder"
        block = _Block(layer.name, part, layer.out_shape, layer.params, came)
        if part == "decoder" and previous is not None:
            extra = _inner(layer.in_shape)[0] - _inner(previous.out_shape)[0]
            twins = [b for b in blocks if b.part == "encoder" and b.size == block.size and b.shape[0] == extra]
            block.skip = twins[-1] if twins else None
        blocks.append(block)
    return blocks


def _place(blocks: list[_Block], width: float, box: float, top: float, narrow: bool) -> int:
    """Give every box its middle; returns how many rows there are."""
    sizes = sorted({block.size for block in blocks}, reverse=True)
    indent = 0.0 if narrow else min(0.28, (width / 2 - PAD - box - 0.15) / max(1, len(sizes) - 2))
    row = 0
    for level, size in enumerate(sizes):
        left = [b for b in blocks if b.size == size and b.part in ("input", "encoder")]
        middle = [b for b in blocks if b.size == size and b.part == "bottleneck"]
        right = [b for b in blocks if b.size == size and b.part == "decoder"][::-1]  # executed upwards
        if left and middle and left[-1].part != "input":
            left, middle = left + middle, []  # a bottleneck that shares its resolution stays in the column
        height = max(len(left), len(right), len(middle))
        for side, column in (("left", left), ("middle", middle), ("right", right)):
            for place, block in enumerate(column, start=height - len(column)):
                block.y = top + (row + place) * STEP + TALL / 2
                inset = PAD + level * indent + box / 2
                block.x = {"left": inset, "middle": width / 2, "right": width - inset}[side]
        row += height
    return row


def draw_box(axes: Axes, x: float, y: float, width: float, look: str, name: str, shape: Sequence[int],
             params: int = 0) -> None:
    """A box around its middle on a `canvas`: the name over the shape (C, H, W), and the parameters at the right.

    Args:
        look: A key of `LOOKS`.
    """
    fill, edge = LOOKS[look]
    left = x - width / 2
    axes.add_patch(FancyBboxPatch((left + 0.04, y - TALL / 2 + 0.04), width - 0.08, TALL - 0.08, linewidth=0.9,
                                  boxstyle="round,pad=0.04", facecolor=fill, edgecolor=edge))
    axes.text(left + 0.1, y - 0.09, name, fontsize=BODY, weight="bold", va="center", color=INK)
    axes.text(left + 0.1, y + 0.11, " × ".join(map(str, shape)), fontsize=SMALL, va="center", color=INK)
    if params:
        axes.text(left + width - 0.1, y - 0.09, short_count(params), fontsize=SMALL, va="center", ha="right",
                  color=MUTED)


def _step(axes: Axes, before: _Block, block: _Block, box: float) -> None:
    """The arrow from one box to the next; what changes the resolution is written beside it."""
    down = block.y > before.y
    towards = 1 if block.x > before.x + 0.5 * box else -1 if block.x < before.x - 0.5 * box else 0
    outer = -1 if max(before.x, block.x) < axes.get_xlim()[1] / 2 + 0.01 and down else 1
    if "bottleneck" in (before.part, block.part):
        side = before if block.part == "bottleneck" else block
        inner = 1 if side.x < (block if side is before else before).x else -1
        x, label = side.x + inner * (box / 2 - 0.15), (-inner if towards or inner else outer)
    else:
        x = (max if outer < 0 else min)(before.x, block.x) + outer * (box / 2 - 0.22)
        label = -outer
    gap = TALL / 2 + 0.02
    arrow(axes, (x, before.y + (gap if down else -gap)), (x, block.y - (gap if down else -gap)), INK)
    if block.arrival is not None:
        text = KINDS.get(block.arrival.kind, block.arrival.kind)
        text += f" · {short_count(block.arrival.params)}" if block.arrival.params else ""
        axes.text(x + label * 0.1, (before.y + block.y) / 2, text, fontsize=SMALL, color=MUTED, va="center",
                  ha="left" if label > 0 else "right")


def arrow(axes: Axes, start: tuple, end: tuple, colour: str, dashed: bool = False) -> None:
    """An arrow between two places (x, y) in inches."""
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>,head_length=3.2,head_width=2.0", mutation_scale=1.0,
                                   shrinkA=0, shrinkB=0, color=colour, linewidth=1.0,
                                   linestyle=(0, (3, 2.5)) if dashed else "-"))


def short_count(number: int) -> str:
    """1475714 -> "1.48 M", 55682 -> "55.7 k", three significant digits."""
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:#.3g}".rstrip(".") + unit
    return str(number)
