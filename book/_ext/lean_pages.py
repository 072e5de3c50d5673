"""What the theme puts on every page and this book does not need goes; pictures load when they are near.

Icons come from the theme's web font, which its style sheets load anyway; the script that draws the same icons once more
has 1.5 MB. The index is read by the page of search alone, MathJax by pages with formulas.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

ICONS = re.compile(r'\s*<script[^>]*scripts/fontawesome\.js[^>]*></script>')
SEARCH = re.compile(r'\s*<script[^>]*(?:searchtools|language_data|searchindex)\.js[^>]*></script>')
PICTURE = re.compile(r"<img (?![^>]*\bloading=)")
UNUSED = ("*-macros.html", "**/*.map", "scripts/fontawesome.js*", "vendor/fontawesome/webfonts/*.ttf",
          "vendor/fontawesome/webfonts/fa-brands*", "vendor/fontawesome/webfonts/fa-regular*")


def lighten(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Pictures below the first load lazily; no MathJax where there is no formula."""
    body = context.get("body", "")
    first, picture, rest = body.partition("<img ")
    context["body"] = first + picture + PICTURE.sub('<img loading="lazy" ', rest)
    if 'class="math' not in body:
        context["script_files"][:] = [file for file in context["script_files"]
                                      if "mathjax" not in str(getattr(file, "filename", file)).lower()]


def tidy(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for pattern in UNUSED:
        for path in (out / "_static").glob(pattern):
            path.unlink()
    for page in out.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        lean = ICONS.sub("", text)
        if page.name != "search.html":
            lean = SEARCH.sub("", lean)
        if lean != text:
            page.write_text(lean, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", lighten, priority=900)
    app.connect("build-finished", tidy)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
