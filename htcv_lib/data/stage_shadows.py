"""The light on the painting: every lamp's own, less what solids between keep back."""

import torch
from torch import Tensor

from htcv_lib.data.solids import BOX, Solids, chords
from htcv_lib.data.stage_lights import Arriving, StageLights, arriving, shining_points

PAINTING = 7.0  # width and height of the painting
GROUP = 2**18  # tests of a line against a solid done at once on a CPU: few enough for its cache
GROUP_CUDA = 2**24  # and on a GPU: enough to keep it busy, in half a gigabyte


def plane_grid(size: int, device: str | torch.device = "cpu") -> Tensor:
    """(size,) places of the pixels' centres along the painting's width, from -3.5 to 3.5; rows count down from 3.5."""
    return ((torch.arange(size, device=device) + 0.5) / size - 0.5) * PAINTING


def on_painting(lights: StageLights, size: int) -> Arriving:
    """What arrives at the painting, shadows left out: fields (V, L, size, size) of lights (V, L)."""
    grid = plane_grid(size, lights.radius.device)
    spread = StageLights(*(field[:, :, None, None] for field in lights))
    zero = torch.zeros((), device=grid.device)
    return arriving(spread, (grid, -grid[:, None], zero), (zero, zero, zero + 1))


def shadows(lights: StageLights, solids: Solids, cast: Tensor, turn: Tensor, size: int, samples: int = 12,
            both: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """The share of each light that reaches each pixel of the painting, (V, L, 3, size, size) in [0, 1].

    A light is `samples` places on its disc; each looks at another place within the pixel, which smooths sharp edges.
    Solids behind each other let through the product of their shares, also in half shadows.

    Args:
        lights: (V, L); solids: (V, K).
        cast: (V, K, 3), the share of each colour that a solid lets through.
        turn: (V, L) radians, where each light's spiral of places starts.
        both: (V, L) and (V, K) on the CPU, which lights and solids are there; default: asked from the device.
    """
    device = turn.device
    places = shining_points(lights, turn, samples)  # (V, L, S, 3)
    lit, there = (lights.colour.amax(-1) > 0, solids.there) if both is None else both
    x, y = _within_pixels(size, samples, device)
    reach = torch.ones(*turn.shape, 3, size, size, device=device)
    kinds = solids.kind.to(there.device)
    for k in range(solids.kind.shape[1]):
        for box in (True, False):
            view, light = (lit & (there[:, k] & ((kinds[:, k] == BOX) == box))[:, None]).nonzero().to(device).T
            some = max(1, (GROUP if device.type == "cpu" else GROUP_CUDA) // (samples * size * size))
            for start in range(0, len(view), some):
                v, i = view[start : start + some], light[start : start + some]
                each = Solids(*(field[v, k].repeat_interleave(samples, 0) for field in solids))
                found = chords(each, places[v, i].flatten(0, 1), x.repeat(len(v), 1), y.repeat(len(v), 1))
                hidden = (found.leave > found.enter).view(len(v), samples, size, size).sum(1) / samples
                reach[v, i] *= 1 - hidden[:, None] * (1 - cast[v, k])[..., None, None]
    return reach


def _within_pixels(size: int, samples: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(samples, size) places x and y on the painting, one within each pixel for every sample, evenly spread."""
    step = torch.arange(samples, device=device)[:, None]
    steps = (0.7548777, 0.5698403)  # of the R2 sequence: inverse powers of the root of x^3 = x + 1
    offsets = [((step * share + 0.5) % 1 - 0.5) * (PAINTING / size) for share in steps]
    grid = plane_grid(size, device)
    return grid + offsets[0], -grid + offsets[1]
