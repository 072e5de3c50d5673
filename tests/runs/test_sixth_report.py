"""A sixth report needs its own folders and one part of the table of contents; nothing that is there changes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from nbformat import write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

REPOSITORY = Path(__file__).parents[2]
OWN = ("htcv_lib/sixth/", "notebooks/sixth/", "book/claims/sixth.yml", "_toc.yml", "book/runs/")
FAMILY = {
    "htcv_lib/sixth/__init__.py": '''"""A sixth report: a line. Read line.py."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"line": ["rise"]})
''',
    "htcv_lib/sixth/line.py": '''"""A line."""


def rise(slope: float, steps: int) -> float:
    """How far a line of this slope rises."""
    return slope * steps
''',
    "notebooks/sixth/runs.yml": yaml.safe_dump({
        "title": "A line that rises", "chapters": ["chapter.ipynb"], "seeds": {"laptop": 2},
        "minutes": {"laptop": 0.1}, "runs": [{"steep": {"title": "A steep line", "notebook": "run.ipynb"}}]}),
    "notebooks/sixth/metrics.yml": yaml.safe_dump({
        "height": {"title": "Height", "unit": "", "better": "higher", "format": ".3f"}}),
    "book/claims/sixth.yml": yaml.safe_dump({"report": "Session 6", "sections": {"Part A": {"conclusion": [{
        "observation": "A line rises.", "rises": "A steep line reaches ten.",
        "single": {"variant": "steep", "metric": "height", "at_least": 10}}]}}}),
}
RUN = ["run_name: str = 'sixth/steep/s0'\nslope: float = 2.125\nsteps: int = 20\nseed: int = 0",
       "from htcv_lib import sixth\nfrom htcv_lib.runs import Run, literals\n"
       "run = Run.start(run_name, literals(globals()))",
       "run.finish({'height': sixth.rise(slope, steps) + seed / 500}, n=1)"]
CHAPTER = ["import pandas\nfrom htcv_lib.runs import Chapter\nchapter = Chapter.start('sixth')",
           "chapter.show(chapter.summary(['steep'], ['height']), name='height', caption='How far the line rises.')",
           "said = pandas.DataFrame(\n"
           "    [(v.claim.statement, v.word, v.so_far, v.preliminary) for v in chapter.verdicts()],\n"
           "    columns=['Claim', 'Verdict', 'So far', 'Seeds'])\n"
           "chapter.show(said, name='verdicts', caption='What the runs say.')"]


def add_notebook(path: Path, title: str, sources: list[str], parameters: bool = False) -> None:
    cells = [new_markdown_cell(f"# {title}"), *map(new_code_cell, sources)]
    if parameters:
        cells[1].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def git(root: Path, *words: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    return subprocess.run(["git", *identity, *words], cwd=root, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def copy(tmp_path) -> Path:
    """The repository, committed, as small as a book gets: a front page, and no report's notebooks, claims and runs."""
    root = tmp_path / "book"
    for name in ("htcv_lib", "data_manifests", "book/_ext", "_static"):
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "samples"))
    for name in ("_config.yml", ".gitignore", "book/references.bib"):
        shutil.copy(REPOSITORY / name, root / name)
    (root / "notebooks").mkdir()
    (root / "book/claims").mkdir()
    (root / "book/index.md").write_text("# The front page\n\nOne part follows.\n")
    (root / "_toc.yml").write_text("format: jb-book\nroot: book/index\nparts:\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "five reports")
    return root


def test_a_sixth_report_is_its_own_folders_and_one_part_of_the_contents(copy, tmp_path):
    (copy / "notebooks/sixth").mkdir()
    (copy / "htcv_lib/sixth").mkdir()
    for name, text in FAMILY.items():
        (copy / name).write_text(text)
    add_notebook(copy / "notebooks/sixth/run.ipynb", "A line", RUN, parameters=True)
    add_notebook(copy / "notebooks/sixth/chapter.ipynb", "A line that rises", CHAPTER)
    with (copy / "_toc.yml").open("a") as contents:
        contents.write("  - {caption: Lines, chapters: [{file: book/pages/sixth/chapter}, "
                       "{file: book/pages/sixth/runs/steep}]}\n")
    git(copy, "add", "-A")
    git(copy, "commit", "-qm", "a sixth report")

    environment = {name: value for name, value in os.environ.items() if not name.startswith("HTCV_")}
    environment |= {"HTCV_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(copy), "HTCV_PROFILE": "none"}
    jb = str(Path(sys.executable).with_name("jb"))
    for command in ([sys.executable, "-m", "htcv_lib.cli", "run", "sixth", "--profile", "laptop", "--record"],
                    [jb, "build", ".", "-W", "--keep-going", "-n"]):
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr

    page = (copy / "_build/html/book/pages/sixth/chapter.html").read_text()
    assert "42.501" in page  # the mean of 42.5 and 42.502
    assert "A steep line reaches ten." in page and "supported" in page and "preliminary, n = 2" in page
    assert "A steep line" in (copy / "_build/html/book/pages/sixth/runs/steep.html").read_text()
    git(copy, "add", "-A")
    changed = git(copy, "diff", "--name-only", "--cached", "HEAD~1").split()
    assert [name for name in changed if not name.startswith(OWN)] == []
    assert {name for name in changed if (REPOSITORY / name).exists()} == {"_toc.yml"}
