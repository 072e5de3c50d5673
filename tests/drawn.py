"""A figure as text, so that tests can compare and search it."""

import io

from matplotlib.figure import Figure


def to_svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()
