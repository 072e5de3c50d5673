"""Executed notebooks -> pages of the book: own title and anchor, captions, downloads, nothing private.

A page is rewritten only if its text changes, so that an unchanged page is not compiled again.
"""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import nbformat
import pandas as pd
from nbformat.v4 import new_markdown_cell

from htcv_lib.runs.display import METADATA
from htcv_lib.runs.project import Project

TEXTS = ("text/plain", "text/html", "text/markdown", "text/latex", "image/svg+xml")  # of what a cell displays
HIDDEN = {"hide-input", "remove-cell", "remove-input", "hide-cell"}
PROGRESS = re.compile(r"step \d+ of \d+, epoch")
NOISE = re.compile(r"Kernel is running over TCP without encryption|pydevd|frozen_modules|-Xfrozen_modules")


def publish(executed: Path, page: Path, title: str, anchor: str, project: Project,
            provenance: str, fold_code: bool = False, reference: str = "") -> bool:
    """Turn an executed notebook into a page; returns whether the page changed.

    Args:
        executed: The notebook, in the folder that also holds its CSV files.
        page: Where the page goes, for example `book/pages/pets_unet/runs/mp-tr-ce.ipynb`.
        title: Replaces the notebook's own first heading, so that two runs of one notebook differ.
        anchor: Label of the page and prefix of its figure labels.
        provenance: "family/variant/s0" of a run or "family/chapter", for the box at the end and the lines of figures.
        fold_code: Hide the code of every cell behind a click.
        reference: The page of a committed reference, in Markdown with its own title; it leads, and the notebook folds
            below it.
    """
    notebook = nbformat.read(executed, as_version=4)
    files = Path("files") / page.stem / ("own" if reference else "")
    cells = []
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", []))
        if "papermill-error-cell-tag" in tags or "parameters" in tags:
            continue
        cells.append(_clean_cell(cell, tags, fold_code, project))
        if cell.cell_type == "code":
            cells += _captions(cell, f"{anchor}-own" if reference else anchor, files, provenance, executed.parent)
    own = ":own:\n" if reference else ""
    cells.append(new_markdown_cell(f"```{{provenance}} {provenance}\n{own}```"))
    if reference:
        cells = [new_markdown_cell(reference), *_folded(cells)]
    else:
        _retitle(cells, title, anchor)
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    notebook.cells = cells
    notebook.metadata = {key: notebook.metadata[key] for key in ("kernelspec", "language_info")
                         if key in notebook.metadata}
    text = nbformat.writes(notebook)
    copy_tables(executed.parent, page.parent / files)
    other = page.with_suffix(".md")
    if other.exists():
        other.unlink()
    return write_if_changed(page, text)


def copy_tables(source: Path, target: Path) -> None:
    """Copy the CSV files behind a page's figures, and remove those it no longer has."""
    tables = {path.name: path for path in source.glob("*.csv")}
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.csv"):
        if old.name not in tables:
            old.unlink()
    for name, path in tables.items():
        new = target / name
        if not new.exists() or new.read_bytes() != path.read_bytes():
            shutil.copyfile(path, new)


def write_if_changed(path: Path, text: str) -> bool:
    """Write a page atomically, unless it already says the same."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
    return True


def remove_stale(folder: Path, keep: Iterable[str]) -> None:
    """Remove the pages of runs that no longer exist."""
    wanted = set(keep)
    for path in folder.glob("*"):
        if path.suffix in (".ipynb", ".md") and path.stem not in wanted:
            path.unlink()


def _clean_cell(cell, tags: set[str], fold_code: bool, project: Project):
    metadata = {key: value for key, value in cell.metadata.items() if key == "mystnb"}
    keep = tags & HIDDEN
    if cell.cell_type == "code":
        cell.execution_count = None
        cell.source = project.scrub(cell.source)
        cell.outputs = [_clean_output(output, project) for output in cell.outputs if not _is_noise(output)]
        _keep_last_progress(cell.outputs)
        if fold_code and not keep:
            keep = {"hide-input"}
        for output in cell.outputs:
            note = output.get("metadata", {}).pop(METADATA, None)
            if note:
                metadata["htcv"] = note
    if keep:
        metadata["tags"] = sorted(keep)
    cell.metadata = metadata
    return cell


def _clean_output(output, project: Project):
    """Without counts, and without the folders of this machine in what is text."""
    if "execution_count" in output:
        output["execution_count"] = None
    for part, texts in ((output, ("text", "evalue")), (output.get("data", {}), TEXTS)):
        part.update({key: project.scrub(part[key]) for key in texts if key in part})
    if "traceback" in output:
        output["traceback"] = [project.scrub(line) for line in output["traceback"]]
    return output


def _is_noise(output) -> bool:
    return output.get("output_type") == "stream" and bool(NOISE.search(output.get("text", "")))


def _keep_last_progress(outputs: list) -> None:
    """Of the lines that say how far a training is, a reader needs the last."""
    lines = [line for output in outputs if output.get("output_type") == "stream"
             for line in output["text"].splitlines() if PROGRESS.search(line)]
    for output in outputs:
        if lines and output.get("output_type") == "stream":
            output["text"] = "\n".join(line for line in output["text"].splitlines()
                                       if line == lines[-1] or not PROGRESS.search(line)).strip("\n") + "\n"
    outputs[:] = [output for output in outputs if output.get("text", "x").strip()]


def origin(what: str, command: str, csv: str = "") -> str:
    """The line below a figure, as Markdown: what it shows, its numbers, and the command that makes it again.

    Args:
        csv: Address of the numbers; the page adds the picture itself.
    """
    parts = [what, *([f"{{download}}`CSV <{csv}>`"] if csv else []), f"`{command}`"]
    return f" [{' · '.join(parts)}]{{.htcv-origin}}"


def _captions(cell, anchor: str, files: Path, provenance: str, folder: Path) -> list:
    note = cell.metadata.pop("htcv", None)
    if not note:
        return []
    label = f"fig-{anchor}-{note['name']}"
    csv = f"{files.as_posix()}/{note['csv']}" if note["csv"] else ""
    line = origin(*_shown(provenance, folder / note["csv"]), csv)
    if note["alt"]:
        cell.metadata["mystnb"] = {"figure": {"caption": note["caption"] + line, "name": label},
                                   "image": {name: note[name] for name in ("alt", "width") if name in note}}
        return []
    return [new_markdown_cell(f"{note['caption']}{line}")]


def _shown(provenance: str, table: Path) -> tuple[str, str]:
    """The run or the runs behind a figure, as its numbers name them, and how to repeat them."""
    family, _, run = provenance.partition("/")
    if "/" in run:
        return f"Run {provenance}", f"htcv run {provenance}"
    names = pd.read_csv(table, nrows=0).columns if table.is_file() else ()
    if {"variant", "seed"} <= set(names):
        rows = pd.read_csv(table, usecols=["variant", "seed"])
        runs, seeds = rows["variant"].nunique(), rows["seed"].nunique()
        return f"{runs} run{'s' * (runs > 1)}, {seeds} seed{'s' * (seeds > 1)}", f"htcv run {family}"
    return "References of this chapter", f"htcv run {family}"


def _folded(cells: list) -> list:
    """The cells behind a click: without their title, and with headings that open no section."""
    for cell in cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"\A\s*# .*\n?", "", cell.source)
            cell.source = re.sub(r"^#+ (.+)$", r"```{rubric} \1\n```", text, flags=re.M)
    opening = ('```{raw} html\n<details class="htcv-provenance htcv-own"><summary>What this build ran itself'
               '<span>shows that it runs, decides nothing</span></summary><div class="htcv-provenance-body">\n```')
    return [new_markdown_cell(opening), *cells, new_markdown_cell("```{raw} html\n</div></details>\n```")]


def _retitle(cells: list, title: str, anchor: str) -> None:
    for cell in cells:
        if cell.cell_type == "markdown" and cell.source.lstrip().startswith("# "):
            rest = cell.source.lstrip().partition("\n")[2]
            cell.source = f"({anchor})=\n# {title}\n{rest}"
            return
    cells.insert(0, new_markdown_cell(f"({anchor})=\n# {title}"))
