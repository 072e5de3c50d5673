"""Convex solids that float above the painting, and where lines pass through them.

In its own unit space every solid is simple: an ellipsoid is the unit ball; a cylinder and a dome (a paraboloid, round
at the top and flat below) end at z = -1 and 1; a box is the cube from -1 to 1. Lines of sight and lines of light are
the same thing here: they run from one point, the camera or a place on a lamp, to points of the plane z = 0.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from htcv_lib.data.draws import Draws

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
