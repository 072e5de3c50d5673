"""What a machine can do: `htcv bench` measures our training loop, renderer and runner, each against what one would use
instead, as ratios; `htcv doctor`, at the end, tries what a training needs.

Instead: a well-tuned plain loop over a DataLoader, the renderer's plain form and a rasteriser, bare papermill. Ways are
measured in turn, A B A B, each in a process of its own, so that a machine that slows down slows both. Same model,
objective, data, batch size, precision, optimizer and threads.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import chain, islice, repeat
from pathlib import Path

import nbformat
import numpy as np
import torch
import torch.nn.functional as F
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms, tv_tensors
from torchvision.transforms import v2

from htcv_lib.data.augment import augmentation
from htcv_lib.data.batches import Batches
from htcv_lib.data.files import Line, everything, missing, verify
from htcv_lib.data.manifest import data_folder, load_manifest
from htcv_lib.mask_depth.augment import depth_augmentation
from htcv_lib.mask_depth.losses import mask_depth_loss
from htcv_lib.mask_depth.networks import mask_depth_network
from htcv_lib.mask_depth.rooms.pets import load_standing_pets
from htcv_lib.networks import frozen
from htcv_lib.neural_renderer.phong import render, render_plain
from htcv_lib.neural_renderer.scenes import sample_scenes
from htcv_lib.pets_unet.data import load_pets
from htcv_lib.pets_unet.networks import UNet
from htcv_lib.runs.execute import Slot, Task, execute, slots
from htcv_lib.runs.plan import Book, PlannedRun
from htcv_lib.runs.project import Project, cuda_devices, device_name
from htcv_lib.training import loop
from htcv_lib.training.device import prepare
from htcv_lib.training.phase import Phase
from htcv_lib.vae.data import load_cifar10, load_mnist
from htcv_lib.vae.judge import make_classifier
from htcv_lib.vae.networks import make_label_vae
from htcv_lib.vae.objective import vae_objective

TASKS = {  # name: dataset, batch size, steps per measurement on a CPU; ten times as many on a GPU
    "unet": ("oxford_pets_630/sample", 16, 24),
    "mnist": ("mnist/sample", 128, 300),  # a classifier, 784-128-10
    "mnist_autoencoder": ("mnist/sample", 128, 120),  # 784-400-20-400-784: mostly arithmetic
    "vae": ("mnist/sample", 128, 24),  # the Session 18 report's MNIST VAE with its label loss
    "vae_cifar": ("cifar10_pack/sample", 64, 12),  # its CIFAR VAE, an eighth as wide, images flipped
    "mask_depth": ("standing_pets", 12, 24),  # version 2 with 8 planes, squared error and SSIM, jittered light
}
LOOPS = {"ours": "ours", "plain0": "plain DataLoader with 0 workers", "plain2": "plain DataLoader with 2 workers"}
RENDERERS = {"render": "render", "render_plain": "render_plain", "rasteriser": "a rasteriser"}
PHONG = (32, 128, 1.0)  # scenes a batch, side of the pictures in pixels, seconds a measurement
PHONG_SAMPLERS = ("onscreen", "easy")
WARM_UP = 4  # batches
PET_SIZE = 64  # pixels on a side
STANDING = 240  # generated pictures


# What is compared with what, and how it is told.


def report(what: str = "all", repeats: int = 5) -> str:
    """Measure and describe; one line a comparison: ratio as median (min to max)."""
    return "\n".join(line for name, compare in COMPARISONS.items() if what in ("all", name)
                     for line in compare(name, repeats))


def _compare_loops(task: str, repeats: int) -> list[str]:
    speeds = _in_turn(task, list(LOOPS), repeats)
    ours, *others = speeds
    return [_versus(task, speeds, ours, max(others, key=lambda way: statistics.median(speeds[way])))]


def _compare_renderers(name: str, repeats: int) -> list[str]:
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


def _child(task: str, way: str) -> float:
    """Images per second, measured in a fresh process (see the end of this file)."""
    output = subprocess.run([sys.executable, "-m", "htcv_lib.bench", task, way], capture_output=True, text=True,
                            check=True).stdout
    return json.loads(output.splitlines()[-1])


def _versus(task: str, speeds: dict[str, list[float]], ours: str, other: str) -> str:
    named = ", ".join(f"{(LOOPS | RENDERERS)[way]} {statistics.median(speeds[way]):,.0f} images/s"
                      for way in (ours, other))
    return f"{task}: {named}, ratio {_spread([a / b for a, b in zip(speeds[ours], speeds[other], strict=True)])}"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


# How each is measured.


def measure(task: str, way: str) -> float:
    """Images per second of a training loop or a renderer, after a short warm-up."""
    return _drawn(task.split()[1], way) if task.startswith("phong") else _trained(task, way)


def _trained(task: str, way: str) -> float:
    """Every batch is full, so images are counted by steps."""
    dataset, batch_size, steps = TASKS[task]
    device = prepare(0) if way == "ours" else "cuda" if torch.cuda.is_available() else "cpu"
    steps *= 10 if device == "cuda" else 1
    model, objective = problem(task, device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=device == "cuda")
    if way == "ours":
        phase, batches = Phase("model", objective, optimizer), our_batches(dataset, batch_size, device)
        train = partial(loop.fit, [phase], batches, models={"model": model}, progress=False)
    else:
        stream = chain.from_iterable(repeat(plain_batches(dataset, batch_size, workers=int(way[-1]))))
        train = partial(plain_loop, objective, optimizer, stream, device)
    train(steps=WARM_UP)
    begin = _now(device)
    train(steps=steps)
    return steps * batch_size / (_now(device) - begin)


def plain_loop(objective: Callable, optimizer: torch.optim.Optimizer, stream: Iterator[dict], device: str,
               steps: int) -> None:
    """The usual loop, well tuned; it records nothing."""
    for batch in islice(stream, steps):
        batch = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = objective(batch)["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def _drawn(sampler: str, way: str) -> float:
    """One thread each. Tensors in [0, 1] stay on the device; the rasteriser's pictures are read back, as bytes."""
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
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _runner_pair(count: int = 5) -> tuple[float, float]:
    """Seconds for one small notebook: through our runner, and through papermill alone, both in worker processes."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        notebook = root / "small.ipynb"
        cells = [new_code_cell("seed = 0", metadata={"tags": ["parameters"]}), new_code_cell("seed + 1")]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(new_notebook(cells=cells, metadata=kernel), notebook)
        tasks = [Task(f"small/{i}", notebook, {"seed": i}, root / "staging" / str(i), root / "done" / str(i), root, {},
                      makes_record=False) for i in range(count)]
        begin = time.perf_counter()
        outcomes = execute(tasks, say=lambda line: None, workers=[Slot(1)])
        ours = (time.perf_counter() - begin) / count
        if failed := [outcome.error for outcome in outcomes if not outcome.ok]:
            raise RuntimeError(failed[0])
        code = "\n".join(["import papermill", *(
            f"papermill.execute_notebook({str(notebook)!r}, {str(root / f'bare{i}.ipynb')!r}, {{'seed': {i}}}, "
            "kernel_name='python3', progress_bar=False)" for i in range(count))])
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        return ours, (time.perf_counter() - begin) / count


# What is trained: models and objectives of the families.


def problem(task: str, device: str) -> tuple[nn.Module, Callable[[dict[str, Tensor]], dict[str, Tensor]]]:
    """The model of a task, on a device, and its objective: a batch in, a dict with "loss" out."""
    if task == "unet":
        model = UNet(widths=(8, 16, 32, 64, 64)).to(device)
        return model, lambda batch: {"loss": F.cross_entropy(model(batch["image"]), batch["mask"])}
    if task == "mnist":
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)).to(device)
        return model, lambda batch: {"loss": F.cross_entropy(model(batch["image"]), batch["label"])}
    if task == "mnist_autoencoder":
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 20), nn.Linear(20, 400),
                              nn.ReLU(), nn.Linear(400, 784)).to(device)
        return model, lambda batch: {"loss": F.binary_cross_entropy_with_logits(model(batch["image"]),
                                                                                batch["image"].flatten(1))}
    if task == "mask_depth":  # at the size of the laptop references
        model, loss = mask_depth_network("v2", planes=8, scaling="sigmoid").to(device), mask_depth_loss("mse_ssim")
        return model, lambda batch: loss(model(batch["image"]), batch["mask"], batch["depth"])
    if task == "vae":  # both: labels perturbed, one-sample KL, label loss of a guide that is not trained (as fast)
        model, guide, weight = make_label_vae("digit", (1, 28, 28), 10), make_classifier("digit", 1), 100.0
    else:
        widths = (8, 16, 32, 64)
        model, guide = make_label_vae("resnet9", (3, 32, 32), 512, widths), make_classifier("resnet9", 3, widths)
        weight = 300.0
    model, guide = model.to(device), frozen(guide).to(device)
    return model, partial(vae_objective, model, guide=guide, label_weight=weight, perturb=0.1, kl="sample")


# The pictures of a task, in memory, and the two ways to cut batches from them.


def pictures_of(dataset: str):
    if dataset == "standing_pets":
        return load_standing_pets("train", STANDING, PET_SIZE, pets="oxford_pets_630/sample",
                                  textures="base_images/sample")
    if "pets" in dataset:
        return load_pets(dataset, "train", PET_SIZE)
    return (load_cifar10 if "cifar" in dataset else load_mnist)(dataset, "train")


def our_batches(dataset: str, batch_size: int, device: str) -> Batches:
    """The pictures on the device, changed there a batch at a time."""
    kind, change = Batches, augmentation("flip_crop" if "pets" in dataset else "flip" if "cifar" in dataset else "none")
    if dataset == "standing_pets":
        kind, change = Batches, depth_augmentation("light")
    return kind(pictures_of(dataset), batch_size, shuffle=True, augment=change, device=device, drop_last=True)


def plain_batches(dataset: str, batch_size: int, workers: int) -> DataLoader:
    """What people write: a Dataset, transforms per picture, a DataLoader.

    Pets and generated pictures are decoded, resized and made beforehand, which is generous; small pictures go through
    PIL, as `torchvision.datasets` has it.
    """
    kind = Standing if dataset == "standing_pets" else Pets if "pets" in dataset else SmallPictures
    return DataLoader(kind(pictures_of(dataset), flip="cifar" in dataset), batch_size, shuffle=True, drop_last=True,
                      num_workers=workers, persistent_workers=workers > 0, pin_memory=torch.cuda.is_available())


class Pictures(Dataset):
    """One picture after the other, as dicts."""

    def __init__(self, pictures, flip: bool):
        self.pictures, self.flip = pictures, flip

    def __len__(self) -> int:
        return len(self.pictures)


class Pets(Pictures):
    """Photographs and masks, flipped and cropped together."""

    change = v2.Compose([v2.RandomHorizontalFlip(), v2.RandomResizedCrop(PET_SIZE, scale=(0.5, 1.0), antialias=False),
                         v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True)])

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        image, mask = self.change(tv_tensors.Image(self.pictures.images[i]), tv_tensors.Mask(self.pictures.masks[i]))
        return {"image": image, "mask": mask.long()}


class Standing(Pictures):
    """Composites with mask and depth; brightness and contrast are jittered."""

    change = v2.ColorJitter(brightness=0.2, contrast=0.2)
    scale = v2.ToDtype(torch.float32, scale=True)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        image = self.change(self.scale(self.pictures.images[i]))
        return {"image": image, "mask": self.scale(self.pictures.masks[i]), "depth": self.pictures.depths[i].float()}


class SmallPictures(Pictures):
    """Digits and small photographs with a class each, through PIL."""

    def __init__(self, pictures, flip: bool):
        super().__init__(pictures, flip)
        arrays = pictures.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.arrays = arrays[..., 0] if arrays.shape[-1] == 1 else arrays
        self.labels = pictures.labels.tolist()
        self.change = transforms.Compose([*[transforms.RandomHorizontalFlip()] * flip, transforms.ToTensor()])

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {"image": self.change(Image.fromarray(self.arrays[i])), "label": self.labels[i]}


# The assignment's way to draw scenes, with OpenGL: the mesh of a sphere, `segments` by `segments / 2`, and a shader.
#
# Shares nothing with `phong.render`, not even constants, so it checks that too. Needs moderngl, which is not a
# dependency: where it is installed, `htcv bench phong` and a test use it.

VERTEX = """#version 330
uniform mat3 camera; uniform vec3 eye, object; in vec3 corner; out vec3 normal, position;
void main() {
    normal = corner; position = object + corner;
    vec3 seen = (position - eye) * camera;  // right, up, forward; near plane 0.1, far plane 1000, 45 degrees of view
    gl_Position = vec4(seen.xy / tan(radians(22.5)), (1000.1 * seen.z - 200.0) / 999.9, seen.z); }"""
FRAGMENT = """#version 330
uniform vec3 eye, diffuse, light; uniform float shininess; in vec3 normal, position; out vec4 colour;
void main() {
    vec3 N = normalize(normal), L = normalize(light - position), V = normalize(eye - position);
    float highlight = pow(max(dot(reflect(-L, N), V), 0.0), shininess);
    colour = vec4(clamp(0.03 + diffuse * max(dot(N, L), 0.0) + highlight, 0.0, 1.0), 1.0); }"""


class Rasteriser:
    """Draws the scenes of a batch one above another in one framebuffer, so that it is read back once a batch."""

    def __init__(self, batch_size: int, size: int = 128, segments: int = 32):
        import moderngl

        self.size = size
        self.context = context = moderngl.create_context(standalone=True, backend="egl")
        context.enable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self.program, eye = context.program(vertex_shader=VERTEX, fragment_shader=FRAGMENT), np.array((5.0, 5.0, 15.0))
        right = np.cross((0, 1, 0), eye)
        axes = np.stack((right, np.cross(eye, right), -eye))
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        self.program["camera"], self.program["eye"] = tuple(axes.ravel()), tuple(eye)
        around, up = np.meshgrid(np.linspace(0, 2 * np.pi, segments + 1), np.linspace(0, np.pi, segments // 2 + 1))
        corners = np.stack((np.sin(up) * np.sin(around), -np.cos(up), np.sin(up) * np.cos(around)), axis=-1)
        place = np.arange(around.size).reshape(around.shape)
        low, right, high, left = place[:-1, :-1], place[:-1, 1:], place[1:, 1:], place[1:, :-1]
        triangles = np.stack((low, right, high, low, high, left), axis=-1)  # counter-clockwise from outside
        self.mesh = context.vertex_array(self.program, context.buffer(corners.astype("f4").tobytes()), "corner",
                                         index_buffer=context.buffer(triangles.astype("i4").tobytes()))
        self.frame = context.simple_framebuffer((size, size * batch_size))

    def draw(self, scene: np.ndarray) -> np.ndarray:
        """Pictures (B, H, W, 3), uint8, of `scene` (B, 10), whose columns are named by `scenes.SCENE_FIELDS`."""
        with self.context:  # there may be another
            self.frame.use()
            self.frame.clear()
            for i, values in enumerate(map(tuple, scene.tolist())):
                self.frame.viewport = (0, i * self.size, self.size, self.size)
                self.program["object"], self.program["diffuse"] = values[:3], values[3:6]
                self.program["shininess"], self.program["light"] = values[6], values[7:]
                self.mesh.render()
            rows = np.frombuffer(self.frame.read((0, 0, self.size, self.size * len(scene))), np.uint8)
        return rows.reshape(-1, self.size, self.size, 3)[:, ::-1]  # OpenGL's first row is the lowest


def unavailable() -> str:
    """Why scenes cannot be rasterised here, or an empty string."""
    if find_spec("moderngl") is None:
        return "moderngl not installed"
    try:
        Rasteriser(1)
    except Exception as error:  # whatever the driver raises
        return f"no OpenGL here: {error}"
    return ""


# `htcv doctor`: what a training needs, tried in two minutes. A check yields lines; one that raises has failed.

REMEDIES = {
    "device": "update the driver, install a torch that fits it, or set CUDA_VISIBLE_DEVICES=-1 to train on the CPU",
    "places": "then ask again",
    "data": "HTCV_DATA names the folder of your own copies, `git checkout data_manifests` restores the samples",
    "resume": "without it a killed training begins anew: delete runs/resume, and report what this line says",
    "training": "`htcv run FAMILY --profile quick` shows the same as a whole run; report what this line says",
}


def examine() -> Iterator[Line]:
    """Check after check, a line or more for each; one that fails says what to do, and the others are tried as well."""
    for name, remedy in REMEDIES.items():
        try:
            for good, text in CHECKS[name]():
                yield Line(good, f"{name}: {text}" if good else f"{name}: {text}; {remedy}")
        except Exception as error:  # whatever drivers, disks and files raise
            yield Line(False, f"{name}: {' '.join(f'{type(error).__name__}: {error}'.split())}; {remedy}")


def _device() -> Iterator[Line]:
    yield Line(True, f"torch {torch.__version__} on {device_name()}")
    listed = cuda_devices()
    if listed and not torch.cuda.is_available():
        yield Line(False, f"torch, built for CUDA {torch.version.cuda}, cannot use GPU {', '.join(listed)}")
    for place in range(torch.cuda.device_count()):
        about, (free, total) = torch.cuda.get_device_properties(place), torch.cuda.mem_get_info(place)
        ones = torch.ones(512, 512, dtype=torch.bfloat16, device=f"cuda:{place}")
        yield Line(bool((ones @ ones == 512).all()), f"{about.name}, compute capability {about.major}.{about.minor}, "
                   f"{free / 2**30:.0f} of {total / 2**30:.0f} GiB free, multiplies bfloat16, driver {_driver()}")


def _driver() -> str:
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout.split()[0]


def _places() -> Iterator[Line]:
    project = Project.find()
    project.check_places()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    room = shutil.disk_usage(project.weights).free / 2**30
    yield Line(True, f"{memory:.0f} GiB of memory, {room:.0f} GiB of disk, results and weights can be written")


def _data() -> Iterator[Line]:
    if (own := data_folder()) is not None and not own.is_dir():
        yield Line(False, f"HTCV_DATA={own} is no folder")
    manifests = [load_manifest(name) for name in everything()]
    samples = [manifest for manifest in manifests if manifest.is_sample]
    for manifest in samples:
        verify(manifest)
    whole = [manifest for manifest in manifests if manifest.files and not manifest.is_sample]
    here = sum(not missing(manifest) for manifest in whole)
    yield Line(True, f"{len(samples)} bundled samples are whole; {here} of {len(whole)} whole sets are here")


def _resume() -> Iterator[Line]:
    """Two epochs at once, and with a stop between them: the same weights, to the last bit on a CPU."""
    device = prepare(0)

    def weights(*stops: int) -> Tensor:
        with tempfile.TemporaryDirectory() as folder:
            for epochs in stops:
                torch.manual_seed(0)
                model, objective = problem("mnist", device)
                phase = Phase("model", objective, torch.optim.AdamW(model.parameters()))
                loop.fit([phase], our_batches("mnist/sample", 64, device), epochs=epochs, models={"model": model},
                         checkpoint=Path(folder) / "state.pt", progress=False)
        return nn.utils.parameters_to_vector(model.parameters())

    far = (weights(2) - weights(1, 2)).abs().max().item()
    yield Line(far <= (0 if device == "cpu" else 1e-4), f"training on from a checkpoint differs by {far:.1g}")


def _training() -> Iterator[Line]:
    """The most important training of each family, on bundled samples and tiny, all of its notebook but the figures."""
    project, folder = Project.find(), Project.find().staging / "doctor"
    tasks = [Task(name, run.notebook, on_samples(run), folder / name / "made", folder / name / "done", project.root,
                  {"profile": "fingerprint", "key": f"doctor-{name}", "parts": {}, "needs": {}})
             for name, run in first_trainings(Book.load(project)).items()]
    try:
        for outcome in execute(tasks, lambda line: None, slots()[:2], kernels=False):
            yield Line(outcome.ok, outcome.error or f"{outcome.label} trains and scores, {outcome.seconds:.0f} s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for path in [*project.resume.glob("doctor-*"), *project.weights.glob("doctor-*")]:
            path.unlink()


def first_trainings(book: Book) -> dict[str, PlannedRun]:
    """Family -> the tiny version of its most important run that trains and needs no other."""
    runs = [run for run in book.runs("fingerprint", seeds=1) if run.parameters.get("epochs") and not run.needs]
    return {run.family: run for run in reversed(runs)}  # the first, the most important, stays


def on_samples(run: PlannedRun) -> dict:
    """Its parameters, with the bundled sample of each data set that has one."""
    return {name: f"{value}/sample" if name.startswith("dataset") and value and "/" not in value
            and load_manifest(value).sample else value for name, value in run.parameters.items()}


CHECKS = {"device": _device, "places": _places, "data": _data, "resume": _resume, "training": _training}


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:])))
