"""Which scenes are drawn, batches of them rendered while training, and rows in which one number moves."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from htcv_lib.data.augment import stream_seed
from htcv_lib.image import Size
from htcv_lib.neural_renderer.phong import EYE, SCENE_FIELDS, coverage, lit_fraction, render, split_scene

# Which scenes are drawn: samplers, the corners no training sees, fixed test sets, and the networks' input.

SAMPLERS = {  # name: lowest and highest position of the sphere's centre; see `sample_scenes`
    "default": ((-20.0, -20.0, -20.0), (20.0, 20.0, 20.0)),
    "easy": ((2.0, 2.0, 9.0), (5.0, 5.0, 12.5)),
    "code": ((-4.0, -4.0, -4.0), (4.0, 4.0, 4.0)),
    "onscreen": ((-20.0, -20.0, -20.0), (20.0, 20.0, 20.0)),
    "centred": ((-20.0, -20.0, -20.0), (20.0, 20.0, 20.0)),
}
LIGHT_REACH = 20.0  # of each coordinate of the light, both ways
SHININESS = (3.0, 20.0)
CLOSEST = 2.0  # of sphere centre and eye in centred scenes, world units
CORNERS = ("sharp_yellow", "close_light", "low_left_light")  # see `corner_of`
DRAWN_SIZE = 128  # px: the picture an onscreen scene has at least one pixel in
MOST_AT_ONCE = 1 << 16  # scenes proposed in one go
Keep = Callable[[Tensor], Tensor]  # scenes (B, 10) -> (B,) bool


def looks_at_object(sampler: str) -> bool:
    """Whether the camera turns to the sphere in this sampler's scenes: `camera_at_object` of the renderer."""
    return sampler == "centred"


def sample_scenes(sampler: str, count: int, generator: torch.Generator, keep: Keep | None = None) -> Tensor:
    """Scenes (count, 10), float32 on the generator's device.

    In all of them diffuse is U(0, 1), shininess U(3, 20) and the light U(-20, 20)^3. The sphere's centre:

    - "default": U(-20, 20)^3, the assignment. Nothing is rejected; 77 % of the pictures are black.
    - "easy": x, y U(2, 5), z U(9, 12.5), the report's set of large spheres. Its condition that the camera be
      more than 2 away always holds there (2.5 at least), so nothing is rejected.
    - "code": U(-4, 4)^3, what the renderer handed out with the assignment draws. Small spheres, their centres
      always in the picture; the frame cuts 1 in 200.
    - "onscreen": default, rejected until at least one pixel centre of a 128 px picture lies in the sphere.
    - "centred": default, to be rendered with the camera looking at the sphere; rejected when the centre is
      within 2 of the camera, where the sphere would fill the picture or contain the camera (1 in 2000).

    Args:
        keep: Says of proposed scenes which to take; the others are rejected as well.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
    block = int(count * (5 if sampler == "onscreen" else 1) * (1.1 if keep else 1)) + 8
    taken, missing = [], count
    while missing > 0:
        scene = propose(sampler, min(block, MOST_AT_ONCE), generator)
        if keep is not None:
            scene = scene[keep(scene)]
        scene = scene[accepted(sampler, scene)][:missing]
        taken.append(scene)
        missing, block = missing - len(scene), 2 * block
    return torch.cat(taken) if taken else propose(sampler, 0, generator)


def limits(sampler: str) -> Tensor:
    """Lowest and highest scene of the sampler's box: (2, 10)."""
    low, high = SAMPLERS[sampler]
    return torch.tensor([(*low, 0, 0, 0, SHININESS[0], *(-LIGHT_REACH,) * 3),
                         (*high, 1, 1, 1, SHININESS[1], *(LIGHT_REACH,) * 3)])


def propose(sampler: str, count: int, generator: torch.Generator) -> Tensor:
    """Uniform scenes (count, 10) from the sampler's box."""
    lowest, highest = limits(sampler).to(generator.device)
    return torch.lerp(lowest, highest, torch.rand(count, 10, generator=generator, device=generator.device))


def accepted(sampler: str, scene: Tensor) -> Tensor:
    """(B,) bool; in float64, so that a pixel on the outline is judged alike everywhere."""
    if sampler == "onscreen":
        return coverage(scene.double(), DRAWN_SIZE) > 0
    if sampler == "centred":
        return (split_scene(scene).position - scene.new_tensor(EYE)).norm(dim=1) > CLOSEST
    return torch.ones(len(scene), dtype=torch.bool, device=scene.device)


def encode_scene(scene: Tensor) -> Tensor:
    """The report's ten inputs (B, 10): what they are relative to differs from the scene, so do the scales.

    (light - object) / 30, (camera - object) / 30, 2 diffuse - 1, shininess from [3, 20] to [-1, 1].
    """
    position, diffuse, shininess, light = split_scene(scene)
    low, high = SHININESS
    return torch.cat(((light - position) / 30, (scene.new_tensor(EYE) - position) / 30, 2 * diffuse - 1,
                      2 * (shininess - low) / (high - low) - 1), dim=1)


def corner_of(scene: Tensor) -> Tensor:
    """(B,) int64: which of `CORNERS` a scene is in, -1 for none. About 1 scene in 35 is in one.

    - sharp_yellow: red and green over 0.7, blue under 0.3, shininess over 15.
    - close_light: the light within 4 of the sphere's centre.
    - low_left_light: the light at x < -10, y < -10, z > 10.

    The samplers draw these parts of a scene alike, so the corners are comparable between them. A scene in two
    counts for the first.
    """
    position, diffuse, shininess, light = split_scene(scene)
    red, green, blue = diffuse.unbind(1)
    x, y, z = light.unbind(1)
    inside = torch.stack((
        (red > 0.7) & (green > 0.7) & (blue < 0.3) & (shininess[:, 0] > 15),
        (light - position).norm(dim=1) < 4,
        (x < -10) & (y < -10) & (z > 10),
    ))  # (corners, B)
    return torch.where(inside.any(0), inside.int().argmax(0), -1)


def outside_corners(scene: Tensor) -> Tensor:
    """(B,) bool: in none of the corners that training leaves out; the `keep` of training scenes."""
    return corner_of(scene) < 0


def test_scenes(sampler: str, count: int = 600, seed: int = 20250) -> Tensor:
    """The fixed test set (count, 10) of a sampler, on the CPU; none of it is in a corner.

    Of eight times as many scenes, put in order of coverage (ten equal groups) and within a group of lit
    fraction, every eighth: the sampler's own distribution, evenly covered in both, without the luck of a
    plain draw. So frequencies are kept: 77 % of the default set is black.
    """
    spare = 8
    pool = sample_scenes(sampler, spare * count, torch.Generator().manual_seed(seed), outside_corners)
    exact, size, turned = pool.double(), DRAWN_SIZE // 2, looks_at_object(sampler)
    covered = coverage(exact, size, turned)
    lit = lit_fraction(exact, size, turned).nan_to_num(-1.0)
    group = covered.argsort(stable=True).argsort() * 10 // len(pool)
    order = lit.argsort(stable=True)
    order = order[group[order].argsort(stable=True)]
    return pool[order[spare // 2 :: spare]]


def corner_scenes(sampler: str, count: int = 300, seed: int = 20251) -> Tensor:
    """Held-out scenes (count, 10) on the CPU, an equal number from each of `CORNERS`, one corner after another."""
    generator = torch.Generator().manual_seed(seed)
    share, rest = divmod(count, len(CORNERS))
    return torch.cat([sample_scenes(sampler, share + (which < rest), generator, lambda s, w=which: corner_of(s) == w)
                      for which in range(len(CORNERS))])


class SceneBatches:
    """Batches rendered while training, on the device: each `iter()` is one epoch of fresh scenes, none in a corner.

    What an epoch draws depends on seed, epoch and kind of device only, so `state_dict` is small and an epoch
    broken off leaves the next one unchanged.

    Args:
        sampler: Of `sample_scenes`; the camera of "centred" looks at the sphere.
        batches_per_epoch: May be left out with `scenes`: then one pass over them, without a smaller last batch.
        scenes: (N, 10) a fixed set to draw from in a new order each epoch, instead of fresh scenes.
        quantise: Pictures in 8-bit steps, as the assignment's files.

    Yields dicts, float32: `scene` (B, 10); `input` (B, 10), the scene as `encode_scene` gives it; `image`
    (B, 3, H, W) in [0, 1]; `mask` (B, 1, H, W), 1 on the sphere.
    """

    def __init__(self, sampler: str, batch_size: int, batches_per_epoch: int | None = None, size: Size = 128,
                 seed: int = 0, device: str | torch.device = "cpu", scenes: Tensor | None = None,
                 quantise: bool = False):
        if scenes is None and batches_per_epoch is None:
            raise ValueError("fresh scenes have no end: say how many batches are an epoch")
        if scenes is not None and len(scenes) < batch_size * (batches_per_epoch or 1):
            raise ValueError(f"{len(scenes)} scenes are too few for {batches_per_epoch or 1} batches of {batch_size}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.batches_per_epoch = batches_per_epoch or len(scenes) // batch_size
        self.size = size
        self.seed = seed
        self.device = torch.device(device)
        self.scenes = None if scenes is None else scenes.to(self.device)
        self.quantise = quantise
        self.epoch = 0  # epochs begun

    def __len__(self) -> int:
        """Batches per epoch."""
        return self.batches_per_epoch

    def state_dict(self) -> dict[str, Any]:
        """Where in its stream of epochs this is; load it and the next `iter()` draws what would have come."""
        return {"seed": self.seed, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seed, self.epoch = int(state["seed"]), int(state["epoch"])

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self._epoch(epoch)

    def _epoch(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        generator = torch.Generator(self.device).manual_seed(stream_seed(self.seed, epoch, "scenes"))
        if self.scenes is not None:
            order = torch.randperm(len(self.scenes), generator=generator, device=self.device)
        for number in range(len(self)):
            if self.scenes is None:
                scene = sample_scenes(self.sampler, self.batch_size, generator, outside_corners)
            else:
                scene = self.scenes[order[number * self.batch_size : (number + 1) * self.batch_size]]
            yield scene_batch(scene, self.sampler, self.size, self.quantise)


@torch.no_grad()
def scene_batch(scene: Tensor, sampler: str, size: Size = 128, quantise: bool = False) -> dict[str, Tensor]:
    """One batch dict of given scenes (B, 10), as `SceneBatches` yields it; also for test sets."""
    image = render(scene, size, quantise, looks_at_object(sampler))
    mask = (image[:, :1] > 0).to(image)  # the ambient term makes every pixel of the sphere at least 8 / 255
    return {"scene": scene, "input": encode_scene(scene), "image": image, "mask": mask}


CENTRE = {"easy": (3.5, 3.5, 10.75), "code": (0.0, 0.0, 0.0), "centred": (0.0, 0.0, 0.0)}
BLUE, SHINE, LIGHT = (0.2, 0.5, 0.9), 10.0, (0.0, 12.0, 18.0)


def sweep_scenes(sampler: str, field: str = "light_x", steps: int = 8) -> Tensor:
    """Scenes (steps, 10), float32 on the CPU: a blue sphere where the sampler has its spheres, lit from the front and
    above, while one of `SCENE_FIELDS` goes from the lowest to the highest value the sampler draws, in equal steps.

    Spheres of "default" and "onscreen", which are everywhere, stand where those of "easy" do and move as far as they.
    Some scenes may lie in the corners that training leaves out. To be rendered as the sampler's other scenes are, see
    `looks_at_object`.

    Errors: ValueError for an unknown field or sampler.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
    if field not in SCENE_FIELDS:
        raise ValueError(f"field must be one of {', '.join(SCENE_FIELDS)}, got {field!r}")
    base = torch.tensor((*CENTRE.get(sampler, CENTRE["easy"]), *BLUE, SHINE, *LIGHT))
    place = SCENE_FIELDS.index(field)
    lowest, highest = limits(sampler if sampler in CENTRE else "easy")[:, place].tolist()
    scenes = base.repeat(steps, 1)
    scenes[:, place] = torch.linspace(lowest, highest, steps)
    return scenes
