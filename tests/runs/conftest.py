"""A toy book of three runs and a chapter, with a copy of the library: complete, and quick to break."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from htcv_lib.runs.plan import Family
from htcv_lib.runs.project import Project

REPOSITORY = Path(__file__).parents[2]

RUNS = {
    "title": "A toy family",
    "chapters": ["chapter.ipynb"],
    "profiles": {"quick": {"steps": 2}},
    "minutes": {"quick": 0.1},
    "runs": [{
        "all": {"notebook": "run.ipynb", "quick": True},
        "one": {"title": "Run one", "parameters": {"slope": 1.0}},
        "two": {"title": "Run two", "parameters": {"slope": 2.0}},
        "three": {"title": "Run three", "parameters": {"slope": 3.0}},
    }],
}
METRICS = {"value": {"title": "Value", "unit": "", "better": "higher", "format": ".2f"}}
PARAMETERS = """run_name: str = 'toy/one/s0'
slope: float = 0.5  # rise per step
steps: int = 10
seed: int = 0
fail: bool = False"""
RUN_CELL = """from htcv_lib.metrics import toy_line
from htcv_lib.runs import Run, literals
run = Run.start(run_name, literals(globals()))"""
WORK_CELL = "if fail:\n    raise RuntimeError('asked to fail')\nvalue = toy_line(slope, steps) + seed"
CHAPTER_CELL = """from htcv_lib.runs import Chapter
chapter = Chapter.start("toy")
import pandas
table = pandas.DataFrame([(r.run, r.value("value")) for r in chapter.this_build], columns=["run", "value"])
chapter.show(table, name="values", caption="What each run measured.")"""
TOY_MODULE = '''"""A line."""


def toy_line(slope: float, steps: int) -> float:
    """slope times steps"""
    return slope * steps  # rises
'''


def write_notebook(path: Path, *cells) -> None:
    notebook = new_notebook(cells=list(cells))
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Project:
    """A fresh toy book; its library is found first by every kernel it starts."""
    root = tmp_path / "toybook"
    shutil.copytree(REPOSITORY / "htcv_lib", root / "htcv_lib", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "htcv_lib/metrics/toy.py").write_text(TOY_MODULE)
    init = root / "htcv_lib/metrics/__init__.py"
    init.write_text(init.read_text().replace("submod_attrs={", 'submod_attrs={"toy": ["toy_line"],', 1))
    (root / "data_manifests").mkdir()
    (root / "book").mkdir()
    (root / "book/index.md").write_text("# Toy book\n\nA page.\n")
    (root / "_toc.yml").write_text(yaml.safe_dump({
        "format": "jb-book", "root": "book/index",
        "chapters": [{"file": "book/pages/toy/chapter"}, {"glob": "book/pages/toy/runs/*"}]}))
    extensions = str(REPOSITORY / "book" / "_ext")
    (root / "_config.yml").write_text(yaml.safe_dump({
        "title": "Toy", "only_build_toc_files": True, "execute": {"execute_notebooks": "off"},
        "sphinx": {"local_extensions": {"report_build": extensions, "provenance": extensions},
                   "config": {"suppress_warnings": ["config.cache"]}}}))
    write_notebook(
        root / "notebooks/toy/run.ipynb",
        new_markdown_cell("# A toy run"),
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        new_code_cell(RUN_CELL), new_code_cell(WORK_CELL),
        new_code_cell("run.finish({'value': value}, n=3)"),
    )
    write_notebook(root / "notebooks/toy/chapter.ipynb", new_markdown_cell("# Toys"), new_code_cell(CHAPTER_CELL))
    (root / "notebooks/toy/runs.yml").write_text(yaml.safe_dump(RUNS))
    (root / "notebooks/toy/metrics.yml").write_text(yaml.safe_dump(METRICS))
    for name in ("HTCV_PROFILE", "HTCV_SEEDS", "HTCV_BUDGET", "HTCV_ROOT", "HTCV_RUN_FOLDER", "HTCV_JOBS",
                 "HTCV_WHERE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTCV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(root))
    return Project(root)


@pytest.fixture
def edit_runs():
    """Change the toy family as it was loaded, `runs` by name and `metrics`: `edit_runs(toy, lambda family: ...)`."""

    def edit(project: Project, change) -> None:
        table = dict(Family.load("toy", project).table)
        change(table)
        project.metrics("toy").write_text(yaml.safe_dump(table.pop("metrics")))
        project.tables["toy"].write_text(yaml.safe_dump(table | {"runs": [table["runs"]]}, sort_keys=False))

    return edit


@pytest.fixture
def jb():
    """Run `jb build .` in a book and return the finished process."""

    def call(project: Project, *options: str) -> subprocess.CompletedProcess:
        command = [str(Path(sys.executable).with_name("jb")), "build", ".", "-W", "--keep-going", "-n", *options]
        return subprocess.run(command, cwd=project.root, capture_output=True, text=True, timeout=300)

    return call
