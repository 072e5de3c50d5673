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


# What a report has, in its order -> the heading and the figures or tables of the chapter that answer it.
REPORTS = {
    "pets_unet/chapter.ipynb": {
        "Structure": ("Structure", ["architecture"]), "Metrics": ("Metrics", ["report"]),
        "Performance Curve": ("Performance curve", ["curves-raw", "curves-smooth"]),
        "Some observations": ("Some observations", ["effects", "grid"]),
        "Data Exploration": ("Data exploration", ["variants"])},
    "vae/chapter.ipynb": {
        "Structure": ("Structure", ["architecture"]), "Metrics": ("Metrics", ["units", "units-test"]),
        "Performance Curve": ("Performance curve", ["loss", "reconstruction", "kl", "label", "cifar-curves"]),
        "Data Exploration, MNIST": ("Data exploration: MNIST", ["grid-mnist"]),
        "Data Exploration, CIFAR10": ("Data exploration: CIFAR-10", ["photographs"]),
        "Some observations": ("Some observations", [])},
    "neural_renderer/chapter.ipynb": {
        "2 Przegląd Modeli": ("Section 2: the models", ["sizes"]),
        "3 A, table 1, figure 1": ("Section 3 A: training of model 1", ["curves-model1"]),
        "3 B, table 2, figures 2 to 6": ("Section 3 B: training of model 2",
                                         ["versions", *(f"curves-version{i}" for i in range(1, 6))]),
        "3 C": ("Section 3 C: training of model 3", ["curves-model3"]),
        "4 A": ("Section 4 A: the challenge of the discriminator", ["critics"]),
        "4 B": ("Section 4 B: the challenge of the data", ["scenes"]),
        "4 C": ("Section 4 C: the challenge of the loss", ["losses"]),
        "5 Metryki, table 3": ("Section 5: results, metrics", ["table3"]),
        "5 Wizualizacje, figures 7 to 15": ("Section 5: results, pictures", ["failures"]),
        "6": ("Section 6: conclusions", ["grid"])},
    "mask_depth/chapter.ipynb": {
        "Strategy": ("Strategy", ["augmentation"]),
        "First Experiment, INPUTS, losses": ("First experiment", ["inputs", "loss-l1"]),
        "Updated Network, results": ("Updated network", ["results-v2"]),
        "Doubling the Features?": ("Doubling the features?", []),
        "Using MSELOSS with mean": ("Using MSELoss with mean and not sum", ["loss-mse", "results-mse"]),
        "USING SSIM Loss with window = 11": ("Using SSIM with a window of 11", ["results-ssim"]),
        "Custom loss": ("Custom loss: squared error for the mask and SSIM for the depth",
                        ["loss-mixed", "results-mixed"]),
        "DICE Loss": ("Dice for the mask and SSIM for the depth", []),
        "Focal, one hot, deeper network": ("Focal loss, classes, a deeper network", ["later"])},
    "decomposer/tackling.ipynb": {
        "First attempts, loss function": ("First attempts: loss function", ["network"]),
        "First attempts, results, figures 1 and 2": ("First attempts: results", ["training-loss", "figure-1"]),
        "Pre-training, figure 3": ("Pre-training", ["autoencoder", "autoencoder-noskips"]),
        "Improving stability": ("Improving stability", ["remedies"]), "Exploration": ("Exploration", []),
        "One step back": ("One step back", ["one-step-back"])},
    "decomposer/advances.ipynb": {
        "Source Image Reconstruction": ("Source image reconstruction", ["stages"]),
        "Light and Shadow Mask": ("Light and shadow: pseudo-labels, loss", ["lighting"]),
        "Occlusion Mask, figure 3.1": ("Occlusion mask: pseudo-labels", ["figure-31"]),
        "Binary Mask": ("Binary mask", ["masks"]),
        "RGB Mask, versions 1 and 2": ("RGB mask: versions 1 and 2", ["rgb", "rgb-sheet"])},
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_chapter_answers_every_section_figure_and_table_of_its_report_in_the_reports_order(name):
    found: dict[str, list[str]] = {}
    for cell in read_cells(PROJECT.notebooks / name):
        if cell["cell_type"] == "markdown":
            found |= {heading: [] for heading in re.findall(r"^#+ (.+)$", cell["source"], re.M)}
        else:
            list(found.values())[-1].extend(re.findall(r'name=f?"([^"]+)"', cell["source"]))
    wanted = REPORTS[name].values()
    order = [heading for heading in found if heading in {heading for heading, _ in wanted}]
    assert order == [heading for heading, _ in wanted]
    missing = [(heading, figure) for heading, figures in wanted for figure in figures
               if not any(re.fullmatch(re.sub(r"\{.*?\}", ".+", known), figure) for known in found[heading])]
    assert missing == []
