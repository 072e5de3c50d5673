"""Reading notebooks: their parameters, their code, their prose."""

import ast
import json
import re
from pathlib import Path
from typing import Any

TYPES = {kind.__name__: kind for kind in (bool, int, float, str, list)}  # of a notebook's parameters


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


def mistyped(value: Any, wanted: type) -> str:
    """Why a value is not of the type that a parameter wants, in a few words; empty if it is.

    An int will do where a float is wanted, a bool for neither; what is in a list does not matter.
    """
    if type(value) is wanted or (wanted is float and type(value) is int):
        return ""
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
