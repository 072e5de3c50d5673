"""`htcv bench`: our training loop, renderer and runner, each against what one would use instead.

That is a well-tuned plain loop, the renderer's plain form and a rasteriser, and bare papermill. Every figure is a
ratio of two measurements taken in turn, A B A B, in processes of their own, so that a machine that slows down slows
both. Same model, data, batch size, precision, optimizer and threads.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path

TASKS = {  # name: dataset, split, batch size, steps per measurement on a CPU
    "unet": ("oxford_pets_630/sample", "train", 16, 24),
    "mnist": ("mnist/sample", "train", 128, 300),  # a classifier, 784-128-10
    "mnist_autoencoder": ("mnist/sample", "train", 128, 120),  # 784-400-20-400-784: mostly arithmetic
    "vae": ("mnist/sample", "train", 128, 24),  # the Session 18 report's MNIST VAE with its label loss
    "vae_cifar": ("cifar10_pack/sample", "train", 64, 12),  # its CIFAR VAE, an eighth as wide, images flipped
    "mask_depth": ("standing_pets", "train", 12, 24),  # version 2 with 8 planes, squared error and SSIM, jittered light
}
LOOPS = {"ours": "ours", "plain0": "plain DataLoader with 0 workers", "plain2": "plain DataLoader with 2 workers"}
RENDERERS = {"render": "render", "render_plain": "render_plain", "rasteriser": "a rasteriser"}
PHONG = (32, 128, 1.0)  # scenes a batch, side of the pictures in pixels, seconds a measurement
PHONG_SAMPLERS = ("onscreen", "easy")
WARM_UP = 4  # batches


def report(what: str = "all", repeats: int = 5) -> str:
    """Measure and describe; one line a comparison: ratio as median (min to max)."""
    return "\n".join(line for name, compare in COMPARISONS.items() if what in ("all", name)
                     for line in compare(name, repeats))


def _compare_loops(task: str, repeats: int) -> list[str]:
    speeds = _in_turn(task, list(LOOPS), repeats)
    ours, *others = speeds
    return [_versus(task, speeds, ours, max(others, key=lambda loop: statistics.median(speeds[loop])))]


def _compare_renderers(name: str, repeats: int) -> list[str]:
    from htcv_lib.bench_rasteriser import unavailable

    reason, lines = unavailable(), []
    for task in (f"{name} {sampler}" for sampler in PHONG_SAMPLERS):
        speeds = _in_turn(task, [way for way in RENDERERS if not (reason and way == "rasteriser")], repeats)
        ours, *others = speeds
        lines += [_versus(task, speeds, ours, other) for other in others]
    return [*lines, f"{name}: no rasteriser, {reason}"] if reason else lines


def _compare_runners(name: str, repeats: int) -> list[str]:
    pairs = [_runner_pair() for _ in range(repeats)]
    return [f"{name}: {statistics.median(bare for _, bare in pairs):.2f} s per run for bare papermill, "
            f"ours adds {_spread([ours - bare for ours, bare in pairs])} s"]


COMPARISONS = {**dict.fromkeys(TASKS, _compare_loops), "phong": _compare_renderers, "runner": _compare_runners}


def _in_turn(task: str, ways: list[str], repeats: int) -> dict[str, list[float]]:
    """Images per second of each way; every round measures each once, in a fresh process."""
    rounds = [{way: _child(task, way) for way in ways} for _ in range(repeats)]
    return {way: [speeds[way] for speeds in rounds] for way in ways}


def _versus(task: str, speeds: dict[str, list[float]], ours: str, other: str) -> str:
    named = ", ".join(f"{(LOOPS | RENDERERS)[way]} {statistics.median(speeds[way]):,.0f} images/s"
                      for way in (ours, other))
    return f"{task}: {named}, ratio {_spread([a / b for a, b in zip(speeds[ours], speeds[other], strict=True)])}"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _child(task: str, way: str) -> float:
    """Images per second, measured in a fresh process."""
    output = subprocess.run([sys.executable, "-m", "htcv_lib.bench", task, way], capture_output=True, text=True,
                            check=True, env={**os.environ, "HTCV_BATCH": "1"}).stdout
    return json.loads(output.splitlines()[-1])["images_per_s"]


def _runner_pair() -> tuple[float, float]:
    """Seconds for one small notebook: through our runner, and through papermill alone, both in worker processes."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    from htcv_lib.runs.execute import Slot, Task, execute

    with tempfile.TemporaryDirectory() as place:
        root, count = Path(place), 5
        notebook = root / "small.ipynb"
        cells = [new_code_cell("seed = 0", metadata={"tags": ["parameters"]}), new_code_cell("seed + 1")]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(new_notebook(cells=cells, metadata=kernel), notebook)
        tasks = [Task(f"small/{i}", notebook, {"seed": i}, root / "staging" / str(i), root / "done" / str(i), root, {},
                      makes_record=False) for i in range(count)]
        begin = time.perf_counter()
        outcomes = execute(tasks, say=lambda line: None, workers=[Slot(1)])
        ours = (time.perf_counter() - begin) / count
        if not all(outcome.ok for outcome in outcomes):
            raise RuntimeError(next(outcome.error for outcome in outcomes if not outcome.ok))
        code = ("import papermill\n" + "\n".join(
            f"papermill.execute_notebook({str(notebook)!r}, {str(root / f'bare{i}.ipynb')!r}, {{'seed': {i}}}, "
            "kernel_name='python3', progress_bar=False)" for i in range(count)))
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        return ours, (time.perf_counter() - begin) / count


def _measure(task: str, way: str) -> float:
    """Images per second of a training loop or a renderer, after a short warm-up."""
    return _drawn(task.split()[1], way) if task.startswith("phong") else _trained(task, way)


def _trained(task: str, loop: str) -> float:
    import torch

    from htcv_lib.bench_loops import batches_of, plain_batches, problem
    from htcv_lib.training import prepare

    dataset, split, batch_size, steps = TASKS[task]
    device = prepare(0) if loop == "ours" else ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda":
        steps *= 10
    model, objective = problem(task, device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=device == "cuda")
    batches = (batches_of(dataset, split, batch_size, device) if loop == "ours"
               else plain_batches(dataset, split, batch_size, int(loop[-1])))
    seen, begin = 0, 0.0
    for done, batch in enumerate(islice(chain.from_iterable(repeat(batches)), WARM_UP + steps)):
        if done == WARM_UP:
            seen, begin = 0, _now(device)
        batch = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = objective(model, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        seen += len(batch["image"])
    return seen / (_now(device) - begin)


def _drawn(sampler: str, way: str) -> float:
    """One thread each. Tensors in [0, 1] stay on the device; the rasteriser's pictures are read back, as bytes."""
    import torch

    from htcv_lib.bench_rasteriser import Rasteriser
    from htcv_lib.data import render, render_plain, sample_scenes
    from htcv_lib.training import prepare

    batch_size, size, seconds = PHONG
    device = prepare(0, threads=1)
    os.environ["LP_NUM_THREADS"] = "0"  # besides the caller's, of OpenGL in software
    batches = sample_scenes(sampler, 16 * batch_size, torch.Generator().manual_seed(0)).split(batch_size)
    if way == "rasteriser":
        batches, draw = [scene.numpy() for scene in batches], Rasteriser(batch_size, size).draw
    else:
        batches = [scene.to(device) for scene in batches]
        draw = partial(render if way == "render" else render_plain, size=size)
    for scene in batches[:WARM_UP]:
        draw(scene)
    seen, begin = 0, _now(device)
    while time.perf_counter() < begin + seconds:
        for scene in batches:
            draw(scene)
            seen += batch_size
    return seen / (_now(device) - begin)


def _now(device: str) -> float:
    """Seconds, when the device has done what it was told."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    print(json.dumps({"images_per_s": _measure(*sys.argv[1:])}))
