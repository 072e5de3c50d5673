"""The renderer of the assignment: one Phong-shaded unit sphere, computed exactly for every pixel centre."""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.image import Size, height_width

# A scene of one unit sphere and one light, and where the sphere lies in the camera's picture.
#
# Picture coordinates are in pixels, x to the right and y down from the top left corner, so the centre of
# the first pixel is (0.5, 0.5). Camera coordinates are right, up, forward from the eye, in world units.

SCENE_FIELDS = ("object_x", "object_y", "object_z", "diffuse_r", "diffuse_g", "diffuse_b", "shininess",
                "light_x", "light_y", "light_z")
RADIUS = 1.0  # of the sphere; the formulas use that it is one
EYE = (5.0, 5.0, 15.0)  # the camera looks at the origin, up is (0, 1, 0)
HALF_FIELD = math.tan(math.radians(45) / 2)  # half the picture's height at distance 1: the field of view is 45 degrees
NEAR, FAR = 0.1, 1000.0  # depths along the camera's forward axis between which surfaces are drawn


class Scene(NamedTuple):
    """The parts of scene vectors, in world units."""
    position: Tensor   # (B, 3)  of the sphere's centre
    diffuse: Tensor    # (B, 3)  red, green, blue in [0, 1]
    shininess: Tensor  # (B, 1)  exponent of the highlight
    light: Tensor      # (B, 3)  position of the light


class Seen(NamedTuple):
    """A scene in camera coordinates."""
    centre: Tensor  # (B, 3)  of the sphere, from the eye
    light: Tensor   # (B, 3)  of the light, from the sphere's centre


class Projected(NamedTuple):
    """The sphere in the picture; it may lie outside."""
    centre: Tensor  # (B, 2)  x, y where the sphere's centre appears; NaN when that is not in front of the eye
    box: Tensor     # (B, 4)  x0, y0, x1, y1, see `outline_box`


def split_scene(scene: Tensor) -> Scene:
    """The parts of `scene` (B, 10); columns are named by `SCENE_FIELDS`."""
    if scene.dim() != 2 or scene.shape[1] != len(SCENE_FIELDS):
        raise ValueError(f"a scene is (B, {len(SCENE_FIELDS)}), got {tuple(scene.shape)}")
    return Scene(*scene.split((3, 3, 1, 3), dim=1))


def look_along(forward: Tensor) -> Tensor:
    """Axes right, up, forward (..., 3, 3) of cameras with forward (..., 3), kept upright in the world.

    Looking straight up or down, where "upright" has no meaning, the top of the picture is towards -z.
    """
    forward = F.normalize(forward, dim=-1)
    upright = forward.new_tensor((0.0, 1.0, 0.0)).expand_as(forward)
    steep = forward[..., 1:2].abs() > 1 - 1e-6
    upright = torch.where(steep, forward.new_tensor((0.0, 0.0, -1.0)), upright)
    right = F.normalize(torch.linalg.cross(forward, upright), dim=-1)
    return torch.stack((right, torch.linalg.cross(right, forward), forward), dim=-2)


def seen(scene: Tensor, camera_at_object: bool = False) -> Seen:
    """`scene` (B, 10) as the camera has it; with `camera_at_object` it looks at the sphere, not the origin."""
    position, _, _, light = split_scene(scene)
    eye = scene.new_tensor(EYE)
    axes = look_along(position - eye if camera_at_object else -eye)  # (B, 3, 3) or (3, 3)
    return Seen(*((axes @ vector.unsqueeze(-1)).squeeze(-1) for vector in (position - eye, light - position)))


def positions(pixel: Tensor, size: Size) -> Tensor:
    """Where the centres of pixels (..., 2), given as column and row, are: x to the right and y up, float64.

    In half picture heights from the picture's centre: the middle of the upper edge is (0, 1), at any resolution.
    """
    height, width = height_width(size)
    column, row = pixel.double().unbind(-1)
    return torch.stack((2 * column + 1 - width, height - 1 - 2 * row), dim=-1) / height


def pixel_grid(size: Size) -> Tensor:
    """`positions` of all pixels, row by row: (H * W, 2)."""
    height, width = height_width(size)
    return positions(torch.cartesian_prod(torch.arange(height), torch.arange(width)).flip(1), size)


@lru_cache(maxsize=16)
def pixel_rays(size: tuple[int, int], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Unit directions (3, H * W) through the pixel centres, in camera coordinates, row by row."""
    with torch.inference_mode(False):  # kept between calls, so not to be an inference tensor
        grid = pixel_grid(size).T * HALF_FIELD
        return F.normalize(torch.cat((grid, torch.ones_like(grid[:1]))), dim=0).to(device, dtype)


def to_pixels(point: Tensor, size: Size) -> Tensor:
    """Pixel x, y (..., 2) of points (..., 3) in camera coordinates; NaN when not in front of the eye."""
    height, width = height_width(size)
    depth = torch.where(point[..., 2:] > 0, point[..., 2:], torch.nan)
    slope = point[..., :2] / depth / HALF_FIELD * (height / 2)
    return torch.stack((width / 2 + slope[..., 0], height / 2 - slope[..., 1]), dim=-1)


def outline_box(centre: Tensor, size: Size) -> Tensor:
    """Box (B, 4) around the outline of unit spheres with `centre` (B, 3) in camera coordinates.

    The whole picture when the sphere reaches the plane of the eye; NaN when all of it is nearer than the near plane or
    behind. Its sides come from the planes through the eye that touch the sphere and are upright (x0, x1) or level
    (y0, y1): their slopes are (c z +- sqrt(c^2 + z^2 - 1)) / (z^2 - 1) with c the centre's x or y.
    """
    height, width = height_width(size)
    c, z = centre[:, :2], centre[:, 2:]
    ahead = z > RADIUS * (1 + 1e-4)  # all of the sphere is in front of the plane of the eye
    safe = torch.where(ahead, z, 2.0)
    reach = (c * c + safe * safe - 1).sqrt()
    low, high = ((c * safe + sign * reach) / (safe * safe - 1) / HALF_FIELD * (height / 2) for sign in (-1, 1))
    box = torch.stack((width / 2 + low[:, 0], height / 2 - high[:, 1], width / 2 + high[:, 0], height / 2 - low[:, 1]),
                      dim=1)
    box = torch.where(ahead, box, box.new_tensor((0, 0, width, height)))
    return torch.where(z + RADIUS < NEAR, torch.nan, box)


def projected(scene: Tensor, size: Size = 128, camera_at_object: bool = False) -> Projected:
    """Where the spheres of `scene` (B, 10) lie in a picture of `size`, in pixels."""
    centre = seen(scene, camera_at_object).centre
    return Projected(to_pixels(centre, size), outline_box(centre, size))


# The shading.
#
# .. math:: \mathrm{clamp}(0.1 \cdot 0.3 + k \max(N \cdot L, 0) + \max(R \cdot V, 0)^s, 0, 1)
#
# k is the diffuse colour, s the shininess, R = 2 (N.L) N - L. As in the assignment's shader the highlight
# is not switched off where N.L < 0, so a light behind the sphere gives it a bright rim, and nothing gets
# weaker with distance. Outside the sphere the picture is black.
#
# Only the near surface exists, as with back-face culling: a camera inside the sphere sees nothing, and a
# hit outside the near and far plane is black. A light inside the sphere leaves the ambient term, and where
# R.V > 0 a highlight.
#
# Against the assignment's rasteriser: a pixel counts if its centre lies inside the outline, which is also
# a rasteriser's rule with one sample a pixel. What differs is its mesh, a polyhedron with corners on the
# sphere and interpolated normals: its outline lies inside ours, by up to about 1 - cos(pi / n) of the radius for
# n segments around. n is not known, so there is no option to imitate it.

AMBIENT = 0.1 * 0.3  # of the light, of the material
CHUNK = 256  # scenes measured at once


class Rays(NamedTuple):
    """The K pixels in the boxes around the spheres of a batch, and their rays' way through the sphere."""
    scene: Tensor  # (K,)    which of the B scenes
    pixel: Tensor  # (K,)    which of the H * W pixels
    ray: Tensor    # (3, K)  unit direction, camera coordinates
    foot: Tensor   # (3, K)  the ray's point nearest to the sphere's centre, from that centre
    half: Tensor   # (K,)    half the chord inside the sphere; 1 without a hit
    hit: Tensor    # (K,)    bool


def render(scene: Tensor, size: Size = 128, quantise: bool = False, camera_at_object: bool = False) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1] of `scene` (B, 10), on its device and in its precision.

    Differentiable in the scene, except that the outline is sharp: a pixel is in or out.

    Args:
        size: H = W, or (H, W); the field of view is that of the height.
        quantise: Round to multiples of 1/255 as the 8-bit framebuffer does; the gradient is then zero.
        camera_at_object: The camera stays where it is and looks at the sphere, not at the origin.
    """
    size, view = height_width(size), seen(scene, camera_at_object)
    pixels = size[0] * size[1]
    rays = trace(view.centre, size)
    cosine, highlight = shade(rays, view, split_scene(scene).shininess)
    diffuse = at(split_scene(scene).diffuse, rays.scene)
    colour = torch.addcmul(AMBIENT + highlight, diffuse, cosine.clamp_min(0)).clamp(0, 1)
    colour = torch.where(rays.hit, colour, 0)
    place = rays.scene * (3 * pixels) + rays.pixel + pixels * torch.arange(3, device=scene.device)[:, None]
    image = scene.new_zeros(len(scene) * 3 * pixels).scatter_(0, place.view(-1), colour.view(-1))
    image = image.view(len(scene), 3, *size)
    return (image * 255).round() / 255 if quantise else image


def trace(centre: Tensor, size: tuple[int, int]) -> Rays:
    """Rays through the boxes around unit spheres with `centre` (B, 3) in camera coordinates.

    The distance of the ray from the centre is the length of `foot`, so no large numbers are subtracted and
    float32 does for spheres far away.
    """
    scene, pixel = boxed_pixels(centre, size)
    ray = pixel_rays(size, centre.device, centre.dtype).index_select(1, pixel)
    away = at(centre, scene)
    along = (ray * away).sum(0)  # from the eye to the foot
    foot = torch.addcmul(-away, along, ray)
    inside = 1 - (foot * foot).sum(0)
    half = torch.where(inside > 0, inside, 1).sqrt()
    depth = (along - half) * ray[2]
    return Rays(scene, pixel, ray, foot, half, (inside > 0) & (depth >= NEAR) & (depth <= FAR))


@torch.no_grad()
def boxed_pixels(centre: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(scene (K,), pixel (K,)): every pixel that a sphere's box touches, scene by scene, row by row."""
    width, limit = size[1], torch.tensor(size[::-1], device=centre.device)
    box = outline_box(centre, size).nan_to_num(-1.0).clamp(-2, 2 + max(size))
    first = (box[:, :2] - 0.5).floor().long().clamp(limit * 0, limit)  # (B, 2), column and row
    columns, rows = ((box[:, 2:] + 0.5).ceil().long().clamp(limit * 0, limit) - first).clamp_min(0).unbind(1)
    rows = rows * ((columns > 0) & ~beyond_the_sides(centre, size))

    scene_of_row = runs(rows)
    row = torch.arange(len(scene_of_row), device=centre.device) + (first[:, 1] - starts(rows))[scene_of_row]
    columns = columns[scene_of_row]
    row_of_pixel = runs(columns)
    begin = row * width + first[scene_of_row, 0] - starts(columns)
    pixel = torch.arange(len(row_of_pixel), device=centre.device) + begin.index_select(0, row_of_pixel)
    return scene_of_row.index_select(0, row_of_pixel), pixel


def beyond_the_sides(centre: Tensor, size: tuple[int, int]) -> Tensor:
    """(B,) bool: spheres wholly on the outer side of a plane through the eye and a side of the picture."""
    slope = centre.new_tensor((HALF_FIELD * size[1] / size[0], HALF_FIELD))
    return (centre[:, :2].abs() - slope * centre[:, 2:] > 1.001 * (1 + slope**2).sqrt()).any(1)


def runs(counts: Tensor) -> Tensor:
    """0 counts[0] times, 1 counts[1] times, and so on."""
    return torch.arange(len(counts), device=counts.device).repeat_interleave(counts)


def starts(counts: Tensor) -> Tensor:
    """Where each run of `counts` (N,) begins when they are laid one after another."""
    return counts.cumsum(0) - counts


def at(values: Tensor, scene: Tensor) -> Tensor:
    """`values` (B, C) of the scenes that pixels belong to: (C, K). Gathered, as that is quick both ways."""
    return values.T.contiguous().gather(1, scene.expand(values.shape[1], -1))


def shade(rays: Rays, view: Seen, shininess: Tensor) -> tuple[Tensor, Tensor]:
    """(N.L, max(R.V, 0)^s), each (K,); with `half` h, normal N = foot - h ray and V = -ray, so N.V = h."""
    light = at(view.light, rays.scene)
    along = (rays.ray * light).sum(0)
    over = (rays.foot * light).sum(0) - rays.half * along  # N . light
    distance2 = (light * light).sum(0) - 2 * over + 1  # from the surface to the light
    inverse = distance2.clamp_min(1e-12).rsqrt()
    cosine = ((over - 1) * inverse).clamp(-1, 1)
    mirrored = 2 * cosine * rays.half + (along + rays.half) * inverse  # R . V
    return cosine, mirrored.clamp(0, 1).pow(at(shininess, rays.scene)[0])


def render_plain(scene: Tensor, size: Size = 128, camera_at_object: bool = False) -> Tensor:
    """`render` as one writes it down first: every pixel of every scene, three-vectors in world coordinates.

    For tests and for comparing speed.
    """
    height, width = height_width(size)
    position, diffuse, shininess, light = (part[:, None, None] for part in split_scene(scene))  # (B, 1, 1, 3)
    eye = scene.new_tensor(EYE)
    right, up, forward = look_along(position - eye if camera_at_object else -eye.expand_as(position)).unbind(-2)
    x = ((torch.arange(width).to(scene) + 0.5) * 2 / width - 1) * HALF_FIELD * width / height
    y = (1 - (torch.arange(height).to(scene) + 0.5) * 2 / height) * HALF_FIELD
    ray = F.normalize(forward + x[:, None] * right + y[:, None, None] * up, dim=-1)  # (B, H, W, 3)

    half_b = dot(ray, eye - position)
    discriminant = half_b**2 - dot(eye - position, eye - position) + 1
    t = -half_b - discriminant.clamp_min(1e-12).sqrt()
    depth = t * dot(ray, forward)
    hit = (discriminant > 0) & (depth >= NEAR) & (depth <= FAR)

    surface = eye + t * ray
    normal = surface - position
    to_light = F.normalize(light - surface, dim=-1)
    cosine = dot(normal, to_light)
    mirrored = 2 * cosine * normal - to_light
    highlight = dot(mirrored, -ray).clamp_min(0) ** shininess
    colour = (AMBIENT + diffuse * cosine.clamp_min(0) + highlight).clamp(0, 1)
    return torch.where(hit, colour, 0).permute(0, 3, 1, 2)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of the last dimension, which stays with length 1."""
    return (a * b).sum(-1, keepdim=True)


@torch.no_grad()
def silhouette(scene: Tensor, size: Size = 128, camera_at_object: bool = False) -> Tensor:
    """Mask (B, 1, H, W), bool: the pixels `render` draws the sphere in."""
    size = height_width(size)
    rays = trace(seen(scene, camera_at_object).centre, size)
    mask = torch.zeros(len(scene), 1, *size, dtype=torch.bool, device=scene.device)
    mask.view(-1)[(rays.scene * (size[0] * size[1]) + rays.pixel)[rays.hit]] = True
    return mask


def coverage(scene: Tensor, size: Size = 128, camera_at_object: bool = False) -> Tensor:
    """(B,) share of the picture that the sphere covers, in [0, 1]."""
    height, width = height_width(size)
    return counts(scene, size, camera_at_object)[0] / (height * width)


def lit_fraction(scene: Tensor, size: Size = 128, camera_at_object: bool = False) -> Tensor:
    """(B,) share of the sphere's pixels that get diffuse light (N.L > 0); NaN when it has no pixel."""
    covered, lit = counts(scene, size, camera_at_object)
    return lit / covered


@torch.no_grad()
def counts(scene: Tensor, size: Size = 128, camera_at_object: bool = False) -> tuple[Tensor, Tensor]:
    """(covered (B,), lit (B,)): pixels the sphere covers, and those of them with N.L > 0."""
    found = []
    for part in scene.split(CHUNK):
        view = seen(part, camera_at_object)
        rays = trace(view.centre, height_width(size))
        lit = rays.hit & (shade(rays, view, split_scene(part).shininess)[0] > 0)
        found.append([part.new_zeros(len(part)).index_add(0, rays.scene, marks.to(part)) for marks in (rays.hit, lit)])
    covered, lit = zip(*found, strict=True) if found else ([scene[:, 0]], [scene[:, 0]])
    return torch.cat(covered), torch.cat(lit)
