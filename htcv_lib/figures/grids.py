"""Pictures in grids: inputs beside what models make of them, masks beside their truth."""

from collections.abc import Mapping, Sequence
from itertools import pairwise, product

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from htcv_lib.figures.style import (
    BODY,
    CLASS_COLOURS,
    CLASSES,
    ERROR,
    GRID_DPI,
    MUTED,
    PAD,
    PAPER,
    RULE,
    SMALL,
    WIDTH,
    heading_height,
    notes,
    panel,
    plain,
    sheet,
    styled,
    text_width,
    wrapped,
    write,
    write_lines,
)

FRAME = "#f5b13d"  # seen on black digits and on photographs
APART = 0.14  # inches between the columns set apart and the others
SCALE = 1.3  # inches, the length of a scale of colours


def pictures(images: np.ndarray) -> np.ndarray:
    """What can be drawn, from what models take and return.

    Args:
        images: (N, C, H, W) with C 1 or 3, or (N, H, W); uint8, or floats in [0, 1] (clipped). Tensors on the
            CPU will do.

    Returns uint8 (N, H, W, 3).
    """
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images must be (N, H, W) or (N, C, H, W) with C 1 or 3, got {images.shape}")
    if images.dtype != np.uint8:
        if not np.issubdtype(images.dtype, np.floating):
            raise ValueError(f"images must be uint8 or floats in [0, 1], got {images.dtype}")
        if not np.isfinite(images).all():
            raise ValueError("images hold values that are not finite")
        images = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    return np.broadcast_to(images.transpose(0, 2, 3, 1), (len(images), *images.shape[2:], 3))


@styled
def picture_grid(images: np.ndarray, row_headings: Sequence[str] | None = None,
                 column_headings: Sequence[str] | None = None, marked: np.ndarray | None = None,
                 title: str | None = None, apart: int = 0, above: str | None = None, note: str | None = None,
                 width: float = WIDTH, gap: float = 0.0, key: Mapping[str, str] | None = None,
                 scale: tuple[str, str, str] | None = None) -> Figure:
    """A grid of pictures; save it as PNG.

    Args:
        images: uint8 (R, C, H, W, 3), as from `pictures` and a reshape.
        row_headings: R short texts, left of the rows.
        column_headings: C short texts, above the columns; they lean where a word is wider than a picture.
        marked: (R, C) bool, the pictures that get a thin frame; say in `note` what it means.
        apart: So many columns at the left, for example the inputs, stand apart from the others.
        above: What the headings of the other columns are, for example "label handed to the model".
        note: Written below.
        width: Of the figure at most; without a gap, small pictures are not enlarged beyond four times.
        gap: Inches between pictures, each of which then ends in a line where its edge is white.
        key: Name -> colour, explained below.
        scale: A colour map, and the words for its first and its last colour: a bar below.
    """
    images = np.asarray(images)
    if images.ndim != 5 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ValueError(f"images must be uint8 (R, C, H, W, 3), got {images.dtype} {images.shape}")
    rows, columns, height, breadth, _ = images.shape
    marked = np.zeros((rows, columns), bool) if marked is None else np.asarray(marked, bool)
    for name, size, wanted in (("row headings", row_headings, rows), ("column headings", column_headings, columns)):
        if size is not None and len(size) != wanted:
            raise ValueError(f"{wanted} {name.replace('headings', 'headings are needed')}, got {len(size)}")
    if marked.shape != (rows, columns) or not 0 <= apart < columns:
        raise ValueError(f"marked is {marked.shape} and apart {apart}, for {rows} rows and {columns} columns")

    names = ["\n".join(wrapped(plain(text), 1.2)) for text in (() if row_headings is None else row_headings)]
    heads = [] if column_headings is None else list(column_headings)
    left, right = PAD + (max(map(text_width, names)) + 0.12 if names else 0.0), PAD
    between = (columns - 1) * gap + (APART if apart else 0.0)
    tile = (width - left - right - between) / columns
    tile = tile if gap else min(tile, 4 * breadth / GRID_DPI)
    head_width = tile + gap - 0.04
    slanted = any(text_width(line, SMALL) > head_width + 0.02 for head in heads
                  for line in wrapped(head, head_width, SMALL))
    if slanted:
        beyond = [0.77 * text_width(head, SMALL) - (columns - k - 0.5) * (tile + gap) for k, head in enumerate(heads)]
        right = max(PAD, max(beyond) + 0.06)
        tile = min(tile, (width - left - right - between) / columns)
        room = 0.64 * max(text_width(head, SMALL) for head in heads) + 0.24  # sin 40°
    else:
        room = heads_height(heads, head_width) + 0.09 if any(heads) else 0.0
    tall = tile * height / breadth
    full = left + columns * tile + between + right
    top = heading_height(title, full) + (0.22 if above else 0) + room
    bottom = top + rows * (tall + gap) - gap
    lines = notes(note, full)
    below = 0.34 if key or scale else 0
    figure = sheet(full, bottom + (0.1 + 0.19 * len(lines) if lines else 0) + below + PAD, title)

    lefts = [left + column * (tile + gap) + (APART if 0 < apart <= column else 0) for column in range(columns)]
    if above:
        write(figure, lefts[apart], top - room - 0.2, above, SMALL, color=MUTED)
    if slanted:
        for start, head in zip(lefts, heads, strict=True):
            write(figure, start + tile / 2 - 0.05, top - 0.1, head, SMALL, va="baseline", rotation=40,
                  rotation_mode="anchor")
    elif heads:
        write_heads(figure, heads, [start + tile / 2 for start in lefts], top - 0.1, head_width, ha="center")
    for row, name in enumerate(names):
        write(figure, left - 0.12, top + row * (tall + gap) + tall / 2, name, BODY, ha="right", va="center",
              linespacing=1.25)
    starts = [(0, rows), (0, apart, columns) if apart else (0, columns)]  # of parts without a gap
    if gap:
        starts = [range(rows + 1), range(columns + 1)]
    for (first, last), (begin, end) in product(*map(pairwise, starts)):
        _block(figure, images[first:last, begin:end], marked[first:last, begin:end], lefts[begin],
               top + first * (tall + gap), tile, tall, outlined=gap > 0)
    _draw_key(figure, key or {}, left, bottom + 0.16)
    if scale:
        _draw_scale(figure, *scale, left, bottom + 0.16)
    write_lines(figure, bottom + below + 0.12, lines)
    return figure


def _block(figure: Figure, images: np.ndarray, marked: np.ndarray, left: float, top: float, tile: float,
           tall: float, outlined: bool) -> None:
    """Pictures (R, C, H, W, 3) side by side as one, a hair's breadth between them, and their frames."""
    rows, columns, height, breadth, _ = images.shape
    axes = panel(figure, left, top, columns * tile, rows * tall, grid="")
    mosaic = images.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * breadth, 3)
    axes.imshow(mosaic, interpolation="antialiased", aspect="auto", extent=(0, columns, rows, 0))
    axes.set(xticks=[], yticks=[])
    edge = np.concatenate([mosaic[0], mosaic[-1], mosaic[:, 0], mosaic[:, -1]])
    axes.spines[:].set(visible=outlined and edge.mean() > 240, color=RULE, linewidth=0.6)  # else lost on the sheet
    axes.vlines(range(1, columns), 0, rows, color=PAPER, linewidth=0.5)
    axes.hlines(range(1, rows), 0, columns, color=PAPER, linewidth=0.5)
    inset = 0.9 / 72 / tile  # half the frame's line, so that it lies on its own picture
    for row, column in np.argwhere(marked):
        axes.add_patch(Rectangle((column + inset, row + inset), 1 - 2 * inset, 1 - 2 * inset, fill=False,
                                 edgecolor=FRAME, linewidth=1.6, joinstyle="miter"))


def _draw_key(figure: Figure, key: Mapping[str, str], left: float, top: float) -> None:
    full_width, full_height = figure.get_size_inches()
    for name, colour in key.items():
        box = Rectangle((left / full_width, 1 - (top + 0.13) / full_height), 0.13 / full_width, 0.13 / full_height,
                        transform=figure.transFigure, facecolor=colour, edgecolor="none")
        figure.add_artist(box)
        write(figure, left + 0.2, top + 0.065, name, SMALL, color=MUTED, va="center")
        left += 0.2 + text_width(name, SMALL) + 0.3


def _draw_scale(figure: Figure, colours: str, first: str, last: str, left: float, top: float) -> None:
    """A bar of all colours of a map between two words."""
    start = left + text_width(first, SMALL) + 0.1
    bar = panel(figure, start, top, SCALE, 0.13, grid="")
    bar.imshow(np.linspace(0, 1, 256)[None], cmap=colours, vmin=0, vmax=1, aspect="auto")
    bar.set_axis_off()
    for place, text in ((left, first), (start + SCALE + 0.1, last)):
        write(figure, place, top + 0.065, text, SMALL, color=MUTED, va="center")


HEAD_LINE = 0.16  # inches from one line of a heading to the next


def heads_height(heads: Sequence[str], width: float) -> float:
    """Inches that `write_heads` takes, each heading wrapped to `width`."""
    return HEAD_LINE * max(len(wrapped(head, width, SMALL)) for head in heads)


def write_heads(figure: Figure, heads: Sequence[str], places: Sequence[float], bottom: float, width: float,
                **kwargs) -> None:
    """Write each heading, wrapped to `width`, at its place, so that the last lines stand `bottom` inches below the
    sheet's upper edge."""
    for head, place in zip(heads, places, strict=True):
        for number, line in enumerate(reversed(wrapped(head, width, SMALL))):
            write(figure, place, bottom - HEAD_LINE * number, line, SMALL, va="baseline", **kwargs)


# Segmentation shown as pictures: input, truth, prediction, and where the prediction is wrong.

COLUMNS = ("input", "truth", "prediction", "error")
PALETTE = np.array([to_rgb(CLASS_COLOURS[name]) for name in CLASSES])  # (3 classes, RGB)


def class_map(mask: np.ndarray) -> np.ndarray:
    """Class numbers (..., H, W) -> their colours, uint8 (..., H, W, 3)."""
    return np.rint(PALETTE * 255).astype(np.uint8)[np.asarray(mask)]


def error_map(images: np.ndarray, truth: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """Right pixels as a pale grey photograph, wrong ones in one strong colour; uint8 (N, H, W, 3)."""
    grey = _channels_last(images) @ np.array([0.299, 0.587, 0.114])  # BT.601 luma
    pale = np.repeat((255 - 0.4 * (255 - grey))[..., None], 3, axis=-1)
    wrong = (np.asarray(truth) != np.asarray(pred))[..., None]
    return np.rint(np.where(wrong, np.array(to_rgb(ERROR)) * 255, pale)).astype(np.uint8)


def segmentation_tiles(images: np.ndarray, truth: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """Input, truth, prediction and error side by side.

    Args:
        images: uint8 (N, H, W, 3) or (N, 3, H, W).
        truth, pred: (N, H, W), classes 0 pet, 1 background, 2 border.

    Returns uint8 (N, 4, H, W, 3).
    """
    images = _channels_last(images)
    shapes = {images.shape[:3], np.shape(truth), np.shape(pred)}
    if len(shapes) > 1:
        raise ValueError(f"images, truth and pred differ in N, H, W: {sorted(map(str, shapes))}")
    return np.stack([images, class_map(truth), class_map(pred), error_map(images, truth, pred)], axis=1)


def show_tiles(tiles: np.ndarray, columns: Sequence[str] = COLUMNS, row_labels: Sequence[str] | None = None,
               title: str | None = None, key: bool = True, width: float = WIDTH) -> Figure:
    """A `picture_grid` with gaps, one row an image; `key` explains the class colours below.

    Args:
        tiles: uint8 (N, K, H, W, 3), as from `segmentation_tiles` or several maps stacked.
        columns: K headings.
        row_labels: N short texts, written left of the rows.
    """
    colours = CLASS_COLOURS | ({"wrong": ERROR} if "error" in columns[-1] else {}) if key else None
    return picture_grid(tiles, row_labels, columns, title=title, width=width, gap=0.07, key=colours)


def _channels_last(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or 3 not in (images.shape[1], images.shape[-1]):
        raise ValueError(f"images must be (N, H, W, 3) or (N, 3, H, W), got {images.shape}")
    return images if images.shape[-1] == 3 else images.transpose(0, 2, 3, 1)
