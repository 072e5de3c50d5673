"""`htcv bench`: our training loop against a well-tuned plain one, our runner against bare papermill.

Every figure is a ratio of two measurements taken in turn, A B A B, in processes of their own, so that a
machine that slows down slows both. Same model, data, batch size, precision, optimizer and threads.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TASKS = {  # name: dataset, split, batch size, steps per measurement on a CPU
    "unet": ("oxford_pets_630/sample", "train", 16, 24),
    "mnist": ("mnist/sample", "train", 128, 300),  # a classifier, 784-128-10
    "mnist_autoencoder": ("mnist/sample", "train", 128, 120),  # 784-400-20-400-784: mostly arithmetic
    "vae": ("mnist/sample", "train", 128, 24),  # the Session 18 report's MNIST VAE with its label loss
    "vae_cifar": ("cifar10_pack/sample", "train", 64, 12),  # its CIFAR VAE, an eighth as wide, images flipped
}
LOOPS = ("ours", "plain0", "plain2")  # the number is that of DataLoader workers


def report(what: str = "all", repeats: int = 5) -> str:
    """Measure and describe; one line a comparison: ratio as median (min to max)."""
    lines = []
    for task in TASKS:
        if what in ("all", task):
            speeds = {loop: [] for loop in LOOPS}
            for _ in range(repeats):
                for loop in LOOPS:
                    speeds[loop].append(_child(task, loop))
            best = max(LOOPS[1:], key=lambda loop: statistics.median(speeds[loop]))
            ratios = [ours / plain for ours, plain in zip(speeds["ours"], speeds[best], strict=True)]
            lines.append(f"{task}: ours {statistics.median(speeds['ours']):,.0f} images/s, plain DataLoader with "
                         f"{best[-1]} workers {statistics.median(speeds[best]):,.0f} images/s, ratio {_spread(ratios)}")
    if what in ("all", "runner"):
        pairs = [_runner_pair() for _ in range(repeats)]
        extra = [ours - bare for ours, bare in pairs]
        lines.append(f"runner: {statistics.median(bare for _, bare in pairs):.2f} s per run for bare papermill, "
                     f"ours adds {_spread(extra)} s")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _child(task: str, loop: str) -> float:
    """Images per second of one loop, measured in a fresh process."""
    output = subprocess.run([sys.executable, "-m", "htcv_lib.bench", task, loop], capture_output=True, text=True,
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


def _measure(task: str, loop: str) -> float:
    """Images per second after a short warm-up."""
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
    done = 0
    while done < steps + 4:
        for batch in batches:
            if done == 4:  # warmed up
                if device == "cuda":
                    torch.cuda.synchronize()
                seen, begin = 0, time.perf_counter()
            batch = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                loss = objective(model, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            seen, done = seen + len(batch["image"]), done + 1
            if done == steps + 4:
                break
    if device == "cuda":
        torch.cuda.synchronize()
    return seen / (time.perf_counter() - begin)


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
