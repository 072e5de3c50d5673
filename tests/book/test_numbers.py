"""No number we measured is typed: it comes from a record, through {result} or a table made of records.

Figures of the reports may be typed where they are quoted: in a section that ends with a `Source:` line. A printed
number leads to the row of a page that has it.
"""

import json
import os
import re
from functools import cache
from html import unescape
from pathlib import Path

import pytest

MEASURED = re.compile(r"(?<![\w.:/-])[-+\u2212]?\d+(?:\.\d+)?\s?%|(?<![\w.:/-])[-+\u2212]?\d+\.\d+(?![\w.]*\d)")
ALLOWED = {
    "95 %": "level of an interval", "90 %": "level of an interval", "0.05": "level of a test",
    "3.11": "Python", "4.0": "a licence", "2.0": "a licence", "3.0": "a licence",
}
SETTINGS = re.compile(r"weight decay|learning rate|momentum|dropout|smooth", re.I)  # settings are not measurements
NOT_PROSE = (
    r"^---\n.*?\n---\n",  # front matter
    r"^(`{3,}|:{3,}|~{3,}).*?^\1",  # fences and directives
    r"\{[\w:-]+\}`[^`]*`",  # roles
    r"``.*?``|`[^`]*`",  # code
    r"\$\$.*?\$\$|\$[^$\n]+\$",  # formulas
    r"<[^>\s]+>|\]\([^)]*\)",  # addresses
    r"\d{4}-\d{2}-\d{2}",  # dates
)


def typed_numbers(text: str) -> list[str]:
    """Decimals and percentages in the prose of a Markdown text, outside sections that cite a source."""
    for pattern in NOT_PROSE:
        text = re.sub(pattern, " ", text, flags=re.S | re.M)
    found = []
    for section in re.split(r"^#+ ", text, flags=re.M):
        if re.search(r"^Source: \S", section, flags=re.M):
            continue
        for line in section.splitlines():
            if not SETTINGS.search(line):
                found += [match for match in MEASURED.findall(line) if match.replace("\u00a0", " ") not in ALLOWED]
    return found


def prose(root: Path) -> dict[str, str]:
    """Every page and every Markdown cell of a chapter notebook, by name."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted((root / "book").glob("*.md"))}
    for path in sorted((root / "notebooks").glob("*/*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts[f"{path.parent.name}/{path.name}"] = "\n\n".join(
            "".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return texts


def test_no_page_and_no_notebook_types_a_measured_number(root):
    texts = prose(root)
    assert len(texts) > 8
    assert {name: typed_numbers(text) for name, text in texts.items() if typed_numbers(text)} == {}


@pytest.mark.parametrize("sentence", [
    "Done well reaches 82.4 % of the pixels.", "The gap is 0.6 points.", "| done well | 0.617 |",
    "an IoU of 0.61.", "It gains +2.1%.",
])
def test_a_typed_measurement_is_found(sentence):
    assert typed_numbers(sentence)


@pytest.mark.parametrize("sentence", [
    "{result}`pets_unet/done-well:accuracy:.1%` of the pixels", "`lr = 0.001` is the default", "$a = 0.873$",
    "four runs of 25 epochs at 240 pixels", "Python 3.11 or newer", "since 2026-11-21", "the 95 % interval",
    "see <https://arxiv.org/abs/1505.04597>", "## Quoted\n\nIt printed 0.7.\n\nSource: the report's table.",
])
def test_roles_code_formulas_and_cited_quotes_are_not_measurements_of_ours(sentence):
    assert typed_numbers(sentence) == []


def test_a_source_covers_its_own_section_only():
    assert typed_numbers("## A\n\n0.7\n\nSource: the table.\n\n## B\n\n0.8\n") == ["0.8"]


LINK = re.compile(r'<a class="[^"]*htcv-result[^"]*" href="([^"#]+)#([^"]+)"[^>]*>(.*?)</a>', re.S)
NUMBER = re.compile(r"\u2212?\d+(?:\.\d+)?(?:e[-+]\d+)?%?")


def plain(html: str) -> str:
    return unescape(re.sub("<[^>]+>", " ", html))


def has(row: str, number: str) -> bool:
    """Whether a row of a table holds a number, perhaps with more digits or as a share instead of a percentage."""
    def parse(text: str) -> tuple[float, int]:
        value, digits = float(text.rstrip("%").replace("\u2212", "-")), len(text.rstrip("%").partition(".")[2])
        return (value / 100, digits + 2) if text.endswith("%") else (value, digits)

    value, digits = parse(number)
    near = 0.5 * 10.0**-digits
    return any(abs(found - value) <= near * (1 + 1e-6) + 0.5 * 10.0**-more * (more > digits) and more >= digits
               for found, more in map(parse, NUMBER.findall(row)))


def misled(pages: dict[Path, str]) -> list[str]:
    """The links on numbers whose page has no row with that number where they lead."""
    @cache
    def rows(path: Path) -> dict[str, str]:
        parts = path.read_text(encoding="utf-8").split("<tr")[1:]
        return {name: plain(part) for part in parts for name in re.findall(r'id="([^"]+)"', part.partition("</tr>")[0])}

    return [f"{path.name}: {plain(shown)} -> {address}#{name}" for path, text in pages.items()
            for address, name, shown in LINK.findall(text)
            if not has(rows(Path(os.path.normpath(path.parent / address))).get(name, ""),
                       NUMBER.search(plain(shown))[0])]


def test_every_printed_number_leads_to_a_row_that_has_it(built_book):
    pages = {path: text for path in built_book.rglob("*.html")
             if "_static" not in path.parts and "htcv-result" in (text := path.read_text(encoding="utf-8"))}
    assert len(pages) > 5 and misled(pages) == []


def test_a_number_that_its_page_does_not_have_is_found_out(tmp_path):
    (tmp_path / "run.html").write_text('<tr><td><span id="metric-a"></span>A</td><td>84.31%</td></tr>')
    shown = {number: '<a class="x htcv-result" href="run.html#metric-a" title="t">' + number + "</a>"
             for number in ("84.3%", "0.843", "84%", "84.5%", "0.8", "84.312%")}
    assert misled({tmp_path / "page.html": "".join(shown.values())}) == [
        "page.html: 84.5% -> run.html#metric-a", "page.html: 84.312% -> run.html#metric-a"]
