"""The painting as the camera sees it, past the solids that hide it."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.decomposer.paintings.lights import PAINTING, StageLights, plane_grid
from htcv_lib.decomposer.paintings.solids import BOX, Looks, Solids, chords, shaded
from htcv_lib.image import to_srgb

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
    return Seen(F.avg_pool2d(canvas, FINE), to_srgb(colour) * (mask > 0), mask)


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
