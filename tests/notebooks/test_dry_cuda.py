"""Every run notebook on CUDA tensors without values: no mixed devices, and no hidden wait inside an epoch."""

import json
import os
from contextlib import redirect_stdout

import pytest
from dry_cuda import DryCuda, Wait

from htcv_lib.bench import on_samples
from htcv_lib.runs.notebook import read_cells
from htcv_lib.runs.plan import Book, PlannedRun
from htcv_lib.runs.project import Project
from htcv_lib.runs.records import Record
from htcv_lib.runs.run import Run
from htcv_lib.training import loop

PROJECT = Project.find(__file__)
BOOK = Book.load(PROJECT)
STEPS = 2
# What the most important run of a notebook would not show, or what depends on values that nobody has.
INSTEAD = {
    "decomposer/baseline.ipynb": "decomposer/mean",
    "neural_renderer/renderer.ipynb": "neural_renderer/model3",
    "neural_renderer/coordinates.ipynb": "neural_renderer/done-well-easy",
    "decomposer/decompose.ipynb": "decomposer/done-well",
    "decomposer/stage.ipynb": "decomposer/stage-rgb-v2-mask",
}
CHANGED = {"neural_renderer/renderer.ipynb": {"warm_up": 0}}  # both sides play from the first step
CONSTANTS = "a few constants of a formula, copied for each batch of scenes"
WAITS = {  # inside an epoch: where, and why
    "data.batches.Batches._epoch": "the order of an epoch, once",
    "image._windows": "the windows of a size, once: they are kept",
    "training.history.History.check": "a rule decides each step's updates from what was measured",
    "training.history.History.last": "likewise",
    "neural_renderer.phong.beyond_the_sides": CONSTANTS,
    "neural_renderer.phong.boxed_pixels": CONSTANTS,
    "neural_renderer.phong.look_along": CONSTANTS,
    "neural_renderer.phong.outline_box": CONSTANTS,
    "neural_renderer.phong.seen": CONSTANTS,
    "neural_renderer.scenes.encode_scene": CONSTANTS,
    "neural_renderer.scenes.propose": CONSTANTS,
    "neural_renderer.coordinates.sample_pixels": CONSTANTS,
    "neural_renderer.phong.runs": "how many pixels are drawn depends on the scenes",
    "neural_renderer.scenes.sample_scenes": "scenes are drawn again until they fit",
    "mask_depth.lr_range.lr_range_test": "decides at each step whether to stop",
}


def one_of_each() -> dict[str, PlannedRun]:
    """Notebook -> the most important of its runs, or the one that stands above."""
    found = {}
    for run in BOOK.runs("fingerprint", seeds=1):
        notebook = run.notebook.relative_to(PROJECT.notebooks).as_posix()
        if notebook == "pets_unet/smp_unet.ipynb":  # torchvision's Normalize asks for values that nobody has
            continue
        if INSTEAD.get(notebook, run.name.rpartition("/")[0]) == run.name.rpartition("/")[0]:
            found.setdefault(notebook, run)
    return found


RUNS = one_of_each()


@pytest.fixture
def waits(request, tmp_path, monkeypatch) -> set[Wait]:
    """Execute the cells that decide a notebook's result; at most two steps of training, upstream weights not read."""
    notebook, upstream = request.param, RUNS[request.param].needs
    (tmp_path / "context.json").write_text(json.dumps({"profile": "dry", "key": "dry", "parts": {}, "needs": {}}))
    monkeypatch.setenv("HTCV_RUN_FOLDER", str(tmp_path))
    monkeypatch.setenv("HTCV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HTCV_BATCH", "1")
    monkeypatch.chdir(PROJECT.root)

    def needed(run, alias):
        before = BOOK.run(upstream[alias], "fingerprint")
        return Record(tmp_path, {"run": before.name, "parameters": dict(before.parameters), "key": "before"})

    total = loop.total_steps
    monkeypatch.setattr(loop, "total_steps", lambda *of: min(STEPS, total(*of)))
    monkeypatch.setattr(Run, "checkpoint", None)
    monkeypatch.setattr(Run, "needed", needed)
    for place in ("training", "training.checkpoint"):  # the package keeps what it has once been asked for
        monkeypatch.setattr(f"htcv_lib.{place}.load_weights", lambda model, path: model.eval())
    for place in ("decomposer", "decomposer.stages"):
        monkeypatch.setattr(f"htcv_lib.{place}.hand_on", lambda model, weights, parts=None: model)
    dry, names = DryCuda(), {"__name__": "__main__"}
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), dry:
        for number, cell in enumerate(read_cells(PROJECT.notebooks / notebook)):
            if cell["cell_type"] == "code" and "page" not in cell["tags"]:
                exec(compile(cell["source"], f"cell {number}", "exec"), names)
            if "parameters" in cell["tags"]:
                names |= on_samples(RUNS[notebook]) | CHANGED.get(notebook, {})
    return dry.waits


@pytest.mark.slow
@pytest.mark.parametrize("waits", RUNS, indirect=True)
def test_on_cuda_no_devices_mix_and_no_epoch_waits_without_a_reason(waits):
    assert [wait for wait in waits if wait.training and wait.place not in WAITS] == []
