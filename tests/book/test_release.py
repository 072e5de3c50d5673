"""The printed book and the folder to publish, from a small built book and the real manifests."""

import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from htcv_lib.runs.project import Project

sys.path.insert(0, str(Path(__file__).parents[2] / "book"))
from release import croissant, joined, print_pdf, printed_pages, release  # noqa: E402

PAGE = """<html><head><link rel="stylesheet" href="{up}_static/book.css"><script src="x.js"></script>{math}</head>
<body><article class="bd-article"><section id="top"><h1>{title}</h1>{body}</section></article></body></html>"""
BODY = ('<p><a href="#top">1</a> <a href="{up}book/errata.html#black">2</a> <a href="runs/one.html">3</a></p>'
        '<img loading="lazy" src="{up}_images/a.svg"><details><p>folded</p></details><details open>unfolded</details>')


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    """A built book of two pages."""
    html = tmp_path_factory.mktemp("_build") / "html"
    (html / "book/pages/toy").mkdir(parents=True)
    (html / "index.html").write_text("<html></html>")
    (html / "claims.json").write_text("[]")
    math = '<script>window.MathJax = {};</script><script src="../_static/mathjax/tex.js"></script>'
    (html / "book/errata.html").write_text(PAGE.format(up="../", title="Errata", math=math, body='<b id="black"></b>'))
    settings = math.partition("<script src")[0]  # on every page, whether it has formulas or not
    (html / "book/pages/toy/chapter.html").write_text(
        PAGE.format(up="../../../", title="Toy", math=settings, body=BODY.format(up="../../../")))
    return html


def test_joined_pages_keep_their_links_among_each_other_their_pictures_and_nothing_folded(html):
    page = BeautifulSoup(joined(html, ["book/pages/toy/chapter", "book/errata"]), "html.parser")
    links = [link.get("href") for link in page.select("article a")]
    assert links == ["#book/pages/toy/chapter--top", "#book/errata--black", None]
    ids = [tag["id"] for tag in page.find_all(id=True)]
    assert len(ids) == len(set(ids)) and {link[1:] for link in links if link} <= set(ids)
    assert page.img["src"] == "_images/a.svg" and "loading" not in page.img.attrs
    assert "folded" not in page.get_text().replace("unfolded", "") and "unfolded" in page.get_text()
    assert page.link["href"] == "_static/book.css"
    settings, math = page.find_all("script")  # of the page that has formulas, though another stands first
    assert settings.text == "window.MathJax = {};" and math["src"] == "_static/mathjax/tex.js"


@pytest.mark.browser
@pytest.mark.book
@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium: apt-get install chromium")
def test_the_whole_book_is_printed_with_its_formulas(built_book, root, tmp_path):
    print_pdf(built_book, yaml.safe_load((root / "_toc.yml").read_text()), tmp_path / "book.pdf")
    assert (tmp_path / "book.pdf").stat().st_size > 3e6  # a formula that is not set is an error
    assert not (built_book / "printed.html").exists()


def test_the_front_the_chapters_claims_and_errata_are_printed_in_the_order_of_the_book_and_no_run(root):
    names = printed_pages(yaml.safe_load((root / "_toc.yml").read_text()))
    assert names[0] == "book/index" and not any("/runs/" in name for name in names)
    assert names.index("book/pages/vae/chapter") < names.index("book/claims") < names.index("book/errata")


@pytest.mark.parametrize("sheet", sorted(Path(__file__).parents[2].glob("data_manifests/*.yaml")), ids=lambda p: p.stem)
def test_every_manifest_becomes_what_croissant_requires(sheet, root):
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    found = croissant(yaml.safe_load(sheet.read_text()), citation, (root / "book/references.bib").read_text())
    assert found["@type"] == "sc:Dataset" and found["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert all(found[name] for name in ("name", "description", "license", "url", "version", "datePublished", "creator"))
    known = {file["@id"] for file in found["distribution"]}
    assert len(known) == len(found["distribution"])
    for file in found["distribution"]:
        assert file["contentUrl"] and file["encodingFormat"] and {"md5", "sha256"} & set(file)
    for field in (field for records in found["recordSet"] for field in records["field"]):
        assert field["@id"].startswith("samples/") and field["dataType"].startswith("sc:")
        assert field["source"]["fileObject"]["@id"] in known


def test_a_release_has_checksums_describes_its_parts_and_names_no_path_and_no_machine(html, root, tmp_path):
    (html.parent / "report-book.pdf").write_bytes(b"%PDF")
    project = Project(root)
    release(project, html, tmp_path / "out")
    out = tmp_path / "out"
    for line in (out / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    graph = {part["@id"]: part for part in json.loads((out / "ro-crate-metadata.json").read_text())["@graph"]}
    assert graph["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    assert all(graph["./"][name] for name in ("name", "description", "datePublished", "license", "hasPart"))
    for part in graph["./"]["hasPart"]:
        assert part["@id"] in graph and (out / part["@id"]).exists()
    for card in out.glob("weights/**/README.md"):
        assert (card.parent / "weights.safetensors").is_file() and "network = load(" in card.read_text()
    private = re.compile("|".join(map(re.escape, {str(root), str(Path.home()), os.uname().nodename})))
    texts = (path for path in out.rglob("*") if path.suffix in (".json", ".csv", ".md", ".cff", ".html"))
    assert [path.name for path in texts if private.search(path.read_text(encoding="utf-8"))] == []
