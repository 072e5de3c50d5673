"""Where the highlight of a sphere appears: the point that mirrors the light into the camera."""

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.data.scene_view import FAR, NEAR, Size, height_width, seen, to_pixels

HALVINGS = 50  # of an angle of at most pi, in float64


@torch.no_grad()
def highlight_position(scene: Tensor, size: Size = 128, camera_at_object: bool = False) -> Tensor:
    """Pixel x, y (B, 2) where R.V = 1, so where the highlight is brightest.

    NaN where there is no such point to be seen: the light is inside the sphere or behind it, the camera is
    inside, or the point lies outside the picture or nearer than the near plane. The bright rim that a light
    behind the sphere gives is no such point.

    The normal there halves the angle between the directions to light and eye (Alhazen's problem). All three
    lie in one plane with the centre; the angle from the eye's direction to the normal is found by bisection.
    """
    centre, light = (vector.double() for vector in seen(scene, camera_at_object))
    to_eye = F.normalize(-centre, dim=1)
    eye_distance, light_distance = centre.norm(dim=1), light.norm(dim=1)
    forward = (light * to_eye).sum(1)
    sideways = light - forward[:, None] * to_eye
    between = torch.atan2(sideways.norm(dim=1), forward)  # angle at the centre from the eye to the light

    low, high = torch.zeros_like(between), between
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        beyond = slant(middle, eye_distance) > slant(between - middle, light_distance)
        low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
    angle = (low + high) / 2

    normal = angle.cos()[:, None] * to_eye + angle.sin()[:, None] * F.normalize(sideways, dim=1)
    point = centre + normal
    place = to_pixels(point, size)
    height, width = height_width(size)
    within = ((place >= 0) & (place <= place.new_tensor((width, height)))).all(1)
    facing = (eye_distance * angle.cos() > 1) & (light_distance * (between - angle).cos() > 1)
    drawn = (point[:, 2] >= NEAR) & (point[:, 2] <= FAR)
    there = facing & within & drawn & (eye_distance > 1) & (light_distance > 1)
    return torch.where(there[:, None], place, torch.nan).to(scene)


def slant(angle: Tensor, distance: Tensor) -> Tensor:
    """At the surface point `angle` away: the angle between its normal and a thing `distance` from the centre."""
    return torch.atan2(distance * angle.sin(), distance * angle.cos() - 1)
