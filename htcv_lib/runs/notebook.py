"""Reading notebooks: their parameters, their code, their prose."""

import ast
import json
import re
from collections.abc import Iterable
from math import inf
from pathlib import Path
from typing import Any

TYPES = {kind.__name__: kind for kind in (bool, int, float, str, list)}  # of a notebook's parameters
INJECTED = "# Parameters"  # how papermill begins the cell of what it was given


def read_cells(path: Path) -> list[dict]:
    """The cells of a notebook, each with `cell_type`, `source` (one string) and `tags`."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [
        {
            "cell_type": cell["cell_type"],
            "source": "".join(cell["source"]),
            "tags": cell.get("metadata", {}).get("tags", []),
        }
        for cell in cells
    ]


def first_heading(path: Path) -> str:
    """What a notebook calls itself: its first heading, or the file's name."""
    for cell in read_cells(path):
        for line in cell["source"].splitlines() if cell["cell_type"] == "markdown" else ():
            if line.startswith("# "):
                return line.removeprefix("# ").strip()
    return path.stem


def default_parameters(path: Path) -> dict[str, Any]:
    """Names and literal defaults of the cell tagged `parameters`; empty if there is none.

    Errors: ValueError if the cell holds anything but assignments of plain literals.
    """
    defaults: dict[str, Any] = {}
    for node in _parameter_lines(path):
        target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
        try:
            defaults[target.id] = ast.literal_eval(node.value)
        except (AttributeError, ValueError) as error:
            raise ValueError(f"{path.name}: parameters must be plain literals, found "
                             f"{ast.unparse(node)!r}") from error
    return defaults


def parameter_types(path: Path) -> dict[str, type]:
    """Names and annotated types of the cell tagged `parameters`: `lr: float = 1e-3`. One without is left out.

    Errors: ValueError for an annotation other than bool, int, float, str, list.
    """
    types: dict[str, type] = {}
    for node in _parameter_lines(path):
        if isinstance(node, ast.AnnAssign):
            name = ast.unparse(node.annotation)
            if name not in TYPES:
                raise ValueError(f"{path.name}: parameters are of type {', '.join(TYPES)}, found {ast.unparse(node)!r}")
            types[node.target.id] = TYPES[name]
    return types


def _parameter_lines(path: Path) -> list[ast.stmt]:
    return [node for cell in read_cells(path) if "parameters" in cell["tags"]
            for node in ast.parse(cell["source"]).body]


def declared_names(cells: Iterable[str]) -> set[str] | None:
    """Names that the cells of a kernel, in the order of their execution, declare as parameters: those of the last one
    that sets `run_name`, and of later ones that assign plain literals and do nothing else. None if no cell sets it.

    Errors: ValueError for a name that papermill gives and no cell declares.
    """
    names: set[str] = set()
    given: set[str] = set()
    for source in reversed(list(cells)):
        try:
            values = _assigned(source)
        except SyntaxError:
            continue
        if values and source.startswith(INJECTED):
            given |= set(values)
        elif "run_name" in values:
            names |= {name for name, node in values.items() if not _holds(node, ast.Call)}
            if given - names:
                raise ValueError(f"{min(given - names)!r} is no parameter of this notebook; it has {', '.join(values)}")
            return names
        elif not any(_holds(node, (ast.Call, ast.Name)) for node in values.values()):
            names |= set(values)
    return None


def _assigned(source: str) -> dict[str, ast.expr]:
    """Name -> value of the assignments of a cell; of one that does anything else, too, only with `run_name` in it."""
    lines = ast.parse(source).body
    values = {ast.unparse(target): node.value for node in lines if isinstance(node, ast.Assign | ast.AnnAssign)
              for target in getattr(node, "targets", None) or [node.target] if node.value}
    return values if len(values) == len(lines) or "run_name" in values else {}


def _holds(node: ast.expr, kinds: type | tuple[type, ...]) -> bool:
    return any(isinstance(part, kinds) for part in ast.walk(node))


def mistyped(value: Any, wanted: type, default: Any = None) -> str:
    """Why a value is not of the type that a parameter wants, in a few words; empty if it is.

    An int will do where a float is wanted, a bool for neither. What is in a list is of the types in its default, if
    that has any; a number is below zero, or not finite, only if its default is.
    """
    if type(value) is wanted or (wanted is float and type(value) is int):
        if wanted is list:
            kinds = {type(item) for item in default or ()} or {bool, int, float, str}
            wrong = [item for item in value if type(item) not in kinds]
            named = " or ".join(sorted(kind.__name__ for kind in kinds))
            return f"wants {named} in its list, got {wrong[0]!r}" if wrong else ""
        signed = wanted in (int, float) and default is not None and default >= 0
        return f"wants a number of 0 or more, got {value}" if signed and not 0 <= value < inf else ""
    hint = _as_yaml_number(value) if wanted is float and isinstance(value, str) else ""
    return f"wants {wanted.__name__}, got {type(value).__name__} {value!r}" + hint


def _as_yaml_number(text: str) -> str:
    """What to write where YAML reads a number as text: it wants a point before the exponent, and a sign in it."""
    match = re.fullmatch(r"([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)", text)
    if not match:
        return ""
    whole, point, sign, exponent = match.groups()
    return f": `{text}` is text in YAML: write {whole}{point or '.0'}e{sign or '+'}{exponent}"


def parameter_help(path: Path) -> dict[str, str]:
    """The comment behind each parameter's default: its meaning in a few words."""
    help_texts = {}
    for cell in read_cells(path):
        if "parameters" in cell["tags"]:
            for line in cell["source"].splitlines():
                code, _, comment = line.partition("#")
                name = code.partition("=")[0].partition(":")[0].strip()
                if name.isidentifier():
                    help_texts[name] = comment.strip()
    return help_texts
