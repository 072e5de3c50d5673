"""A scene of one unit sphere and one light, and where the sphere lies in the camera's picture.

Picture coordinates are in pixels, x to the right and y down from the top left corner, so the centre of
the first pixel is (0.5, 0.5). Camera coordinates are right, up, forward from the eye, in world units.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SCENE_FIELDS = ("object_x", "object_y", "object_z", "diffuse_r", "diffuse_g", "diffuse_b", "shininess",
                "light_x", "light_y", "light_z")
RADIUS = 1.0  # of the sphere; the formulas here and in phong.py use that it is one
EYE = (5.0, 5.0, 15.0)  # the camera looks at the origin, up is (0, 1, 0)
HALF_FIELD = math.tan(math.radians(45) / 2)  # half the picture's height at distance 1: the field of view is 45 degrees
NEAR, FAR = 0.1, 1000.0  # depths along the camera's forward axis between which surfaces are drawn

Size = int | tuple[int, int]  # H = W, or (H, W)


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
    box: Tensor     # (B, 4)  x0, y0, x1, y1 around the outline; the whole picture when the sphere reaches the plane
    #                         of the eye, NaN when all of it is nearer than the near plane or behind


def split_scene(scene: Tensor) -> Scene:
    """The parts of `scene` (B, 10); columns are named by `SCENE_FIELDS`."""
    if scene.dim() != 2 or scene.shape[1] != len(SCENE_FIELDS):
        raise ValueError(f"a scene is (B, {len(SCENE_FIELDS)}), got {tuple(scene.shape)}")
    return Scene(*scene.split((3, 3, 1, 3), dim=1))


def height_width(size: Size) -> tuple[int, int]:
    """(H, W) of a size given as one side or as both."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


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


@lru_cache(maxsize=16)
def pixel_rays(size: tuple[int, int], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Unit directions (3, H * W) through the pixel centres, in camera coordinates, row by row."""
    height, width = size
    with torch.inference_mode(False):  # kept between calls, so not to be an inference tensor
        x = (2 * torch.arange(width, dtype=torch.float64) + 1 - width) / height * HALF_FIELD
        y = (height - 1 - 2 * torch.arange(height, dtype=torch.float64)) / height * HALF_FIELD
        rays = torch.stack((x.expand(height, -1), y[:, None].expand(-1, width), torch.ones(size, dtype=x.dtype)))
        return F.normalize(rays, dim=0).flatten(1).to(device, dtype)


def to_pixels(point: Tensor, size: Size) -> Tensor:
    """Pixel x, y (..., 2) of points (..., 3) in camera coordinates; NaN when not in front of the eye."""
    height, width = height_width(size)
    depth = torch.where(point[..., 2:] > 0, point[..., 2:], torch.nan)
    slope = point[..., :2] / depth / HALF_FIELD * (height / 2)
    return torch.stack((width / 2 + slope[..., 0], height / 2 - slope[..., 1]), dim=-1)


def outline_box(centre: Tensor, size: Size) -> Tensor:
    """Box (B, 4) around the outline of unit spheres with `centre` (B, 3) in camera coordinates.

    Its sides come from the planes through the eye that touch the sphere and are upright (x0, x1) or level
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
