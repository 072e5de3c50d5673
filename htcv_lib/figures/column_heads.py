"""Headings of one or more lines that end on one baseline, whatever letters they have."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from htcv_lib.figures.style import SMALL, wrapped, write

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
