"""Segmentation shown as pictures: input, truth, prediction, and where the prediction is wrong."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from htcv_lib.figures.column_heads import heads_height, write_heads
from htcv_lib.figures.style import (
    BODY,
    CLASS_COLOURS,
    CLASSES,
    ERROR,
    MUTED,
    PAD,
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
