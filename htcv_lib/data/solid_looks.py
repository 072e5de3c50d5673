"""What floating solids look like: colours, stripes and pictures, clear to opaque, with highlights."""

from typing import NamedTuple

import torch
from torch import Tensor

from htcv_lib.data.draws import Draws
from htcv_lib.data.linear_light import to_linear
from htcv_lib.data.solids import MOST_SOLIDS, Solids, normals
from htcv_lib.data.stage_lights import StageLights, arriving, pale

PLAIN, STRIPES, CHECKS, PICTURE = range(4)


class Looks(NamedTuple):
    """One look for each of (V, K) solids."""

    colour: Tensor  # (V, K, 3) linear albedo
    second: Tensor  # (V, K, 3) of the other stripes or squares
    pattern: Tensor  # (V, K) int64, PLAIN ... PICTURE
    scale: Tensor  # (V, K) stripes over the solid
    picture: Tensor  # (V, K) int64, number of a picture of the bank
    opacity: Tensor  # (V, K) 1 is opaque
    tint: Tensor  # (V, K, 3) share of each colour that passes where it is clear
    bend: Tensor  # (V, K) how far it displaces what is seen through it; 0 is not at all
    gloss: Tensor  # (V, K) strength of the highlight
    shine: Tensor  # (V, K) exponent of the highlight

    def cast(self) -> Tensor:
        """(V, K, 3), the share of each colour in its shadow's light; bent light mostly goes elsewhere."""
        straight = (1 - self.opacity) * torch.where(self.bend > 0, 0.35, 1.0)
        return straight[..., None] * self.tint


def draw_looks(draws: Draws, pictures: int) -> Looks:
    """Random looks, half of them opaque, of the others three in five bend what is behind; `pictures` in the bank."""
    made = [_draw_look(draws, pictures) for _ in range(MOST_SOLIDS)]
    return Looks(*(torch.stack(field, dim=1) for field in zip(*made, strict=True)))


def _draw_look(draws: Draws, pictures: int) -> Looks:
    colour, second = (pale(draws.uniform(), draws.uniform(0.1, 1)) * draws.log_uniform(0.04, 0.9)[:, None]
                      for _ in range(2))
    pattern = draws.choice(6)
    pattern = torch.where(pattern > PICTURE, PLAIN, pattern)
    opaque, bent = draws.chance(0.5), draws.chance(0.6)
    opacity, bend = draws.uniform(0.02, 0.7), draws.uniform(0.2, 1.2)
    tint = pale(draws.uniform(), draws.uniform(0.05, 0.9)) * draws.uniform(0.5, 1.0)[:, None]
    return Looks(colour, second, pattern, draws.uniform(1, 6), draws.choice(pictures),
                 torch.where(opaque, torch.ones_like(opacity), opacity), tint, torch.where(bent, bend, 0 * bend),
                 draws.log_uniform(0.01, 0.3), draws.log_uniform(8, 400))


def albedo(looks: Looks, unit: Tensor, pictures: Tensor) -> Tensor:
    """(M, 3) linear colours of M points given in unit space, of M looks; `pictures` (N, 3, S, S) uint8."""
    wave = unit * looks.scale[:, None]
    other = torch.where(looks.pattern == STRIPES, wave[:, 0].floor() % 2, wave.floor().sum(1) % 2) > 0
    two = (looks.pattern == STRIPES) | (looks.pattern == CHECKS)
    colour = torch.where((two & other)[:, None], looks.second, looks.colour)
    side = pictures.shape[-1]
    column, row = (((unit[:, i] * 0.5 + 0.5) * side).long().clamp(0, side - 1) for i in (0, 1))
    stored = to_linear(pictures[looks.picture, :, row, column])
    return torch.where((looks.pattern == PICTURE)[:, None], stored, colour)


def highlight(toward: tuple[Tensor, ...], normal: tuple[Tensor, ...], eye: tuple[Tensor, ...], shine: Tensor) -> Tensor:
    r"""The normalised lobe of Blinn and Phong, :math:`\frac{s + 8}{8} \max(n \cdot h, 0)^s`, h half-way between.

    Vectors to the light, of the surface and to the eye by component, all unit; a factor of the irradiance.
    Source: J. F. Blinn, Models of light reflection, 1977; the factor as in Real-Time Rendering.
    """
    hx, hy, hz = (light + view for light, view in zip(toward, eye, strict=True))
    length = (hx * hx + hy * hy + hz * hz).clamp(min=1e-9).rsqrt()
    along = ((hx * normal[0] + hy * normal[1] + hz * normal[2]) * length).clamp(1e-4, 1)
    return (shine + 8) / 8 * (along.log() * shine).exp()


class Shaded(NamedTuple):
    """M points of solids as the camera sees them."""

    colour: Tensor  # (M, 3) linear light they send
    through: Tensor  # (M, 3) share of what is behind
    shift: Tensor  # (M, 2) by how much, on the painting, what is seen through them is displaced (x, y)


def shaded(point: Tensor, solids: Solids, looks: Looks, lights: StageLights, around: Tensor, eye: Tensor,
           pictures: Tensor) -> Shaded:
    """Points (M, 3) of M solids with M looks under lights (M, L); solids cast no shadows on each other.

    Args:
        around: (M, 3), light that comes from everywhere, as from the painting below.
        eye: (M, 3), unit vectors to the camera.
    """
    normal = normals(solids, point)
    n, p, e = normal.T[..., None], point.T[..., None], eye.T[..., None]  # each (3, M, 1)
    light = arriving(lights, tuple(p), tuple(n))  # strength (M, L)
    diffuse = (light.strength[..., None] * lights.colour).sum(1) + around
    lobe = highlight(light.toward, tuple(n), tuple(e), looks.shine[:, None]) * light.strength
    shine = (lobe[..., None] * lights.colour).sum(1) * looks.gloss[:, None]
    unit = (solids.frame @ (point - solids.centre)[:, :, None])[:, :, 0]
    own = looks.opacity[:, None] * albedo(looks, unit, pictures) * diffuse
    facing = (normal * eye).sum(1).clamp(0, 1)
    rim = torch.where(looks.bend > 0, 0.35 + 0.65 * facing, torch.ones_like(facing))  # bent light is lost at the rim
    through = ((1 - looks.opacity) * rim)[:, None] * looks.tint
    return Shaded(own + shine, through, -normal[:, :2] * looks.bend[:, None])
