"""Formulas without a network: MathJax is served from the book's own `_static`.

The package `sphinx-mathjax-offline` ships the files; of its 24 MB only the one component and
the fonts that a page asks for are copied. (Its own Sphinx extension copies everything.)
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.fileutil import copy_asset

COMPONENT = "tex-chtml.js"
FONTS = "output/chtml/fonts/woff-v2"


def source() -> Path:
    """Folder of the packaged MathJax."""
    try:
        files = distribution("sphinx-mathjax-offline").files or []
    except PackageNotFoundError:
        raise ExtensionError("sphinx-mathjax-offline is not installed: see requirements.lock") from None
    for file in files:
        if file.name == COMPONENT:
            return Path(file.locate()).parent
    raise ExtensionError(f"sphinx-mathjax-offline has no {COMPONENT}")


def copy(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        target = Path(app.outdir) / "_static" / "mathjax"
        copy_asset(source() / COMPONENT, target)
        copy_asset(source() / FONTS, target / FONTS)


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", copy)
    app.connect("config-inited", lambda app, config: setattr(config, "mathjax_path", f"mathjax/{COMPONENT}"))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
