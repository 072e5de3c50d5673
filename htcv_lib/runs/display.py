"""Figures and tables on a page: each with a name, a caption, a text for those who cannot see it, and its CSV."""

import ast
import base64
import inspect
import io
import json
import re
import textwrap
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

METADATA = "htcv"  # what publish.py looks for in an output's metadata
SCREEN_DPI = 110  # of figures that hold pictures
MAX_SPRITE_BYTES = 400_000


def show(item: Any, folder: Path, name: str, caption: str, alt: str = "",
         data: pd.DataFrame | None = None, fmt: str = "svg") -> None:
    """Display a figure or a table and keep its numbers as `<name>.csv`.

    Args:
        item: A matplotlib Figure, or a DataFrame (shown as a table, and its own data).
        folder: Where the CSV goes.
        name: Unique on the page; letters, digits, dashes.
        alt: What the figure shows, for readers who cannot see it; required for figures.
        data: The numbers in the figure.
        fmt: "svg" for curves and bars, "png" for pictures, which are shown larger.

    Errors: ValueError if a figure comes without `alt`.
    """
    from IPython.display import display

    is_table = isinstance(item, pd.DataFrame)
    if not is_table and not alt:
        raise ValueError(f"figure {name!r} needs an alt text")
    note = _note(folder, name, caption, alt, item if is_table and data is None else data)
    if is_table:
        bundle = {"text/html": table_html(item, caption)}
    else:
        text = io.StringIO()
        item.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        bundle = {"image/svg+xml": text.getvalue()}
        if fmt == "png":
            note["width"] = f"{SCREEN_DPI * item.get_figwidth():.0f}px"
    display(bundle, raw=True, metadata={METADATA: note})


def show_frames(images: np.ndarray, positions: Sequence[str], folder: Path, name: str, caption: str, alt: str,
                label: str, rows: Sequence[str], data: pd.DataFrame | None = None) -> None:
    """Display pictures side by side above a slider that moves all of them from frame to frame.

    The page opens on the middle frame. Without scripts, and on paper, all frames are shown as a film strip.

    Args:
        images: (F, R, H, W, 3) uint8; F frames of R pictures.
        positions: F short texts, where the slider stands at each frame, for example "-20".
        folder: Where the CSV goes.
        name: Unique on the page; letters, digits, dashes.
        alt: What the frames show, for readers who cannot see them.
        label: What the slider changes, for example "x of the light".
        rows: R names of the pictures.
        data: The numbers behind the frames, if any.

    Errors: ValueError if a text is missing, shapes disagree, or the frames need more than 400 KB as one PNG.
    """
    from IPython.display import display

    html = frames_html(images, positions, alt, label, rows)
    display({"text/html": html}, raw=True, metadata={METADATA: _note(folder, name, caption, alt, data)})


def frames_html(images: np.ndarray, positions: Sequence[str], alt: str, label: str, rows: Sequence[str]) -> str:
    """The film strip, and the slider that `_static/frames.js` unhides; arguments as for `show_frames`."""
    if images.dtype != np.uint8 or images.ndim != 5 or images.shape[-1] != 3:
        raise ValueError(f"images must be (F, R, H, W, 3) uint8, got {images.shape} {images.dtype}")
    frames, pictures, height, width, _ = images.shape
    if (frames, pictures) != (len(positions), len(rows)):
        raise ValueError(f"{frames} frames of {pictures} pictures, but {len(positions)} positions and {len(rows)} rows")
    if not (alt and label):
        raise ValueError("frames need an alt text and a label")
    places = [str(position) for position in positions]
    start = frames // 2
    scale = max(1, 320 // width)  # screen pixels a pixel, where there is room
    columns = pictures if pictures <= 4 else -(-pictures // 2)  # on a phone
    style = f"--frames: {frames}; --rows: {pictures}; --columns: {columns}; --enlarged: {scale * width}px"
    views = "".join(f'<div><canvas width="{width}" height="{height}"></canvas><span>{escape(row)}</span></div>'
                    for row in rows)
    key = (f"Rows, from the top: {', '.join(rows)}. " if pictures > 1 else "") + (
        f"Columns, from the left: {label} {', '.join(places)}.")
    return (
        f'<div class="htcv-frames" style="{style}" data-positions="{escape(json.dumps(places))}">'
        f'<div class="htcv-film"><div class="htcv-scroll" role="region" tabindex="0" '
        f'aria-label="All frames: {escape(label)}">'
        f'<img src="data:image/png;base64,{_sprite(images)}" alt="{escape(alt)}"></div><p>{escape(key)}</p></div>'
        f'<div class="htcv-player" hidden>'
        f'<div class="htcv-views" role="group" aria-label="{escape(alt)}">{views}</div>'
        f'<div class="htcv-slider"><label><span>{escape(label)}</span><input type="range" min="0" max="{frames - 1}" '
        f'step="1" value="{start}" aria-valuetext="{escape(places[start])}" autocomplete="off"></label>'
        f'<output aria-live="off">{escape(places[start])}</output></div></div></div>'
    )


def show_source(*things: Any) -> None:
    """Display the code of library functions, classes and methods as it is now: one fold each, without docstrings.

    A page is read again when this code changes; the result of a run does not depend on showing it.
    """
    from IPython.display import display

    for thing in things:
        display({"text/html": source_html(thing), "text/plain": inspect.getsource(thing)}, raw=True)


def source_html(thing: Any) -> str:
    """The code of a function, class or method, coloured by the book's own style, under its name and place."""
    thing = inspect.unwrap(thing)
    lines, first = inspect.getsourcelines(thing)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    for node in sorted(ast.walk(tree), key=lambda node: -getattr(node, "lineno", 0)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            doc = node.body[0]
            if len(node.body) > 1:
                del lines[doc.lineno - 1 : doc.end_lineno]
    code = re.sub(r"\n{3,}", "\n\n", textwrap.dedent("".join(lines))).strip()
    path = Path(inspect.getsourcefile(thing))
    place = "/".join(path.parts[path.parts.index("htcv_lib"):]) if "htcv_lib" in path.parts else path.name
    coloured = highlight(code, PythonLexer(), HtmlFormatter(cssclass="highlight"))
    return (f'<details class="htcv-code"><summary><code>{escape(thing.__qualname__)}</code> in {escape(place)}, from '
            f'line {first}</summary>{coloured}</details>')


def _sprite(images: np.ndarray) -> str:
    """All frames as one PNG in base64: a column a frame, a row a picture. images: (F, R, H, W, 3)."""
    frames, rows, height, width, _ = images.shape
    sheet = images.transpose(1, 2, 0, 3, 4).reshape(rows * height, frames * width, 3)
    grey = (sheet == sheet[..., :1]).all()
    pixels = io.BytesIO()
    Image.fromarray(sheet[..., 0] if grey else sheet).save(pixels, format="png", optimize=True)
    if pixels.tell() > MAX_SPRITE_BYTES:
        raise ValueError(f"the frames need {pixels.tell():,} bytes, a page may carry {MAX_SPRITE_BYTES:,}: "
                         "show fewer frames, or smaller ones")
    return base64.b64encode(pixels.getvalue()).decode()


def _note(folder: Path, name: str, caption: str, alt: str, numbers: pd.DataFrame | None) -> dict[str, str]:
    """What publish.py needs to know about an output; its numbers go into `<name>.csv`."""
    if numbers is not None:
        numbers.to_csv(folder / f"{name}.csv", index=False)
    return {"name": name, "caption": caption, "alt": alt, "csv": f"{name}.csv" if numbers is not None else ""}


def table_html(frame: pd.DataFrame, caption: str) -> str:
    """A plain table in a box that scrolls sideways on a phone; text columns left, numbers right.

    `frame.attrs["best"]` may name cells, (row, column heading), that are set in bold.
    """
    frame = frame.copy()
    for row, column in frame.attrs.get("best", ()):
        frame.loc[row, column] = f"\ue000{frame.loc[row, column]}\ue001"
    body = frame.to_html(index=False, border=0, classes="table htcv-table", na_rep="n/a", justify="unset")
    body = re.sub(r"(?<=<td>)-(?=[.\d])", "\u2212", body)  # numbers below zero
    body = body.replace("\ue000", "<strong>").replace("\ue001", "</strong>")
    label = escape(caption[:80])
    return f'<div class="htcv-scroll" role="region" tabindex="0" aria-label="{label}">{body}</div>'
