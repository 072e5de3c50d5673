"""Freshness: content hashes of everything that decides a run's numbers, or its page.

Comments, docstrings and formatting do not count; a module counts only if a name it defines is used.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from htcv_lib.data.manifest import load_manifest
from htcv_lib.runs.notebook import read_cells
from htcv_lib.runs.plan import PlannedRun
from htcv_lib.runs.project import Project

RESULT_PACKAGES = ("models", "losses", "metrics", "data", "training")
PAGE_PACKAGES = ("figures",)
UNCOUNTED = ("run_name",)  # parameters that name the run and change nothing
KeyParts = dict[str, Any]


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def result_parts(run: PlannedRun, project: Project, upstream: Mapping[str, str] | None = None) -> KeyParts:
    """What decides a run's numbers.

    Args:
        upstream: Result keys of the runs it needs, by run name.

    Returns notebook, parameters, modules, data, needs: hashes, except the parameters themselves.
    """
    cells = read_cells(run.notebook)
    code = [cell["source"] for cell in cells
            if cell["cell_type"] == "code" and not {"parameters", "page"} & set(cell["tags"])]
    parameters = {key: value for key, value in run.parameters.items() if key not in UNCOUNTED}
    names = [value for key, value in parameters.items() if key.startswith("dataset") and value]
    return {
        "notebook": digest([normalized(source) for source in code]),
        "parameters": parameters,
        "modules": module_hashes(code, project, RESULT_PACKAGES),
        "data": {name: load_manifest(name).digest[:16] for name in names},
        "needs": {need: (upstream or {}).get(need, "") for need in run.needs.values()},
    }


def page_parts(notebook: Path, project: Project, inputs: Any) -> KeyParts:
    """What decides a page beyond its result key: all cells, the figures, and `inputs` (any JSON value)."""
    cells = read_cells(notebook)
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    return {
        "cells": digest([[cell["cell_type"], cell["source"], sorted(cell["tags"])] for cell in cells]),
        "modules": module_hashes(code, project, PAGE_PACKAGES),
        "inputs": digest(inputs),
    }


def module_hashes(sources: Iterable[str], project: Project, packages: tuple[str, ...]) -> dict[str, str]:
    """Module -> hash, for every module of `packages` that these sources use, directly or not."""
    found: dict[str, str] = {}
    waiting = [target for source in sources for target in imported(source)]
    while waiting:
        for module in homes(*waiting.pop(), project):
            if module.split(".")[1] not in packages or module in found:
                continue
            source = _module_file(module, project).read_text(encoding="utf-8")
            found[module] = digest(normalized(source))
            waiting += imported(source)
    return dict(sorted(found.items()))


@cache
def imported(source: str) -> list[tuple[str, tuple[str, ...]]]:
    """`(module, names)` of every import of this library in a source text."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "htcv_lib":
            found.append((node.module, tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Import):
            found += [(alias.name, ()) for alias in node.names if alias.name.split(".")[0] == "htcv_lib"]
    return found


def homes(module: str, names: tuple[str, ...], project: Project) -> list[str]:
    """The modules that define `names` imported from `module`; a lazy package is looked through."""
    folder = project.root.joinpath(*module.split("."))
    if not folder.is_dir():
        return [module] if "." in module else []
    table = _lazy_table((folder / "__init__.py").read_text(encoding="utf-8"))
    inside = [f"{module}.{home}" for home, public in table.items() if set(names) & set(public)]
    submodules = [f"{module}.{name}" for name in names if (folder / f"{name}.py").is_file()]
    return inside + submodules


@cache
def normalized(source: str) -> str:
    """Source code without comments, docstrings and formatting."""
    return _dump(ast.parse(source))


def explain(old: KeyParts, new: KeyParts) -> list[str]:
    """What changed between two key parts, one phrase each."""
    changes = []
    for part in ("notebook", "cells", "inputs"):
        if old.get(part) != new.get(part):
            changes.append({"notebook": "code of the notebook", "cells": "text of the notebook",
                            "inputs": "records it shows"}[part])
    for key in sorted(set(old.get("parameters", {})) | set(new.get("parameters", {}))):
        before, after = (parts.get("parameters", {}).get(key, "absent") for parts in (old, new))
        if before != after:
            changes.append(f"{key}: {before} -> {after}")
    for part, noun in (("modules", "module"), ("data", "data"), ("needs", "upstream run")):
        before, after = old.get(part, {}), new.get(part, {})
        changes += [f"{noun} {name}" for name in sorted(set(before) | set(after))
                    if before.get(name) != after.get(name)]
    return changes


@cache
def _lazy_table(source: str) -> dict[str, tuple[str, ...]]:
    """The MODULES of a lazy package, read from the text of its `__init__`."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "MODULES":
            return ast.literal_eval(node.value)
    return {}


def _module_file(module: str, project: Project) -> Path:
    return project.root.joinpath(*module.split(".")).with_suffix(".py")


def _dump(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and body
                and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
                and isinstance(body[0].value.value, str)):
            node.body = body[1:]
    return ast.dump(tree, annotate_fields=False)
