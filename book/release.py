"""The book to hand on: `make pdf` prints it as one file, `make release` fills one folder to publish.

Both start from the built pages, need no network, and name no path and no machine.
"""

import hashlib
import json
import posixpath
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from bs4 import BeautifulSoup, Tag

from htcv_lib.runs.plan import Book, Family
from htcv_lib.runs.project import Project
from htcv_lib.runs.records import Record, Results
from htcv_lib.runs.statistics import minus

PDF = "report-book.pdf"
TYPESET = """async () => {
    await Promise.race([window.MathJax?.startup?.promise, new Promise(done => setTimeout(done, 60000))]);
    if (document.querySelector(".math:not(:has(mjx-container))")) throw new Error("a formula was not set");
}"""
BEHIND = ("book/cite", "book/licence")  # of the pages about the book, those that are printed
PRINTED = "*, *::before { transition: none !important } article { break-before: page } article:first-of-type { " \
          "break-before: auto }"
FOOT = '<p style="width:100%;margin:0;font:8px sans-serif;text-align:center"><span class="pageNumber"></span></p>'
HIDDEN = ["script", "noscript", "iframe", ".headerlink", ".htcv-only", ".prev-next-area", ".htcv-buttons",
          "details:not([open])"]
CROISSANT = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "extract": "cr:extract",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "field": "cr:field", "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty", "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5",
    "parentField": "cr:parentField", "path": "cr:path", "recordSet": "cr:recordSet", "references": "cr:references",
    "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace", "sc": "https://schema.org/",
    "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
}
TYPES = {"float16": "sc:Float", "float32": "sc:Float"}


# One PDF: the pages in the order of the book, joined, and printed by Chromium.

def printed_pages(contents: dict) -> list[str]:
    """The front, the chapters without their runs, what stands across the reports, and how to cite."""
    parts = [[entry["file"] for entry in part["chapters"]] for part in contents["parts"]]
    return [contents["root"], *(name for part in parts[:-1] for name in part), *(n for n in parts[-1] if n in BEHIND)]


def joined(html: Path, names: Sequence[str]) -> str:
    """The pages `names` of a built book as one, to be opened in its folder; links among them stay inside."""
    soups = {name: BeautifulSoup((html / f"{name}.html").read_text(encoding="utf-8"), "html.parser") for name in names}
    articles = [_article(name, soup, names) for name, soup in soups.items()]
    head = soups[names[0]].head
    math = next(filter(None, (_math(name, soup) for name, soup in soups.items())), "")
    for script in head.find_all("script"):
        script.decompose()
    for link in head.select("link[href]"):
        link["href"] = _from_top(names[0], link["href"])
    style = f"<style>{PRINTED}</style>"
    return (f'<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light">{head}{style}'
            f'{math}<body><main class="bd-main"><div class="bd-content">'
            f'<div class="bd-article-container">{"".join(map(str, articles))}</div></div></main></body></html>')


def _math(name: str, page: BeautifulSoup) -> str:
    """What shows the formulas of a page, its settings first; empty for a page without formulas, which has settings."""
    scripts = [script for script in page.head.find_all("script")
               if "mathjax" in (script.get("src") or script.text).lower()]
    if not any(script.get("src") for script in scripts):
        return ""
    return "".join(f'<script src="{_from_top(name, script["src"])}"></script>' if script.get("src") else str(script)
                   for script in scripts)


def _article(name: str, page: BeautifulSoup, names: Sequence[str]) -> Tag:
    article = page.select_one("article.bd-article")
    for gone in article.select(", ".join(HIDDEN)):
        gone.decompose()
    for tag in article.find_all(id=True):
        tag["id"] = f"{name}--{tag['id']}"
    for image in article.find_all("img", src=True):
        image["src"] = _from_top(name, image["src"])
        del image["loading"]
    for link in article.find_all("a", href=True):
        address, _, place = link["href"].partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), address)) if address else f"{name}.html"
        if re.match(r"https?:|mailto:", address):
            continue
        if target.removesuffix(".html") in names:
            link["href"] = f"#{target.removesuffix('.html')}" + (f"--{place}" if place else "")
        else:
            del link["href"]  # not in the PDF
    article["id"] = name
    return article


def _from_top(name: str, address: str) -> str:
    """An address on the page `name`, from the top of the book."""
    if re.match(r"[a-z]+:|/", address):
        return address
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), address))


def print_pdf(html: Path, contents: dict, target: Path) -> None:
    """Errors: SystemExit with one line where there is no Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not chromium:
        sys.exit("make pdf: no Chromium here; apt-get install chromium")
    page_file = html / "printed.html"
    page_file.write_text(joined(html, printed_pages(contents)), encoding="utf-8")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_context(offline=True).new_page()
            page.set_default_timeout(600_000)
            page.goto(page_file.as_uri(), wait_until="load")
            page.evaluate(TYPESET)
            page.pdf(path=target, format="A4", outline=True, tagged=True, print_background=True,
                     display_header_footer=True, header_template="<span></span>", footer_template=FOOT,
                     margin={"top": "16mm", "bottom": "16mm", "left": "15mm", "right": "15mm"})
            browser.close()
    finally:
        page_file.unlink()


# One folder to publish.

def release(project: Project, html: Path, target: Path) -> None:
    """Pages, PDF, claims, records, weights and descriptions of the data, each file with its checksum.

    Errors: SystemExit with one line if the book has not been built or printed.
    """
    if not (html.parent / PDF).is_file():
        sys.exit("make release: no PDF here; make pdf comes first")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(html, target / "html")
    shutil.copy2(html.parent / PDF, target)
    if (html / "claims.json").is_file():
        shutil.copy2(html / "claims.json", target)
    for name in ("LICENSE", "CITATION.cff"):
        shutil.copy2(project.root / name, target)
    shutil.copytree(project.references, target / "records",
                    ignore=shutil.ignore_patterns("weights.safetensors", "*.onnx"))
    shutil.copytree(project.manifests / "samples", target / "data" / "samples")
    citation = yaml.safe_load((project.root / "CITATION.cff").read_text(encoding="utf-8"))
    sheets = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
              for path in sorted(project.manifests.glob("*.yaml"))}
    references = (project.root / "book/references.bib").read_text(encoding="utf-8")
    for name, sheet in sheets.items():
        write(target / "data" / f"{name}.croissant.json", croissant(sheet, citation, references))
    book, cards = Book.load(project), []
    for family in book.families.values():
        for record in Results(family.name, project).all_references:
            if (record.folder / "weights.safetensors").is_file():
                cards.append(write_weights(record, family, target / "weights"))
    write(target / "ro-crate-metadata.json", crate(target, citation, book, sheets, cards))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(target).as_posix()}\n"
             for path in files_below(target)]
    (target / "SHA256SUMS").write_text("".join(lines))


def files_below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def croissant(sheet: dict, citation: dict, references: str) -> dict:
    """A manifest as Croissant 1.0 metadata; of a set without public files, the sample in the release stands for it."""
    entry = re.search(rf"@\w+{{{re.escape(str(sheet.get('cite')))},.*?^}}", references, flags=re.M | re.S)
    public = [file for file in sheet.get("files") or [] if file.get("url")]
    objects = [_file_object(file) for file in public or (sheet.get("sample") or {}).get("files", [])]
    fields = [_field(sheet["name"], name, field, objects) for name, field in (sheet.get("fields") or {}).items()]
    return {
        "@context": CROISSANT, "@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": sheet["name"], "description": " ".join(f"{sheet['title']}. {sheet.get('notes') or ''}".split()),
        "license": sheet["license"], "url": sheet.get("homepage") or "../html/book/data.html",
        "version": citation["version"], "datePublished": str(citation["date-released"]),
        "creator": {"@type": "sc:Organization", "name": citation["authors"][0]["name"]},
        **({"citeAs": entry[0]} if entry else {}), "distribution": objects,
        "recordSet": [{"@type": "cr:RecordSet", "@id": "samples", "name": "samples", "field": fields}][:len(objects)],
    }


def _file_object(file: dict) -> dict:
    kind, _, digest = file["checksum"].partition(":")
    name = posixpath.basename(file.get("path") or file["url"])
    encoding = {".gz": "application/gzip", ".tar": "application/x-tar", ".npz": "application/zip",
                ".zip": "application/zip"}.get(posixpath.splitext(name)[1], "application/octet-stream")
    return {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": file.get("url") or file["path"],
            "encodingFormat": encoding, "contentSize": f"{file['size']} B", kind: digest}


def _field(dataset: str, name: str, field: dict, objects: list[dict]) -> dict:
    shape = field.get("shape")
    picture = isinstance(shape, list) and len(shape) > 1
    about = ", ".join(f"{key} {value}" for key, value in field.items())
    found = {"@type": "cr:Field", "@id": f"samples/{name}", "name": name, "description": about,
             "dataType": "sc:ImageObject" if picture else TYPES.get(str(field.get("dtype")), "sc:Integer")}
    if objects:
        found["source"] = {"fileObject": {"@id": objects[0]["@id"]}, "extract": {"fileProperty": "content"}}
    return found


def write_weights(record: Record, family: Family, folder: Path) -> str:
    """A network's weights and the card that says what they are; returns their place below the release."""
    place = f"{record.profile}/{record.run}"
    (folder / place).mkdir(parents=True)
    shutil.copy2(record.folder / "weights.safetensors", folder / place)
    title = family.variants.get(record.variant, {}).get("title", record.variant)
    use = family.use(record.variant, record.parameters).get("python") or (
        f'from htcv_lib import load\nnetwork = load("{record.run}")')
    rows = [f"| {family.heading(name)} | {minus(format(metric.value, about.get('format', '.4g')))} | "
            f"{about.get('definition', '')} |" for name, metric in record.metrics.items()
            if (about := family.metrics.get(name, {})) is not None]
    first = next(iter(record.metrics.values()), None)
    parameters = "\n".join(f"- `{name}`: `{value!r}`" for name, value in record.parameters.items())
    (folder / place / "README.md").write_text(f"""---
license: mit
library_name: htcv-report
datasets: [{record.dataset}]
---

# {title}

A network of the chapter "{family.title}", run `{record.run}`, profile {record.profile}; {family.role(record.variant)}.
Trained on `{record.dataset}` ({record.finished[:10]}, {record.device}, commit {record.data.get("commit")}).

```python
{use}
```

## Measured

On the {first.split if first else ""} split, n = {first.n if first else 0}, where nothing else is said.

| Metric | Value | What it is |
|---|--:|---|
{chr(10).join(rows)}

## Use and limits

Made to reassess a student report, at the size the parameters say; not for decisions about people, animals or works of
art. What the data may be used for is said in `data/{record.dataset}.croissant.json`.

## Parameters

{parameters}
""", encoding="utf-8")
    return f"weights/{place}/"


def crate(target: Path, citation: dict, book: Book, sheets: dict[str, dict], cards: Iterable[str]) -> dict:
    """RO-Crate 1.1 metadata of the folder: its documents, a data set a report and profile, and what they rest on."""
    documents = {"html/index.html": ("The book", "text/html"), PDF: ("The book, printed", "application/pdf"),
                 "claims.json": ("Every test of every claim", "application/json"),
                 "CITATION.cff": ("How to cite", "text/yaml"), "LICENSE": ("Licence", "text/plain"),
                 **{f"data/{name}.croissant.json": (f"{sheet['title']}: Croissant metadata", "application/ld+json")
                    for name, sheet in sheets.items()}}
    files = [{"@id": name, "@type": "File", "name": title, "encodingFormat": kind,
              "contentSize": str((target / name).stat().st_size)}
             for name, (title, kind) in documents.items() if (target / name).is_file()]
    records = []
    for folder in sorted(target.glob("records/*/*")):
        family = book.families.get(folder.name)
        if family and folder.is_dir():
            data = {Record.load(path.parent).dataset for path in folder.rglob("record.json")} & sheets.keys()
            records.append({
                "@id": f"records/{folder.parent.name}/{folder.name}/", "@type": "Dataset",
                "name": f"{family.title}: references, profile {folder.parent.name}",
                "description": "One folder a run and seed: record.json (parameters, data digests, versions, metrics), "
                               "history.csv, samples.webp and the tables behind its figures.",
                "isBasedOn": [{"@id": f"data/{name}.croissant.json"} for name in sorted(data)]})
    records += [{"@id": card, "@type": "Dataset", "name": f"Weights of {card.partition('/')[2].rstrip('/')}",
                 "description": "weights.safetensors and its model card, README.md"} for card in cards]
    about = {"@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": {"@id": "./"},
             "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"}}
    authors = [{"@id": f"#author-{number}", "@type": "Organization", "name": author["name"]}
               for number, author in enumerate(citation["authors"])]
    root = {"@id": "./", "@type": "Dataset", "name": citation["title"],
            "description": "Five student reports on computer vision, rerun and reassessed: the book, the records of "
                           "its runs, the verdicts and weights.",
            "datePublished": str(citation["date-released"]), "version": citation["version"],
            "license": {"@id": "LICENSE"}, "author": [{"@id": author["@id"]} for author in authors],
            "keywords": ", ".join(citation["keywords"]), "mainEntity": {"@id": "html/index.html"},
            "hasPart": [{"@id": part["@id"]} for part in (*files, *records)]}
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [about, root, *authors, *files, *records]}


def main(what: str) -> None:
    project = Project.find(Path(__file__).parent)
    html = project.root / "_build" / "html"
    if not (html / "index.html").is_file():
        sys.exit(f"make {what}: no book here; make book comes first")
    if what == "pdf":
        contents = yaml.safe_load((project.root / "_toc.yml").read_text(encoding="utf-8"))
        print_pdf(html, contents, html.parent / PDF)
        print(f"The book, printed: _build/{PDF}")
    else:
        release(project, html, html.parent / "release")
        print("To publish: _build/release")


if __name__ == "__main__":
    main(sys.argv[1])
