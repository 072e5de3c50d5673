"""Small pieces of HTML the directives share; every text is escaped here."""

import re
from collections.abc import Iterable, Sequence
from html import escape

from docutils import nodes

MISSING = "n/a"


def raw(*parts: str) -> nodes.raw:
    return nodes.raw("", "".join(parts), format="html")


def anchor(text: str, address: str, classes: str = "", title: str = "") -> str:
    """A link, or the bare text if there is no page to link to."""
    if not address:
        return escape(text)
    extra = (f' class="{classes}"' if classes else "") + (f' title="{escape(title)}"' if title else "")
    return f'<a href="{escape(address)}"{extra}>{escape(text)}</a>'


def in_markdown(text: str) -> str:
    """Text that is not ours to trust, as Markdown shows it: HTML in it is shown and does nothing."""
    return escape(text, quote=False).replace("`", "&#96;")


def badge(word: str, text: str = "") -> str:
    """A verdict or state as a small label; the word is in it, so colour is never the only sign."""
    return f'<span class="htcv-badge htcv-is-{slug(word)}">{escape(text or word)}</span>'


def in_a_sentence(title: str) -> str:
    """The title without its capital, unless it begins with an abbreviation: "Swap success", "PSNR in the box"."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def slug(word: str) -> str:
    return word.lower().replace(" ", "-").replace("_", "-")


def metric_anchor(metric: str) -> str:
    """The row of a metric on the page of a run."""
    return "metric-" + re.sub(r"\W+", "-", metric).lower()


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Iterable[int] = (),
          label: str = "", wide: bool = False) -> str:
    """A table in a box that scrolls sideways; the cells of `rows` are HTML, the first one a row header."""
    right = set(numeric)

    def cells(row: Sequence[str], tag: str, scope: str = "") -> str:
        out = []
        for place, cell in enumerate(row):
            short = " short" if len(cell) < 3 else ""
            number = f' class="num{short}"' if place in right else ""
            name = tag if place or tag == "th" else "th"
            where = scope or (' scope="row"' if name == "th" else "")
            out.append(f"<{name}{where}{number}>{cell}</{name}>")
        return "<tr>" + "".join(out) + "</tr>"

    body = "".join(cells(row, "td") for row in rows)
    top = cells([escape(text) for text in head], "th", ' scope="col"')
    room = "htcv-scroll htcv-wide" if wide else "htcv-scroll"
    return (f'<div class="{room}" role="region" tabindex="0" aria-label="{escape((label or caption)[:90])}">'
            f'<table class="table htcv-table"><caption>{escape(caption)}</caption>'
            f"<thead>{top}</thead><tbody>{body}</tbody></table></div>")


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of names and values (HTML); empty values are left out."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in pairs if value)
    return f'<dl class="htcv-facts">{items}</dl>'


def calm(text: str) -> nodes.paragraph:
    """One sentence where there is nothing to show yet."""
    return nodes.paragraph("", "", nodes.Text(text), classes=["htcv-calm"])


def minutes(seconds: float) -> str:
    """95 -> "1.6 min", 20 -> "20 s"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
