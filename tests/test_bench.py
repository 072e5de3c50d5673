"""`htcv bench`: what a line says, and the renderer against a rasteriser where there is one; `htcv doctor`."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from htcv_lib import bench
from htcv_lib.bench import Rasteriser, our_batches, plain_batches, problem, unavailable
from htcv_lib.cli import main
from htcv_lib.neural_renderer.phong import render, silhouette
from htcv_lib.neural_renderer.scenes import sample_scenes
from htcv_lib.runs.plan import Book
from htcv_lib.runs.project import Project
from htcv_lib.training import loop


@pytest.fixture
def measured(monkeypatch) -> list[tuple[str, str]]:
    """What child processes are asked for; none is started, and every way gets slower from round to round."""
    speed = {"ours": 600, "plain0": 200, "plain2": 300, "render": 600, "render_plain": 100, "rasteriser": 400}
    asked = []

    def child(task, way):
        asked.append((task, way))
        return speed[way] / (1 + asked.count((task, way)))

    monkeypatch.setattr(bench, "_child", child)
    return asked


def test_a_training_loop_is_compared_with_the_best_plain_one(measured):
    assert bench.report("mnist", 3) == (
        "mnist: ours 200 images/s, plain DataLoader with 2 workers 100 images/s, ratio 2.00 (2.00 to 2.00)")
    assert measured == [("mnist", "ours"), ("mnist", "plain0"), ("mnist", "plain2")] * 3  # in turn


@pytest.mark.parametrize("reason", ["", "moderngl not installed"])
def test_the_renderer_is_compared_with_a_rasteriser_where_there_is_one(measured, monkeypatch, reason):
    monkeypatch.setattr("htcv_lib.bench.unavailable", lambda: reason)
    lines = bench.report("phong", 1).splitlines()
    assert [re.sub(r" \(.*", "", line) for line in lines if "images/s" in line] == [
        f"phong {sampler}: render 300 images/s, {other}" for sampler in ("onscreen", "easy")
        for other in ("render_plain 50 images/s, ratio 6.00", "a rasteriser 200 images/s, ratio 1.50")
        if not (reason and "rasteriser" in other)]
    assert ("phong: no rasteriser, moderngl not installed" in lines) == bool(reason)


def test_the_figure_of_the_runner_is_the_time_it_adds(monkeypatch):
    pairs = iter([(1.5, 1.0), (1.75, 1.0), (2.0, 1.0)])
    monkeypatch.setattr(bench, "_runner_pair", lambda: next(pairs))
    assert bench.report("runner", 3) == "runner: 1.00 s per run for bare papermill, ours adds 0.75 (0.50 to 1.00) s"


def test_the_command_line_knows_every_comparison_and_no_other(measured, capsys):
    assert main(["bench", "vae", "--repeats", "1"]) == 0
    assert capsys.readouterr().out.startswith("vae: ours 300 images/s")
    with pytest.raises(SystemExit):
        main(["bench", "no_such_task"])
    assert "no comparison 'no_such_task'; choose from all, unet, mnist," in capsys.readouterr().err
    assert {"unet", "vae_cifar", "phong", "runner"} <= set(bench.COMPARISONS)


@pytest.mark.parametrize(("way", "calls"), [("ours", [bench.WARM_UP, 6]), ("plain0", [])])
def test_ours_is_the_loop_that_the_reports_train_with(monkeypatch, way, calls):
    fit, asked, seen = loop.fit, [], []

    def watched(phases, batches, **options):
        asked.append(options["steps"])
        history = fit(phases, batches, **options)
        seen.append(history.frame())
        return history

    monkeypatch.setattr(loop, "fit", watched)
    monkeypatch.setitem(bench.TASKS, "mnist", ("mnist/sample", 32, 6))
    monkeypatch.setattr(bench, "prepare", lambda seed: "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert bench.measure("mnist", way) > 0
    assert asked == calls and [frame["step"].iloc[-1] for frame in seen] == calls
    assert all(frame["train/model/loss"].notna().all() for frame in seen)


def test_a_measurement_is_made_in_a_process_of_its_own(monkeypatch, root):
    monkeypatch.setenv("PYTHONPATH", str(root))
    assert bench._child("mnist", "ours") > 0


def test_the_command_line_starts_without_what_computes(root):
    code = "import sys, htcv_lib.cli\nprint('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("way", ["render", "render_plain"])
def test_the_speed_of_a_renderer_is_measured(monkeypatch, way):
    monkeypatch.setattr(bench, "PHONG", (2, 16, 0.01))
    monkeypatch.setenv("LP_NUM_THREADS", "0")  # set again where it is measured
    threads = torch.get_num_threads()
    try:
        assert bench.measure("phong easy", way) > 0
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("sampler", ["easy", "onscreen"])
def test_a_rasteriser_draws_the_same_the_finer_its_mesh_the_closer(sampler):
    if reason := unavailable():
        pytest.skip(reason)
    scenes = sample_scenes(sampler, 24, torch.Generator().manual_seed(3))
    ours = render(scenes.double(), quantise=True).permute(0, 2, 3, 1).numpy() * 255
    mask = silhouette(scenes.double())[:, 0].numpy()
    outlines, errors = [], []
    for mesh in [Rasteriser(len(scenes), segments=segments) for segments in (16, 64, 256)]:  # side by side
        theirs = mesh.draw(scenes.numpy())
        drawn = theirs.max(-1) > 0  # the ambient term is 8 of 255
        outlines.append((drawn != mask).sum() / mask.sum())
        errors.append(np.abs(theirs - ours)[drawn & mask].mean())
    assert outlines[0] > 4 * outlines[1] > 8 * outlines[2] and outlines[2] < 2e-3  # polyhedra lie inside the sphere
    assert errors[0] > 4 * errors[1] > 8 * errors[2] and errors[2] < 0.05


@pytest.mark.parametrize("way", ["ours", "plain0"])
@pytest.mark.parametrize("task", ["unet", "mnist", "vae", "mask_depth"])
def test_both_loops_of_a_task_see_batches_of_the_same_shape_and_range(task, way):
    dataset, _, _ = bench.TASKS[task]
    batch = next(iter(our_batches(dataset, 4, "cpu") if way == "ours" else plain_batches(dataset, 4, 0)))
    model, objective = problem(task, "cpu")
    height = {"mnist": 28, "vae": 28}.get(task, 64)
    assert batch["image"].shape == (4, 1 if height == 28 else 3, height, height)
    assert batch["image"].dtype == torch.float32 and 0.1 < batch["image"].max() <= 1
    assert {"mask_depth": {"mask", "depth"}, "unet": {"mask"}}.get(task, {"label"}) <= set(batch)
    loss = objective(batch)["loss"]
    assert any(p.requires_grad for p in model.parameters())
    assert loss.ndim == 0 and loss.isfinite() and loss.requires_grad


def told(monkeypatch, capsys, *names: str) -> tuple[int, list[str]]:
    """Exit status and lines of `htcv doctor` with these of its checks."""
    monkeypatch.setattr(bench, "REMEDIES", {name: bench.REMEDIES[name] for name in names})
    return main(["doctor"]), capsys.readouterr().out.splitlines()


def test_a_machine_that_can_train_is_told_so_in_a_line_for_each_check(monkeypatch, capsys):
    monkeypatch.delenv("HTCV_DATA", raising=False)
    status, lines = told(monkeypatch, capsys, "device", "places", "data", "resume")
    assert status == 0 and [line.split(":")[0] for line in lines] == [
        "ok   device", "ok   places", "ok   data", "ok   resume"] and lines[-1].endswith("differs by 0")


def test_a_check_that_fails_says_what_to_do_and_the_others_are_tried(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HTCV_DATA", str(tmp_path / "none"))
    monkeypatch.setattr(bench, "cuda_devices", lambda: ["0"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(Project, "check_places", lambda self: open(tmp_path / "none" / "file"))
    monkeypatch.setattr(loop, "load_checkpoint", lambda *ignored: (1, 1))  # goes on with weights of its own
    status, lines = told(monkeypatch, capsys, "device", "places", "data", "resume")
    failed = {line.split(":")[0]: line for line in lines if line.startswith("FAIL")}
    assert status == 1 and list(failed) == [f"FAIL {name}" for name in ("device", "places", "data", "resume")]
    assert "cannot use GPU 0; update the driver" in failed["FAIL device"]
    assert all(line.endswith(bench.REMEDIES[name.split()[1]]) for name, line in failed.items())


def test_the_doctor_trains_each_family_on_what_the_repository_has():
    runs = bench.first_trainings(Book.load(Project.find()))
    assert set(runs) == set(Book.load(Project.find()).families)
    for run in runs.values():
        named = [value for name, value in bench.on_samples(run).items() if name.startswith("dataset") and value]
        assert all(not bench.load_manifest(value).files or value.endswith("/sample") for value in named)


@pytest.mark.slow
def test_the_doctor_tells_a_training_that_works_from_one_that_does_not(monkeypatch, capsys):
    run = bench.first_trainings(Book.load(Project.find()))["neural_renderer"]
    monkeypatch.setattr(bench, "first_trainings", lambda book: {"good": run, "bad": run})
    parameters = iter([run.parameters, run.parameters | {"sampler": "none"}])
    monkeypatch.setattr(bench, "on_samples", lambda run: next(parameters))
    status, lines = told(monkeypatch, capsys, "training")
    assert status == 1 and lines[0].startswith("ok   training: good trains and scores")
    assert lines[1].startswith("FAIL training: bad, cell 4: ") and lines[1].endswith(bench.REMEDIES["training"])
