"""Freshness: content hashes of everything that decides a run's numbers, or its page.

Comments, docstrings and formatting do not count, nor where a definition stands (see `code`).
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from htcv_lib.data.manifest import load_manifest
from htcv_lib.runs.code import counts_for_pages, digest, library_of
from htcv_lib.runs.notebook import read_cells
from htcv_lib.runs.plan import PlannedRun
from htcv_lib.runs.project import Project
from htcv_lib.runs.records import read_json, write_json

UNCOUNTED = ("run_name",)  # parameters that name the run and change nothing
KeyParts = dict[str, Any]


def result_parts(run: PlannedRun, project: Project, upstream: Mapping[str, str] | None = None) -> KeyParts:
    """What decides a run's numbers.

    Args:
        upstream: Result keys of the runs it needs, by run name.

    Returns code (of the notebook's cells and all they reach), parameters, data, needs: hashes, except the parameters.
    """
    parameters = {key: value for key, value in run.parameters.items() if key not in UNCOUNTED}
    names = [value for key, value in parameters.items() if key.startswith("dataset") and value]
    return {
        "code": result_code(run.notebook, project)[0],
        "parameters": parameters,
        "data": {name: _data_digest(name, project) for name in names},
        "needs": {need: (upstream or {}).get(need, "") for need in run.needs.values()},
    }


def result_code(notebook: Path, project: Project) -> tuple[str, dict[str, str]]:
    """Digest of the cells that make a notebook's numbers, and of each definition they reach (see `Library.cells`)."""
    return library_of(project.root).cells(
        cell["source"] for cell in read_cells(notebook)
        if cell["cell_type"] == "code" and not {"parameters", "page"} & set(cell["tags"]))


def _data_digest(name: str, project: Project) -> str:
    path = project.manifests / f"{name.partition('/')[0]}.yaml"
    return _manifest_digest(name, path.stat().st_mtime_ns if path.is_file() else 0)


@cache
def _manifest_digest(name: str, changed: int) -> str:
    return load_manifest(name).digest[:16]


def page_parts(notebook: Path, project: Project, inputs: Any) -> KeyParts:
    """What decides a page beyond its result key: all cells, the figures, and `inputs` (any JSON value)."""
    cells = read_cells(notebook)
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    return {
        "cells": digest([[cell["cell_type"], cell["source"], sorted(cell["tags"])] for cell in cells]),
        "code": library_of(project.root, counts_for_pages).cells(code)[0],
        "inputs": digest(inputs),
    }


def keep_listing(folder: Path, notebook: Path, project: Project) -> None:
    """Write down, below `folder`, which definitions the present code of a notebook reaches: `code/<digest>.json`.

    It decides nothing; it lets `explain` name the definitions that changed since.
    """
    code, definitions = result_code(notebook, project)
    path = folder / "code" / f"{code}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, definitions)


def explain(old: KeyParts, new: KeyParts, project: Project, notebook: Path) -> list[str]:
    """What changed between two key parts of a notebook's run, one phrase each."""
    changes = []
    if old.get("code") != new.get("code"):
        changes += _changed_code(old.get("code", ""), project, notebook)
    for key in sorted(set(old.get("parameters", {})) | set(new.get("parameters", {}))):
        before, after = (parts.get("parameters", {}).get(key, "absent") for parts in (old, new))
        if before != after:
            changes.append(f"{key}: {before} -> {after}")
    for part, noun in (("data", "data"), ("needs", "upstream run")):
        before, after = old.get(part, {}), new.get(part, {})
        changes += [f"{noun} {name}" for name in sorted(set(before) | set(after))
                    if before.get(name) != after.get(name)]
    return changes


def _changed_code(code: str, project: Project, notebook: Path) -> list[str]:
    """The definitions that are not as they were under the digest `code`; "code of the notebook" if all of them are."""
    listings = [folder / "code" / f"{code}.json" for folder in (project.built, project.references)]
    before = next((read_json(path) for path in listings if path.is_file()), None)
    if before is None:
        return ["code"]
    after = result_code(notebook, project)[1]
    known, present = ({(name.rpartition(".")[2], own) for name, own in listing.items()} for listing in (before, after))
    changed = sorted({name for name, _ in known ^ present})  # a definition that only moved is in both
    return [f"definition {name}" for name in changed] or ["code of the notebook"]
