"""Pictures in grids: inputs beside what models make of them, masks beside their truth."""

from collections.abc import Sequence

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
    heading,
    heading_height,
    panel,
    sheet,
    styled,
    text_width,
    wrapped,
    write,
)

# Many small pictures in one dense grid: inputs beside what models make of them, traversals of a latent space.

FRAME = "#f5b13d"  # seen on black digits and on photographs
APART = 0.14  # inches between the columns set apart and the others


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
                 width: float = WIDTH) -> Figure:
    """A grid without gaps; save it as PNG.

    Args:
        images: uint8 (R, C, H, W, 3), as from `pictures` and a reshape.
        row_headings: R short texts, left of the rows.
        column_headings: C short texts, above the columns.
        marked: (R, C) bool, the pictures that get a thin frame; say in `note` what it means.
        apart: So many columns at the left, for example the inputs, stand apart from the others.
        above: What the headings of the other columns are, for example "label handed to the model".
        note: Written below.
        width: Of the figure at most; small pictures are not enlarged beyond four times.
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

    names = ["\n".join(wrapped(text, 1.2)) for text in row_headings or []]
    left = PAD + (max(map(text_width, names)) + 0.12 if names else 0.0)
    gap = APART if apart else 0.0
    tile = min((width - left - PAD - gap) / columns, 4 * breadth / GRID_DPI)
    heads = ["\n".join(wrapped(text, tile - 0.04, SMALL)) for text in column_headings or []]
    slanted = any(text_width(head, SMALL) > tile - 0.02 for head in heads)  # a word wider than a picture
    right = PAD
    if slanted:
        heads = list(column_headings)
        beyond = [0.77 * text_width(head, SMALL) - (columns - k - 0.5) * tile for k, head in enumerate(heads)]
        right = max(PAD, max(beyond) + 0.06)
        tile = min(tile, (width - left - right - gap) / columns)
    tall = tile * height / breadth
    full = left + gap + columns * tile + right
    room = _heading_room(heads, slanted)
    top = heading_height(title, full) + (0.22 if above else 0) + room
    notes = wrapped(note, full - 2 * PAD, SMALL) if note else []
    figure = sheet(full, top + rows * tall + (0.1 + 0.19 * len(notes) if notes else 0) + PAD)
    heading(figure, title)

    starts = [left + column * tile + (gap if column >= apart else 0) for column in range(columns)]
    if above:
        write(figure, starts[apart], top - room - 0.2, above, SMALL, color=MUTED)
    for start, head in zip(starts, heads, strict=False):
        turn = {"rotation": 40, "rotation_mode": "anchor", "ha": "left"} if slanted else {"ha": "center"}
        write(figure, start + tile / 2 - (0.05 if slanted else 0), top - 0.1, head, SMALL, va="baseline",
              linespacing=1.2, **turn)
    for row, name in enumerate(names):
        write(figure, left - 0.12, top + (row + 0.5) * tall, name, BODY, ha="right", va="center", linespacing=1.25)
    for first, last in ((0, apart), (apart, columns)):
        if last > first:
            _block(figure, images[:, first:last], marked[:, first:last], starts[first], top, tile, tall)
    for number, line in enumerate(notes):
        write(figure, PAD, top + rows * tall + 0.12 + 0.19 * number, line, SMALL, color=MUTED)
    return figure


def _heading_room(heads: Sequence[str], slanted: bool) -> float:
    """Inches that the column headings take above the pictures."""
    if not any(heads):
        return 0.0
    if slanted:
        return 0.64 * max(text_width(head, SMALL) for head in heads) + 0.24  # sin 40°
    return 0.16 * max(head.count("\n") + 1 for head in heads) + 0.09


def _block(figure: Figure, images: np.ndarray, marked: np.ndarray, left: float, top: float, tile: float,
           tall: float) -> None:
    """Pictures (R, C, H, W, 3) side by side as one, a hair's breadth between them, and their frames."""
    rows, columns, height, breadth, _ = images.shape
    axes = panel(figure, left, top, columns * tile, rows * tall, grid="")
    mosaic = images.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * breadth, 3)
    axes.imshow(mosaic, interpolation="antialiased", aspect="auto", extent=(0, columns, rows, 0))
    axes.set_axis_off()
    axes.vlines(range(1, columns), 0, rows, color=PAPER, linewidth=0.5)
    axes.hlines(range(1, rows), 0, columns, color=PAPER, linewidth=0.5)
    inset = 0.9 / 72 / tile  # half the frame's line, so that it lies on its own picture
    for row, column in np.argwhere(marked):
        axes.add_patch(Rectangle((column + inset, row + inset), 1 - 2 * inset, 1 - 2 * inset, fill=False,
                                 edgecolor=FRAME, linewidth=1.6, joinstyle="miter"))


# Headings of one or more lines that end on one baseline, whatever letters they have.

HEAD_LINE = 0.16  # inches from one line to the next


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
LEAN = 0.65  # height of a heading that leans by 40 degrees, over its length
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


@styled
def show_tiles(tiles: np.ndarray, columns: Sequence[str] = COLUMNS, row_labels: Sequence[str] | None = None,
               title: str | None = None, key: bool = True, width: float = WIDTH) -> Figure:
    """A grid of pictures with headings, one row an image; `key` explains the class colours below.

    Args:
        tiles: uint8 (N, K, H, W, 3), as from `segmentation_tiles` or several maps stacked.
        columns: K headings.
        row_labels: N short texts, written left of the rows.
    """
    rows, across, height, breadth, _ = tiles.shape
    if len(columns) != across or (row_labels is not None and len(row_labels) != rows):
        raise ValueError(f"{rows} rows and {across} columns of tiles, but {len(columns)} headings"
                         + ("" if row_labels is None else f" and {len(row_labels)} row labels"))
    gap = 0.07
    texts = ["\n".join(wrapped(text, 1.2)) for text in row_labels] if row_labels is not None else []
    labels = max(map(text_width, texts)) + 0.14 if texts else 0.0
    tile = (width - 2 * PAD - labels - gap * (across - 1)) / across
    tall = tile * height / breadth
    start, room = heading_height(title, width), tile + gap - 0.04
    leaning = any(text_width(word, SMALL) > room for head in columns for word in head.split())
    tallest = LEAN * max(text_width(head, SMALL) for head in columns) if leaning else heads_height(columns, room)
    top = start + (tallest + 0.1 if any(columns) else 0.0)
    entries = _key_entries(key, columns)
    figure = sheet(width, top + rows * (tall + gap) - gap + PAD + (0.34 if entries else 0))
    heading(figure, title)
    lefts = [PAD + labels + column * (tile + gap) for column in range(across)]
    if leaning:
        for head, left in zip(columns, lefts, strict=True):
            write(figure, left + tile / 3, top - 0.06, head, SMALL, va="baseline", rotation=40, rotation_mode="anchor")
    else:
        write_heads(figure, columns, lefts, top - 0.08, room)
    for row in range(rows):
        place = top + row * (tall + gap)
        if texts:
            write(figure, PAD, place + tall / 2, texts[row], BODY, va="center", linespacing=1.35)
        for column, left in enumerate(lefts):
            axes = panel(figure, left, place, tile, tall, grid="")
            axes.imshow(tiles[row, column], interpolation="antialiased", aspect="auto")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=_ends_white(tiles[row, column]), color=RULE, linewidth=0.6)
    _draw_key(figure, entries, PAD + labels, top + rows * (tall + gap) - gap + 0.16)
    return figure


def _ends_white(picture: np.ndarray) -> bool:
    """Whether the edge of a picture (H, W, 3) can hardly be told from the sheet, so that it needs a line."""
    edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    return bool(edge.mean() > 240)


def _key_entries(key: bool, columns: Sequence[str]) -> list[tuple[str, str]]:
    if not key:
        return []
    wrong = [("wrong", ERROR)] if "error" in columns[-1] else []
    return [(name, CLASS_COLOURS[name]) for name in CLASSES] + wrong


def _draw_key(figure: Figure, entries: Sequence[tuple[str, str]], left: float, top: float) -> None:
    full_width, full_height = figure.get_size_inches()
    for name, colour in entries:
        box = Rectangle((left / full_width, 1 - (top + 0.13) / full_height), 0.13 / full_width, 0.13 / full_height,
                        transform=figure.transFigure, facecolor=colour, edgecolor="none")
        figure.add_artist(box)
        write(figure, left + 0.2, top + 0.065, name, SMALL, color=MUTED, va="center")
        left += 0.2 + text_width(name, SMALL) + 0.3


def _channels_last(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or 3 not in (images.shape[1], images.shape[-1]):
        raise ValueError(f"images must be (N, H, W, 3) or (N, 3, H, W), got {images.shape}")
    return images if images.shape[-1] == 3 else images.transpose(0, 2, 3, 1)
