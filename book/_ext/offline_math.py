"""Formulas without a network: MathJax is served from the book's own `_static`.

The package `sphinx-mathjax-offline` ships the files; of its 24 MB only the components and the
fonts that a page asks for are copied, without the menu. (Its own Sphinx extension copies everything.)
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.fileutil import copy_asset

START = "startup.js"
LOADED = ["core", "input/tex", "output/chtml"]
COMPONENTS = [START, *(f"{name}.js" for name in LOADED), "output/chtml/fonts/tex.js"]
FONTS = "output/chtml/fonts/woff-v2"


def source() -> Path:
    """Folder of the packaged MathJax."""
    try:
        files = distribution("sphinx-mathjax-offline").files or []
    except PackageNotFoundError:
        raise ExtensionError("sphinx-mathjax-offline is not installed: see requirements.lock") from None
    for file in files:
        if file.name == START:
            return Path(file.locate()).parent
    raise ExtensionError(f"sphinx-mathjax-offline has no {START}")


def copy(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        target = Path(app.outdir) / "_static" / "mathjax"
        for name in COMPONENTS:
            copy_asset(source() / name, (target / name).parent)
        copy_asset(source() / FONTS, target / FONTS)


def configure(app: Sphinx, config) -> None:
    config.mathjax_path = f"mathjax/{START}"
    config.mathjax3_config = {**(config.mathjax3_config or {}), "loader": {"load": LOADED}}


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", copy)
    app.connect("config-inited", configure)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
