"""Convex solids that float above the painting, and what they look like."""

from typing import NamedTuple

import torch
from torch import Tensor

from htcv_lib.data.augment import Draws
from htcv_lib.decomposer.paintings.lights import StageLights, arriving, pale
from htcv_lib.image import linear

# Convex solids that float above the painting, and where lines pass through them.
#
# In its own unit space every solid is simple: an ellipsoid is the unit ball; a cylinder and a dome (a paraboloid, round
# at the top and flat below) end at z = -1 and 1; a box is the cube from -1 to 1. Lines of sight and lines of light are
# the same thing here: they run from one point, the camera or a place on a lamp, to points of the plane z = 0.

MOST_SOLIDS = 3
ELLIPSOID, CYLINDER, DOME, BOX = range(4)
CURVES = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])  # k0, k1, k2 by kind
LOW, HIGH = 0.15, 1.15  # half axes
TOP = 5.2  # highest centre


class Solids(NamedTuple):
    """K solids for each of V views (or any other leading shape), those with lower centres first."""

    kind: Tensor  # (V, K) int64, ELLIPSOID ... BOX
    centre: Tensor  # (V, K, 3)
    frame: Tensor  # (V, K, 3, 3): frame @ (point - centre) is the point in unit space
    there: Tensor  # (V, K) bool


class Chords(NamedTuple):
    """Where lines go in and out of solids; 0 at the line's start, 1 on the plane z = 0. No hit: leave <= enter."""

    enter: Tensor  # (N, H, W)
    leave: Tensor  # (N, H, W)


def chords(solids: Solids, start: Tensor, x: Tensor, y: Tensor) -> Chords:
    r"""The part of each line that lies within a solid, one solid for N bundles of lines.

    Round ones are what :math:`u_x^2 + u_y^2 + k_2 u_z^2 + k_1 u_z \le k_0` and :math:`|u_z| \le 1` have in common, in
    unit space; a box is three slabs.

    Args:
        solids: Leading shape (N,), all of them boxes or none.
        start: (N, 3), above the solids.
        x, y: (N, W) and (N, H), where on the plane the lines end.
    """
    rest = (solids.frame @ start[:, :, None])[:, :, 0]
    begin = rest - (solids.frame @ solids.centre[:, :, None])[:, :, 0]  # (N, 3) the start in unit space
    right = solids.frame[:, :, 0, None] * x[:, None]  # (N, 3, W)
    down = solids.frame[:, :, 1, None] * y[:, None] - rest[:, :, None]  # (N, 3, H)
    go = [right[:, i, None, :] + down[:, i, :, None] for i in range(3)]  # the way to the plane, each (N, H, W)
    begin = begin.T[..., None, None]  # (3, N, 1, 1)
    if (solids.kind == BOX).all():
        spans = [_slab(begin[i], go[i]) for i in range(3)]
        enter = torch.maximum(torch.maximum(spans[0][0], spans[1][0]), spans[2][0])
        return Chords(enter, torch.minimum(torch.minimum(spans[0][1], spans[1][1]), spans[2][1]))
    k0, k1, k2 = (k[:, None, None] for k in CURVES.to(start.device)[solids.kind].unbind(-1))
    a = (go[0] * go[0]).addcmul_(go[1], go[1]).addcmul_(k2 * go[2], go[2]).clamp_(min=1e-9)
    b = (begin[0] * go[0]).addcmul_(begin[1].expand_as(a), go[1]).addcmul_(k2 * begin[2] + k1 / 2, go[2])
    c = begin[0].square() + begin[1].square() + k2 * begin[2].square() + k1 * begin[2] - k0
    root = (b * b).addcmul_(a, c, value=-1).clamp_(min=0).sqrt_()
    near, far = _slab(begin[2], go[2])
    middle, half = b.div_(a).neg_(), root.div_(a)
    return Chords(torch.maximum(middle - half, near), torch.minimum(middle + half, far))


def _slab(begin: Tensor, go: Tensor) -> tuple[Tensor, Tensor]:
    """Where lines enter and leave the space between -1 and 1 of one axis."""
    pace = (go + 1e-9).reciprocal()
    middle, half = -begin * pace, pace.abs()
    return middle - half, middle + half


def normals(solids: Solids, point: Tensor) -> Tensor:
    """Outward unit normals (M, 3) at points (M, 3) of the surfaces of M solids."""
    unit = (solids.frame @ (point - solids.centre)[:, :, None])[:, :, 0]
    _, k1, k2 = CURVES.to(point.device)[solids.kind].unbind(-1)
    side = torch.stack([unit[:, 0], unit[:, 1], k2 * unit[:, 2] + k1 / 2], dim=1)
    end = torch.zeros_like(unit)
    end[:, 2] = unit[:, 2].sign()
    flat = (unit[:, 2].abs() > 1 - 1e-3) & (solids.kind != ELLIPSOID)
    slope = torch.where(flat[:, None], end, side)
    face = torch.nn.functional.one_hot(unit.abs().argmax(1), 3) * unit.sign()
    slope = torch.where((solids.kind == BOX)[:, None], face, slope)
    return torch.nn.functional.normalize((solids.frame.mT @ slope[:, :, None])[:, :, 0], dim=1)


def draw_solids(draws: Draws) -> Solids:
    """None to three solids per view, of any kind, proportions and direction, clear of the painting."""
    count = draws.choice(MOST_SOLIDS + 1)
    made = [_draw_solid(draws, slot < count) for slot in range(MOST_SOLIDS)]
    solids = Solids(*(torch.stack(field, dim=1) for field in zip(*made, strict=True)))
    order = solids.centre[..., 2].argsort(dim=1)
    rows = torch.arange(len(order), device=order.device)[:, None]
    return Solids(*(field[rows, order] for field in solids))


def _draw_solid(draws: Draws, there: Tensor) -> Solids:
    kind = draws.choice(4)
    half = torch.stack([draws.uniform(LOW, HIGH) for _ in range(3)], dim=-1)
    turn = rotation(draws.uniform(), draws.uniform(), draws.uniform())
    x, y, lift = draws.uniform(-3.3, 3.3), draws.uniform(-3.3, 3.3), draws.uniform()
    bottom = half.norm(dim=-1) + 0.1  # no solid touches the painting, however it is turned
    centre = torch.stack([x, y, torch.lerp(bottom, torch.full_like(bottom, TOP), lift)], dim=-1)
    return Solids(kind, centre, turn / half[..., None], there)


def rotation(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """Uniform rotations (..., 3, 3) from three uniform numbers (Shoemake, Graphics Gems III, 1992)."""
    a, b = (2 * torch.pi * second), (2 * torch.pi * third)
    low, high = (1 - first).sqrt(), first.sqrt()
    x, y, z, w = low * a.sin(), low * a.cos(), high * b.sin(), high * b.cos()
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
            2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
            2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


# What floating solids look like: colours, stripes and pictures, clear to opaque, with highlights.

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
    stored = linear(pictures[looks.picture, :, row, column])
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
