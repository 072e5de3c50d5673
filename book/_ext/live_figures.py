"""{live} name: a figure that answers, mostly by trained networks in the reader's browser, once a button is pressed.

What it takes lies in `book/live`: `<name>.js`, and the folder `<name>` with its networks, pictures and `still.webp`,
which stands there before the click, in print, without scripts and on failure. The directive's body is the sentence
below. A page opened from disk can read scripts only: each folder becomes one, with its files as base64.
"""

import base64
import json
import shutil
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from html_parts import raw
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

LIVE = Path("book/live")
RUNTIME = "runtime"  # the folder of what runs the networks
STILL = "still.webp"


class LiveFigure(SphinxDirective):
    """A still picture, a sentence, and a button that brings the figure to life."""

    required_arguments = 1
    option_spec = {"alt": directives.unchanged_required}
    has_content = True

    def run(self) -> list[nodes.Node]:
        name, live = self.arguments[0], Path(self.env.srcdir) / LIVE
        still = live / name / STILL
        if not still.is_file() or "alt" not in self.options or not self.content:
            raise self.error(f"a live figure needs {LIVE / name / STILL}, :alt: and a sentence")
        self.env.note_dependency(str(still))
        sentence = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, sentence)
        parts = (name, RUNTIME) if list((live / name).glob("*.onnx.gz")) else (name,)
        megabytes = sum(path.stat().st_size for part in parts for path in (live / part).iterdir()) * 4 / 3 / 1e6
        button = "Run the networks here" if RUNTIME in parts else "Look at single pixels"
        up = "../" * self.env.docname.count("/")
        return [raw(opening(name, f"{up}_static/live/{name}.webp", self.options["alt"], Image.open(still).size)),
                *sentence.children, raw(closing(megabytes, button))]


def opening(name: str, still: str, alt: str, size: tuple[int, int]) -> str:
    return (f'<div class="htcv-demo" data-live="{escape(name)}" role="group" aria-label="Live figure">'
            f'<img class="htcv-demo-still dark-light" src="{escape(still)}" alt="{escape(alt)}" '
            f'width="{size[0]}" height="{size[1]}"><div class="htcv-demo-stage" hidden></div>')


def closing(megabytes: float, button: str = "Run the networks here") -> str:
    size = f"<small>{megabytes:.0f} MB, nothing is sent</small>" if megabytes >= 1 else ""
    return (f'<p class="htcv-demo-run"><button type="button" class="htcv-demo-start" hidden>{button}{size}</button> '
            '<span class="htcv-demo-said" role="status"></span></p></div>')


def pack(folder: Path) -> str:
    """The files of a folder as one script."""
    files = {path.name: base64.b64encode(path.read_bytes()).decode() for path in sorted(folder.iterdir())
             if path.name not in (STILL, "LICENSE")}
    return f"htcvLive.pack({json.dumps(folder.name)}, {json.dumps(files)});\n"


def write_packs(live: Path, static: Path) -> None:
    """Write what the figures in `live` load to the folder `static`; each with its licence where it has one."""
    static.mkdir(parents=True, exist_ok=True)
    for script in live.glob("*.js"):
        shutil.copyfile(script, static / script.name)
    for folder in (path for path in live.iterdir() if path.is_dir() and not path.name.startswith("_")):
        (static / f"{folder.name}.pack.js").write_text(pack(folder))
        for name, copy in ((STILL, f"{folder.name}.webp"), ("LICENSE", f"{folder.name}.LICENSE.txt")):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, static / copy)


def finished(app: Sphinx, exception: Exception | None) -> None:
    live = Path(app.srcdir) / LIVE
    if exception is None and app.builder.format == "html" and live.is_dir():
        write_packs(live, Path(app.outdir) / "_static" / "live")


def setup(app: Sphinx) -> dict:
    app.add_directive("live", LiveFigure)
    app.connect("build-finished", finished)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
