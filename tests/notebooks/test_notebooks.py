"""Every notebook of the book: stripped, free of definitions, with parameters one can understand."""

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from htcv_lib.runs.claim_files import load_files
from htcv_lib.runs.notebook import default_parameters, parameter_help, read_cells
from htcv_lib.runs.plan import Book
from htcv_lib.runs.project import Project

PROJECT = Project.find(__file__)
NOTEBOOKS = sorted(PROJECT.notebooks.rglob("*.ipynb"))
RUN_NOTEBOOKS = sorted({run.notebook for profile in ("quick", "laptop") for run in Book.load(PROJECT).runs(profile)})


def named(path: Path) -> str:
    return path.relative_to(PROJECT.notebooks).as_posix()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_outputs_are_stripped(path):
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["outputs"] for cell in code if cell["outputs"]] == []
    assert {cell["execution_count"] for cell in code} == {None}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"  # nobody's personal kernel


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_no_function_and_no_class_is_defined(path):
    for cell in read_cells(path):
        if cell["cell_type"] == "code":
            kinds = {type(node).__name__ for node in ast.walk(ast.parse(cell["source"]))}
            assert not kinds & {"FunctionDef", "AsyncFunctionDef", "ClassDef"}


def code_of(path: Path) -> str:
    return "\n".join(cell["source"] for cell in read_cells(path) if cell["cell_type"] == "code")


def names_used(source: str) -> dict[str, set[str]]:
    """Package of the library -> what a notebook takes from it, by import or as `package.name`."""
    tree, used, rooms = ast.parse(source), {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("htcv_lib"):
            for alias in node.names:
                if node.module == "htcv_lib":
                    rooms.add(f"htcv_lib.{alias.name}")
                else:
                    used.setdefault(node.module, set()).add(alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            room = f"htcv_lib.{node.value.id}"
            if room in rooms:
                used.setdefault(room, set()).add(node.attr)
    return used


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_only_public_names_are_used(path):
    for module, names in names_used(code_of(path)).items():
        assert module.count(".") == 1, f"from the room, not from {module}"
        package = importlib.import_module(module)
        assert names <= set(getattr(package, "__all__", dir(package))), module


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_a_notebook_is_easy_to_read(path):
    code = code_of(path)
    assert [line for line in code.splitlines() if len(line) > 100 and not re.match(r"\w+: \w+ = ", line)] == []
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert sum(node.end_lineno - node.lineno + 1 for node in imports) <= 12


@pytest.mark.parametrize("path", RUN_NOTEBOOKS, ids=named)
def test_parameters_are_typed_literals_and_unclear_ones_are_explained(path):
    defaults = default_parameters(path)
    assert {"run_name", "seed"} <= set(defaults)
    (cell,) = [cell for cell in read_cells(path) if "parameters" in cell["tags"]]
    assert all(isinstance(node, ast.AnnAssign) for node in ast.parse(cell["source"]).body)
    evident = {"epochs", "batch_size", "seed", "eval_split", "down", "up"}
    assert [name for name, text in parameter_help(path).items() if not text and name not in evident] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_a_notebook_starts_with_its_title(path):
    first = read_cells(path)[0]
    assert first["cell_type"] == "markdown" and first["source"].startswith("# ")


def test_chapters_import_no_torch():
    for family in Book.load(PROJECT).families.values():
        for name in family.chapters:
            source = code_of(PROJECT.notebooks / family.name / name)
            taken = [f"import {module}; {module}.{attribute}" for module, attributes in names_used(source).items()
                     for attribute in sorted(attributes)]
            code = "\n".join(["import sys", *taken, "print('torch' in sys.modules)"])
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            assert done.stdout.strip() == "False" and "import torch" not in source


def test_every_headline_stands_in_one_chapter_of_its_report():
    for family, file in load_files(PROJECT).items():
        notebooks = [PROJECT.notebooks / family / name for name in Book.load(PROJECT).families[family].chapters]
        text = "\n".join(cell["source"] for path in notebooks for cell in read_cells(path))
        blocks = re.findall(r"^```\{claims\}[^\n]*\n(.*?)^```", text, re.S | re.M)
        if all(blocks):  # an empty one shows all
            assert sorted(" ".join(blocks).split()) == sorted(headline.id for headline in file.headlines), family
