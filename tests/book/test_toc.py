"""The table of contents holds every run, for a page outside it would silently not be compiled; its order and its
names are those of every page."""

import re
from fnmatch import fnmatch

import yaml

from htcv_lib.runs.plan import Book
from htcv_lib.runs.project import Project


def entries(node):
    """Every `file` and `glob` below a node of the table of contents."""
    if isinstance(node, dict):
        yield from (node[key] for key in ("file", "glob") if key in node)
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from entries(child)


def test_every_run_and_every_chapter_is_in_the_table_of_contents_once(root):
    found = list(entries(yaml.safe_load((root / "_toc.yml").read_text())))
    for family in Book.load(Project(root)).families.values():
        pages = [f"book/pages/{family.name}/runs/{variant}" for variant in family.variants]
        pages += [f"book/pages/{family.name}/{name.removesuffix('.ipynb')}" for name in family.chapters]
        for page in pages:
            assert len([entry for entry in found if fnmatch(page, entry)]) == 1, page


def test_cards_results_claims_and_contents_have_one_order_and_one_name_a_report(root):
    families = Book.load(Project(root)).families.values()
    pages = {name: (root / "book" / f"{name}.md").read_text() for name in ("index", "results", "claims")}
    assert re.findall(r"{report-card} (\w+)", pages["index"]) == [family.name for family in families]
    for name, directive in (("results", "results-table"), ("claims", "claims")):
        shown = re.findall(rf"^## (.+)\n\n```{{{directive}}} (\w+)", pages[name], flags=re.M)
        assert shown == [(family.title, family.name) for family in families]
