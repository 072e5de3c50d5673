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

    from htcv_lib.training import prepare

    dataset, split, batch_size, steps = TASKS[task]
    device = prepare(0) if loop == "ours" else ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda":
        steps *= 10
    model, objective = _problem(task, device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=device == "cuda")
    batches = _ours(dataset, split, batch_size, device) if loop == "ours" else _plain(
        dataset, split, batch_size, int(loop[-1]))
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


def _problem(task: str, device: str):
    import torch.nn.functional as F
    from torch import nn

    from htcv_lib.models import UNet

    if task.startswith("vae"):
        return _vae_problem(task, device)
    if task == "unet":
        model = UNet(widths=(8, 16, 32, 64, 64))
        return model.to(device), lambda net, batch: F.cross_entropy(net(batch["image"]), batch["mask"])
    if task == "mnist":
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
        return model.to(device), lambda net, batch: F.cross_entropy(net(batch["image"]), batch["label"])
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 20), nn.Linear(20, 400),
                          nn.ReLU(), nn.Linear(400, 784))
    return model.to(device), lambda net, batch: F.binary_cross_entropy_with_logits(net(batch["image"]),
                                                                                   batch["image"].flatten(1))


def _vae_problem(task: str, device: str):
    """The report's step: labels perturbed, one-sample KL, label loss of a frozen guide (not trained: it is as fast)."""
    from htcv_lib.models import frozen, make_classifier, make_label_vae
    from htcv_lib.training import vae_objective

    if task == "vae":
        model, guide, weight = make_label_vae("digit", (1, 28, 28), 10), make_classifier("digit", 1), 100.0
    else:
        widths = (8, 16, 32, 64)
        model, guide = make_label_vae("resnet9", (3, 32, 32), 512, widths), make_classifier("resnet9", 3, widths)
        weight = 300.0
    guide = frozen(guide).to(device)
    return model.to(device), lambda net, batch: vae_objective(net, batch, guide=guide, label_weight=weight,
                                                              perturb=0.1, kl="sample")["loss"]


def _source(dataset: str, split: str):
    from htcv_lib.data import load_cifar10, load_mnist, load_pets

    if "pets" in dataset:
        return load_pets(dataset, split, 64)
    return (load_cifar10 if "cifar" in dataset else load_mnist)(dataset, split)


def _ours(dataset: str, split: str, batch_size: int, device: str):
    from htcv_lib.data import Batches, augmentation

    recipe = "flip_crop" if "pets" in dataset else "flip" if "cifar" in dataset else "none"
    return Batches(_source(dataset, split), batch_size, shuffle=True, augment=augmentation(recipe), device=device,
                   drop_last=True)


def _plain(dataset: str, split: str, batch_size: int, workers: int):
    """The loop people write: a Dataset, transforms per picture, a DataLoader.

    Pets are decoded and resized beforehand, which is generous; small pictures go through PIL, as
    `torchvision.datasets` has it.
    """
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms, tv_tensors
    from torchvision.transforms import v2

    pets = "pets" in dataset
    source = _source(dataset, split)
    change = v2.Compose([v2.RandomHorizontalFlip(), v2.RandomResizedCrop(64, scale=(0.5, 1.0), antialias=False),
                         v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True)])

    flip = [transforms.RandomHorizontalFlip()] if "cifar" in dataset else []
    to_tensor = transforms.Compose([*flip, transforms.ToTensor()])
    if not pets:
        channels_last = source.images.permute(0, 2, 3, 1).contiguous().numpy()
        arrays = channels_last.squeeze(-1) if channels_last.shape[-1] == 1 else channels_last
        labels = source.labels.tolist()

    class Pictures(Dataset):
        def __len__(self):
            return len(source)

        def __getitem__(self, i):
            if not pets:
                return {"image": to_tensor(Image.fromarray(arrays[i])), "label": labels[i]}
            image, mask = change(tv_tensors.Image(source.images[i]), tv_tensors.Mask(source.masks[i]))
            return {"image": image, "mask": mask.long()}

    return DataLoader(Pictures(), batch_size, shuffle=True, num_workers=workers, drop_last=True,
                      persistent_workers=workers > 0, pin_memory=torch.cuda.is_available())


if __name__ == "__main__":
    print(json.dumps({"images_per_s": _measure(*sys.argv[1:])}))
