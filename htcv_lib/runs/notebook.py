"""Reading notebooks: their parameters, their code, their prose."""

import ast
import json
from pathlib import Path
from typing import Any


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
    for cell in read_cells(path):
        if "parameters" not in cell["tags"]:
            continue
        for node in ast.parse(cell["source"]).body:
            target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
            try:
                defaults[target.id] = ast.literal_eval(node.value)
            except (AttributeError, ValueError) as error:
                raise ValueError(f"{path.name}: parameters must be plain literals, found "
                                 f"{ast.unparse(node)!r}") from error
    return defaults


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
