"""Coloured point, spot and area lights above a painting that lies in the plane z = 0.

Lengths are those of the stage: the painting is 7 wide, the camera 10 above its middle. Light is measured relative to
the light of the clean picture: a matte surface that receives 1 shows the clean picture's own linear values.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from htcv_lib.data.augment import Draws

MOST_LIGHTS = 4
POINT, SPOT, AREA = range(3)
GOLDEN_ANGLE = 2.399963  # radians


class StageLights(NamedTuple):
    """L lights for each of V views. A light that is off has the colour 0."""

    position: Tensor  # (V, L, 3)
    axis: Tensor  # (V, L, 3) unit, where it shines
    colour: Tensor  # (V, L, 3) >= 0: what a surface at distance 1 that faces it receives on its axis
    radius: Tensor  # (V, L) of the shining disc; it softens the shadows
    outer: Tensor  # (V, L) cosine of half the cone's angle: beyond it is no light; below -1 there is no cone
    inner: Tensor  # (V, L) cosine within which the cone does not weaken the light
    matte: Tensor  # (V, L) 1 shines with the cosine from its axis, as a glowing sheet does; 0 the same all around


class Arriving(NamedTuple):
    """What arrives at points from lights."""

    strength: Tensor  # share of a light's colour, >= 0
    toward: tuple[Tensor, Tensor, Tensor]  # unit vector to the light, by component


def arriving(lights: StageLights, point: tuple[Tensor, ...], normal: tuple[Tensor, ...]) -> Arriving:
    r"""Light on small pieces of surface, shadows left out.

    .. math:: \frac{\max(n \cdot l, 0)}{d^2} c(-l \cdot a)

    with the distance d and direction l to the middle of the light, its axis a, and c, which falls smoothly
    (3 t^2 - 2 t^3 in the cosine) from 1 to 0 between the inner and the outer cone, times the cosine for a matte light.
    That a light has a size only shows in shadows; at distance d the irradiance of a disc of radius r differs by about
    (r / d)^2, here below 2 %.

    Args:
        lights: Fields of one shape (..., 3) or (...).
        point, normal: x, y, z of each point and of its unit normal, broadcastable to `...`.
    """
    qx, qy, qz = lights.position.unbind(-1)
    ax, ay, az = lights.axis.unbind(-1)
    dx, dy, dz = qx - point[0], qy - point[1], qz - point[2]
    near = (dx * dx + dy * dy + dz * dz).rsqrt()  # 1 / d
    dx, dy, dz = dx * near, dy * near, dz * near
    facing = (dx * normal[0] + dy * normal[1] + dz * normal[2]).clamp(min=0)
    from_axis = -(dx * ax + dy * ay + dz * az)
    ramp = ((from_axis - lights.outer) / (lights.inner - lights.outer)).clamp(0, 1)
    cone = ramp * ramp * (3 - 2 * ramp) * torch.lerp(torch.ones_like(from_axis), from_axis.clamp(min=0), lights.matte)
    return Arriving(facing * near * near * cone, (dx, dy, dz))


def shining_points(lights: StageLights, turn: Tensor, samples: int) -> Tensor:
    """Points (V, L, samples, 3) spread evenly over each light's disc, in a spiral that starts at `turn` (V, L)."""
    helper = torch.zeros_like(lights.axis)
    helper[..., 0] = 1.0
    steep = lights.axis[..., :1].abs() > 0.9
    helper = torch.where(steep, helper.roll(1, -1), helper)
    side = torch.nn.functional.normalize(torch.linalg.cross(lights.axis, helper), dim=-1)
    other = torch.linalg.cross(lights.axis, side)
    step = torch.arange(samples, device=turn.device)
    distance = lights.radius[..., None] * ((step + 0.5) / samples).sqrt()  # (V, L, S)
    angle = turn[..., None] + GOLDEN_ANGLE * step
    around = angle.cos()[..., None] * side[..., None, :] + angle.sin()[..., None] * other[..., None, :]
    return lights.position[..., None, :] + distance[..., None] * around


def draw_lights(draws: Draws) -> StageLights:
    """Two to four lights per view, 9 to 15 above the painting, aimed near its middle, of slight colour.

    A view has an overall level (most are dim, some far too bright), and each light its own strength, both
    log-uniform. A third each are points (small, no cone), spots (small, half angle 5 to 45 degrees, edge from hard to
    soft) and areas (radius 0.3 to 1.3, matte, half angle 30 to 85 degrees, soft).
    """
    count = 2 + draws.choice(MOST_LIGHTS - 1)
    level = draws.log_uniform(0.035, 6.0)
    staged = draws.chance(0.35)
    made = [_draw_light(draws, level * (slot < count), staged) for slot in range(MOST_LIGHTS)]
    return StageLights(*(torch.stack(field, dim=1) for field in zip(*made, strict=True)))


def _draw_light(draws: Draws, level: Tensor, staged: Tensor) -> StageLights:
    """One light per view whose strength straight below is about `level` (V,)."""
    kind = torch.where(staged, SPOT, draws.choice(3))
    out, around, high = 10 * draws.uniform().sqrt(), draws.uniform(0, 2 * torch.pi), draws.uniform(9, 15)
    position = torch.stack([out * around.cos(), out * around.sin(), high], dim=-1)
    aim = torch.stack([draws.uniform(-1.5, 1.5), draws.uniform(-1.5, 1.5), torch.zeros_like(high)], dim=-1)
    axis = torch.nn.functional.normalize(aim - position, dim=-1)
    spot, area = kind == SPOT, kind == AREA
    half = torch.deg2rad(torch.where(area, draws.uniform(12, 60), draws.uniform(5, 40)))
    soft = torch.where(area, torch.full_like(half, 0.9), draws.uniform(0.02, 0.9))
    outer = torch.where(spot | area, half.cos(), torch.full_like(half, -3.0))
    inner = torch.where(spot | area, torch.lerp(outer, torch.ones_like(outer), soft), torch.full_like(half, -2.0))
    strength = level * high.square() * draws.log_uniform(0.03, 1.2) * torch.where(spot, 4.0, 1.5 * area + 1.0)
    colour = pale(draws.uniform(), draws.uniform(0, 0.3)) * strength[:, None]
    radius = torch.where(area, draws.uniform(0.3, 1.3), draws.log_uniform(0.02, 0.3))
    return StageLights(position, axis, colour, radius, outer, inner, area.to(half.dtype))


def pale(hue: Tensor, saturation: Tensor) -> Tensor:
    """Colours (..., 3) of value 1 with this hue and saturation, all in [0, 1] (the hexcone model of HSV)."""
    third = torch.tensor([0.0, 2 / 3, 1 / 3], device=hue.device)
    ramp = (((hue[..., None] + third) % 1 * 6 - 3).abs() - 1).clamp(0, 1)
    return 1 - saturation[..., None] * (1 - ramp)
