"""Model-matched sequences: views that the reports' own formula explains exactly, made of soft shapes."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from htcv_lib.data.augment import Draws, picture_draws, picture_generator
from htcv_lib.data.textures import Textures
from htcv_lib.decomposer.layers import check_order
from htcv_lib.decomposer.paintings.lights import pale
from htcv_lib.decomposer.paintings.lit import clean_picture

# Discs, polygons and bands as distances to their outlines; units are half the picture's side.

DISC, POLYGON, BAND = range(3)
MOST_SIDES = 6


class Shapes(NamedTuple):
    """One shape for each of V views; the picture reaches from -1 to 1."""

    kind: Tensor  # (V,) int64, DISC, POLYGON or BAND
    x: Tensor  # (V,) of the middle, to the right
    y: Tensor  # (V,) down
    size: Tensor  # (V,) radius, of a polygon that of the inscribed circle, of a band half the width
    turn: Tensor  # (V,) radians
    stretch: Tensor  # (V,) length over width, at least 1
    sides: Tensor  # (V,) int64, of a polygon, 3 to MOST_SIDES


def draw_shapes(draws: Draws, smallest: float, largest: float) -> Shapes:
    """Random shapes with middles in the picture; sizes log-uniform, stretched by up to 2.2."""
    return Shapes(draws.choice(3), draws.uniform(-1, 1), draws.uniform(-1, 1), draws.log_uniform(smallest, largest),
                  draws.uniform(0, 2 * torch.pi), draws.uniform(1, 2.2), 3 + draws.choice(MOST_SIDES - 2))


def local_grid(shapes: Shapes, size: int) -> tuple[Tensor, Tensor]:
    """Places of the pixels in each shape's own axes, along and across, each (V, size, size); its size is 1."""
    grid = (torch.arange(size, device=shapes.x.device) + 0.5) * (2 / size) - 1
    dx, dy = grid - shapes.x.view(-1, 1, 1), grid[:, None] - shapes.y.view(-1, 1, 1)
    cos, sin = shapes.turn.cos().view(-1, 1, 1), shapes.turn.sin().view(-1, 1, 1)
    wide, tall = (shapes.size * shapes.stretch).view(-1, 1, 1), shapes.size.view(-1, 1, 1)
    return (dx * cos + dy * sin) / wide, (dy * cos - dx * sin) / tall


def distance(shapes: Shapes, along: Tensor, across: Tensor) -> Tensor:
    """(V, H, W), negative within a shape, 0 on its outline; in sizes of the shape (across, where it is stretched)."""
    kind = shapes.kind.view(-1, 1, 1)
    disc, band = (along.square() + across.square()).sqrt() - 1, across.abs() - 1
    corner = torch.full_like(disc, -torch.inf)
    for side in range(MOST_SIDES):
        angle = 2 * torch.pi * side / shapes.sides
        reach = angle.cos().view(-1, 1, 1) * along + angle.sin().view(-1, 1, 1) * across - 1
        corner = torch.maximum(corner, reach)  # sides beyond the last repeat earlier ones
    return torch.where(kind == DISC, disc, torch.where(kind == POLYGON, corner, band))


# Model-matched sequences: views that the reports' own formula explains exactly.
#
# A clean picture o, a shadow s and a light l of one channel, a binary mask m and the colour r of what occludes:
# "light_last", where(m, r, o s + l), is how the reports' model composes; "light_first", where(m, r, (o + l) s), is how
# they made pseudo-labels. Stored values, not linear light; no physics. What sequence number i of a seed looks like
# depends on nothing else.

NUMBERS = 128  # uniform numbers per view
MOST = 3  # shadows, lights and occluders of a view
FULL = 0.05  # share of a lobe that may meet white


class MatchedSequence(NamedTuple):
    """T views of one picture and the layers that compose them, exact in float32."""

    image: Tensor  # (3, T, H, W) in [0, 1]
    original: Tensor  # (3, 1, H, W) in [0, 1], multiples of 1 / 255
    mask: Tensor  # (1, T, H, W), 0 or 1
    occlusion: Tensor  # (3, T, H, W) in [0, 1], multiples of 1 / 255; 0 where nothing occludes
    shadow: Tensor  # (1, T, H, W) in [0, 1], multiplied; a float16 each
    light: Tensor  # (1, T, H, W) in [0, 1], added; a float16 each
    chosen: int  # which picture of the bank


@dataclass(frozen=True)
class MatchedSequences:
    """The generator: pictures of one split, of the size that the views get, on a device.

    Light is nowhere more than what the brightest colour leaves up to white, so no view is clipped: truth and views
    agree without rounding. A lobe is made so weak that it is cut at no more than 5 % of its pixels, but not weaker
    than 0.1: before bright pictures light is cut more often.

    Args:
        textures: Clean pictures; also what occluders may be covered with.
        order: "light_last" or "light_first".

    Errors: ValueError for another order.
    """

    textures: Textures
    order: str = "light_last"
    views: int = 10
    seed: int = 0
    device: str | torch.device = "cpu"

    def __post_init__(self):
        check_order(self.order)
        object.__setattr__(self, "bank", self.textures.pictures.to(self.device))

    @torch.no_grad()
    def sequence(self, index: int) -> MatchedSequence:
        """Sequence number `index` of this seed."""
        chosen, mirrored = clean_picture(self.textures, self.seed, index)
        generators = [picture_generator(self.seed, index, f"matched view {t}") for t in range(self.views)]
        draws = picture_draws(generators, NUMBERS, self.device)
        stored = self.bank[chosen].flip(-1) if mirrored else self.bank[chosen]
        original, size = stored.float() / 255, stored.shape[-1]
        shadow = as_stored(draw_shadow(draws, size))  # (T, 1, H, W)
        below = original * shadow if self.order == "light_last" else original.expand(self.views, -1, -1, -1)
        light = as_stored(within(draw_lobes(draws, size), 1 - below.amax(1, keepdim=True)))
        mask, occlusion = draw_occluders(draws, self.bank)
        relit = original * shadow + light if self.order == "light_last" else (original + light) * shadow
        image = torch.where(mask > 0, occlusion, relit)
        fields = (image, original[None], mask, occlusion, shadow, light)
        return MatchedSequence(*(field.transpose(0, 1) for field in fields), chosen)


def draw_shadow(draws: Draws, size: int) -> Tensor:
    """(V, 1, size, size): the product of one to three soft shapes that leave 15 to 90 % of the light.

    Edges fade over 2 to 60 % of a shape's size. One view in eight is unshadowed, and one in four dim everywhere.
    """
    shadow = torch.where(draws.chance(0.25), draws.uniform(0.3, 1), 1.0).view(-1, 1, 1).expand(-1, size, size)
    count = (1 + draws.choice(MOST)) * ~draws.chance(0.125)
    for slot in range(MOST):
        shapes, left = draw_shapes(draws, 0.15, 0.8), draws.uniform(0.15, 0.9)
        softness = draws.log_uniform(0.02, 0.6).view(-1, 1, 1)
        inside = torch.sigmoid(-4 * distance(shapes, *local_grid(shapes, size)) / softness)
        shadow = shadow * (1 - ((1 - left) * (slot < count)).view(-1, 1, 1) * inside)
    return shadow[:, None]


def draw_lobes(draws: Draws, size: int) -> Tensor:
    """(V, 1, size, size) in [0, 0.9]: the largest of none to three smooth lobes of light."""
    light = torch.zeros(1, 1, 1, device=draws.numbers.device)
    count = draws.choice(MOST + 1)
    for slot in range(MOST):
        shapes, strength = draw_shapes(draws, 0.15, 0.9), draws.uniform(0.1, 0.9) * (slot < count)
        along, across = local_grid(shapes, size)
        light = torch.maximum(light, strength.view(-1, 1, 1) * torch.exp(-0.7 * (along.square() + across.square())))
    return light[:, None]


def within(light: Tensor, room: Tensor) -> Tensor:
    """Light (V, 1, H, W), made weaker and then cut, so that it is nowhere more than `room` (V, 1, H, W)."""
    bright = light > 0.25 * light.amax((-2, -1), keepdim=True)
    ratio = torch.where(bright, room / light.clamp(min=1e-6), torch.inf).flatten(1)
    most = ratio.kthvalue(max(1, int(FULL * ratio.shape[1])), dim=1).values.view(-1, 1, 1, 1)
    least = 0.1 / light.amax((-2, -1), keepdim=True).clamp(min=1e-6)
    scaled = light * torch.maximum(most, least).clamp(max=1)
    return torch.minimum(scaled, room.clamp(min=0))


def draw_occluders(draws: Draws, bank: Tensor) -> tuple[Tensor, Tensor]:
    """Mask (V, 1, H, W), 0 or 1, and colour (V, 3, H, W) of none to three opaque shapes before each other.

    Each is plain, striped, shaded from one colour to another, or shows a picture of the bank (N, 3, H, W) uint8.
    """
    size, views = bank.shape[-1], len(draws.numbers)
    mask = torch.zeros(views, 1, size, size, device=bank.device)
    colour = torch.zeros(views, 3, size, size, device=bank.device)
    count = draws.choice(MOST + 1)
    for slot in range(MOST):
        shapes = draw_shapes(draws, 0.08, 0.4)
        shapes = shapes._replace(kind=shapes.kind.clamp(max=1))  # no bands: they would cross the whole picture
        along, across = local_grid(shapes, size)
        inside = ((distance(shapes, along, across) < 0) & (slot < count).view(-1, 1, 1))[:, None]
        first, second = ((pale(draws.uniform(), draws.uniform()) * draws.uniform(0.1, 1)[:, None])[..., None, None]
                         for _ in range(2))
        pattern = draws.choice(4).view(-1, 1, 1, 1)
        wave = torch.where(pattern == 1, (along * draws.uniform(1, 5).view(-1, 1, 1)).floor()[:, None] % 2,
                           (along[:, None] + 1) / 2)
        plain = torch.lerp(first, second, torch.where(pattern == 0, 0.0, wave.clamp(0, 1)))
        shown = torch.where(pattern == 3, bank[draws.choice(len(bank))].float() / 255, plain)
        colour = torch.where(inside, (shown * 255).round() / 255, colour)
        mask = torch.where(inside, 1.0, mask)
    return mask, colour


def as_stored(layer: Tensor) -> Tensor:
    """float32 values that float16 holds exactly, rounded towards 0 so that what fits goes on fitting."""
    near = layer.half().float()
    return torch.where(near > layer, (layer * (1 - 2**-10)).half().float(), near)
