"""Figures and tables on a page: each with a name, a caption, a text for those who cannot see it, and its CSV."""

import io
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

METADATA = "htcv"  # what publish.py looks for in an output's metadata


def show(item: Any, folder: Path, name: str, caption: str, alt: str = "",
         data: pd.DataFrame | None = None, fmt: str = "svg", dpi: int = 110) -> None:
    """Display a figure or a table and keep its numbers as `<name>.csv`.

    Args:
        item: A matplotlib Figure, or a DataFrame (shown as a table, and its own data).
        folder: Where the CSV goes.
        name: Unique on the page; letters, digits, dashes.
        alt: What the figure shows, for readers who cannot see it; required for figures.
        data: The numbers in the figure.
        fmt: "svg" for curves and bars, "png" for pictures.

    Errors: ValueError if a figure comes without `alt`.
    """
    from IPython.display import display

    is_table = isinstance(item, pd.DataFrame)
    if not is_table and not alt:
        raise ValueError(f"figure {name!r} needs an alt text")
    numbers = item if is_table and data is None else data
    if numbers is not None:
        numbers.to_csv(folder / f"{name}.csv", index=False)
    note = {"name": name, "caption": caption, "alt": alt, "csv": f"{name}.csv" if numbers is not None else ""}
    if is_table:
        bundle = {"text/html": table_html(item, caption)}
    elif fmt == "svg":
        text = io.StringIO()
        item.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        bundle = {"image/svg+xml": text.getvalue()}
    else:
        import base64

        pixels = io.BytesIO()
        item.savefig(pixels, format="png", dpi=dpi, metadata={"Software": None})
        bundle = {"image/png": base64.b64encode(pixels.getvalue()).decode()}
    display(bundle, raw=True, metadata={METADATA: note})


def table_html(frame: pd.DataFrame, caption: str) -> str:
    """A plain table in a box that scrolls sideways on a phone; text columns left, numbers right."""
    body = frame.to_html(index=False, border=0, classes="table htcv-table", na_rep="n/a", justify="unset")
    label = escape(caption[:80])
    return f'<div class="htcv-scroll" role="region" tabindex="0" aria-label="{label}">{body}</div>'
