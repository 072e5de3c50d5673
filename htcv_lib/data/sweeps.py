"""Rows of scenes in which one number moves and the others stay."""

import torch
from torch import Tensor

from htcv_lib.data.scene_view import SCENE_FIELDS
from htcv_lib.data.scenes import LIGHT_REACH, SAMPLERS, SHININESS

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
    low, high = SAMPLERS[sampler if sampler in CENTRE else "easy"]
    lowest = (*low, 0, 0, 0, SHININESS[0], *(-LIGHT_REACH,) * 3)[place]
    highest = (*high, 1, 1, 1, SHININESS[1], *(LIGHT_REACH,) * 3)[place]
    scenes = base.repeat(steps, 1)
    scenes[:, place] = torch.linspace(lowest, highest, steps)
    return scenes
