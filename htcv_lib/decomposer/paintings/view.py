"""The painting as the camera sees it: its light less the shadows, past the solids that hide it."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.decomposer.paintings.lights import Arriving, StageLights, arriving, shining_points
from htcv_lib.decomposer.paintings.solids import BOX, Looks, Solids, chords, shaded
from htcv_lib.image import srgb

# The light on the painting: every lamp's own, less what solids between keep back.

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


# The painting as the camera sees it, past the solids that hide it.

FINE = 2  # lines of sight per pixel and side
CAMERA = (0.0, 0.0, 10.0)
BOUNCE = 0.12  # share of the painting's mean light that reaches solids from everywhere


class Seen(NamedTuple):
    """V views without noise."""

    view: Tensor  # (V, 3, H, W) linear, brighter than white where it is
    occlusion: Tensor  # (V, 3, H, W) in [0, 1], sRGB, colour of the part of the pixel that solids cover; else 0
    mask: Tensor  # (V, 1, H, W) in [0, 1], that part


def past_solids(painting: Tensor, irradiance: Tensor, lights: StageLights, solids: Solids, looks: Looks,
                pictures: Tensor, there: Tensor | None = None) -> Seen:
    """Solids before a painting, each over what lies below it, clear ones displacing what is seen through them.

    Solids are drawn one after the other, the lowest centre first: where two run into each other, the higher one wins.

    Args:
        painting: (V, 3, H, W), the light it sends to the camera.
        irradiance: (V, 3, H, W), of which a share comes back from below.
        lights: (V, L); solids, looks: (V, K); pictures: (N, 3, S, S) uint8 for looks that show one.
        there: (V, K) bool on the CPU, which solids there are; default: asked from the device.
    """
    there = solids.there if there is None else there
    kinds = solids.kind.to(there.device)
    around = BOUNCE * irradiance.mean((-1, -2))
    canvas = painting.repeat_interleave(FINE, -1).repeat_interleave(FINE, -2)
    covered = torch.zeros_like(canvas[:, :1])
    for k in range(solids.kind.shape[1]):
        for box in (True, False):
            rows = (there[:, k] & ((kinds[:, k] == BOX) == box)).nonzero()[:, 0].to(painting.device)
            if len(rows):
                each = Solids(*(field[rows, k] for field in solids))
                look = Looks(*(field[rows, k] for field in looks))
                _draw(canvas, covered, rows, each, look, lights, around, pictures)
    mask = F.avg_pool2d(covered, FINE)
    colour = F.avg_pool2d(canvas * covered, FINE) / mask.clamp(min=1e-6)
    return Seen(F.avg_pool2d(canvas, FINE), srgb(colour.clamp(0, 1)) * (mask > 0), mask)


def _draw(canvas: Tensor, covered: Tensor, rows: Tensor, solids: Solids, looks: Looks, lights: StageLights,
          around: Tensor, pictures: Tensor) -> None:
    """Draws one solid (n,) into each of the views `rows` of a canvas (V, 3, H, W), in place."""
    side = canvas.shape[-1]
    grid = plane_grid(side, canvas.device)
    camera = torch.tensor(CAMERA, device=canvas.device)
    across = grid.expand(len(rows), -1)
    found = chords(solids, camera.expand(len(rows), 3), across, -across)
    n, row, column = (found.leave > found.enter).nonzero(as_tuple=True)
    view = rows[n]
    line = torch.stack([grid[column], -grid[row], torch.zeros_like(grid[row])], dim=1) - camera
    point = camera + found.enter[n, row, column][:, None] * line
    look = shaded(point, Solids(*(field[n] for field in solids)), Looks(*(field[n] for field in looks)),
                  StageLights(*(field[view] for field in lights)), around[view], -F.normalize(line, dim=1), pictures)
    right, up = (look.shift * (side / PAINTING)).round().long().unbind(1)
    behind = canvas[view, :, (row - up).clamp(0, side - 1), (column + right).clamp(0, side - 1)]
    canvas[view, :, row, column] = look.colour + look.through * behind
    covered[view, :, row, column] = 1.0
