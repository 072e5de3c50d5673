import math

import pytest
import torch
from htcv_lib.data.highlight import highlight_position

from htcv_lib.neural_renderer.phong import EYE, look_along, projected, seen, shade, silhouette, split_scene, trace
from htcv_lib.neural_renderer.scenes import sample_scenes

FORWARD = torch.tensor([-x / math.sqrt(275) for x in EYE], dtype=torch.float64)
RIGHT = torch.tensor([3.0, 0.0, -1.0], dtype=torch.float64) / math.sqrt(10)


def ahead(distance, sideways=0.0):
    return torch.tensor(EYE, dtype=torch.float64) + distance * FORWARD + sideways * RIGHT


def scene(position, light):
    rest = torch.tensor([0.5, 0.5, 0.5, 10.0], dtype=torch.float64)
    return torch.cat((position, rest, light))[None]


def test_the_camera_is_the_one_of_a_look_at_matrix():
    axes = look_along(-torch.tensor(EYE, dtype=torch.float64))
    assert torch.allclose(axes @ axes.T, torch.eye(3, dtype=torch.float64))
    assert torch.allclose(axes[0], RIGHT) and torch.allclose(axes[2], FORWARD) and axes[1, 1] > 0.9
    down = look_along(torch.tensor([0.0, -1.0, 0.0]))
    assert torch.allclose(down @ down.T, torch.eye(3)) and down[1].tolist() == [0, 0, -1]


def test_a_point_of_known_angle_lands_where_the_field_of_view_says():
    # 45 degrees from the lower to the upper edge; 2 to the right at distance 10, in a picture of 60 x 80
    found = projected(scene(ahead(10, sideways=2), ahead(0)), (60, 80))
    assert found.centre[0].tolist() == pytest.approx([40 + 0.2 / math.tan(math.pi / 8) * 30, 30])
    straight = projected(scene(ahead(10), ahead(0)), (60, 80))
    radius = 1 / math.sqrt(99) / math.tan(math.pi / 8) * 30  # the outline is wider than the radius at the centre
    assert straight.box[0].tolist() == pytest.approx([40 - radius, 30 - radius, 40 + radius, 30 + radius])


def test_boxes_close_around_the_pixels_drawn():
    scenes = sample_scenes("easy", 12, torch.Generator().manual_seed(1)).double()
    boxes = projected(scenes, (160, 200)).box
    for mask, (x0, y0, x1, y1) in zip(silhouette(scenes, (160, 200))[:, 0], boxes.tolist(), strict=True):
        rows, columns = mask.any(1).nonzero()[:, 0] + 0.5, mask.any(0).nonzero()[:, 0] + 0.5
        edges = ((columns[0], max(x0, 0)), (200 - columns[-1], 200 - min(x1, 200)),
                 (rows[0], max(y0, 0)), (160 - rows[-1], 160 - min(y1, 160)))
        assert all(0 <= drawn - edge < 1.5 for drawn, edge in edges)


def test_spheres_at_and_behind_the_camera_have_the_boxes_stated():
    light = ahead(0)
    at, behind = (projected(scene(place, light), (60, 80)) for place in (ahead(0.5, 2.0), ahead(-3)))
    assert at.box[0].tolist() == [0, 0, 80, 60] and at.centre.isfinite().all()
    assert behind.box.isnan().all() and behind.centre.isnan().all()
    turned = projected(scene(ahead(-3), light), (60, 80), camera_at_object=True)
    assert turned.centre[0].tolist() == pytest.approx([40, 30])


def mirrored(scenes, place, size, camera_at_object):
    """R.V (B,) where the rays through pixel coordinates `place` (B, 2) meet the spheres, in world coordinates."""
    position, _, _, light = split_scene(scenes)
    eye, (height, width) = scenes.new_tensor(EYE), size
    right, up, forward = look_along(position - eye if camera_at_object else -eye.expand_as(position)).unbind(1)
    x, y = ((place - place.new_tensor((width, height)) / 2) * 2 / height * math.tan(math.pi / 8)).split(1, dim=1)
    ray = torch.nn.functional.normalize(forward + x * right - y * up, dim=1)
    along = ((position - eye) * ray).sum(1, keepdim=True)
    foot = eye + along * ray
    surface = foot - (1 - (foot - position).square().sum(1, keepdim=True)).sqrt() * ray
    to_light = torch.nn.functional.normalize(light - surface, dim=1)
    normal = surface - position
    reflected = 2 * (normal * to_light).sum(1, keepdim=True) * normal - to_light
    return -(reflected * ray).sum(1)


def brightest(scenes, size, camera_at_object):
    """Pixel centre (B, 2) of the largest R.V, that value (B,), and there N.V (B,), by looking at all pixels."""
    view = seen(scenes, camera_at_object)
    rays = trace(view.centre, size)
    value = shade(rays, view, torch.ones_like(split_scene(scenes).shininess))[1].where(rays.hit, -1.0)
    best = torch.stack([torch.where(rays.scene == i, value, -1.0).argmax() for i in range(len(scenes))])
    pixel = rays.pixel[best]
    return torch.stack((pixel % size[1], pixel // size[1]), dim=1) + 0.5, value[best], rays.half[best]


@pytest.mark.parametrize("sampler", ["easy", "centred"])
def test_the_highlight_is_where_the_light_is_mirrored_to_the_camera(sampler):
    size, turned = (200, 240), sampler == "centred"
    scenes = sample_scenes(sampler, 40, torch.Generator().manual_seed(3)).double()
    if turned:  # near enough to have pixels to look at
        eye = torch.tensor(EYE, dtype=torch.float64)
        scenes[:, :3] = eye + 4 * torch.nn.functional.normalize(scenes[:, :3] - eye)
    place = highlight_position(scenes, size, turned)
    there = ~place.isnan().any(1)
    assert 10 < there.sum() < 40
    assert mirrored(scenes[there], place[there], size, turned).min() > 1 - 1e-9
    expected, most, facing = brightest(scenes, size, turned)
    clear = there & (facing > 0.4)  # at the rim one pixel is a long way on the sphere
    assert (place - expected)[clear].norm(dim=1).max() < 1 and clear.sum() > 8
    box = projected(scenes, size, turned).box
    inside = (box[:, :2] > 3).all(1) & (box[:, 2] < size[1] - 3) & (box[:, 3] < size[0] - 3)
    hidden = ~there & inside
    assert hidden.any() and most[hidden].max() < 0.9999  # nowhere is R = V


def test_the_highlight_of_a_light_in_line_with_the_camera_is_in_the_middle():
    assert highlight_position(scene(ahead(5), ahead(-2)), (60, 80))[0].tolist() == pytest.approx([40, 30])


def test_there_is_no_highlight_to_point_at_when_it_is_hidden_or_outside():
    hidden = torch.cat((
        scene(ahead(5), ahead(20)),  # the light is behind the sphere
        scene(ahead(5), ahead(5.2)),  # in it
        scene(ahead(-5), ahead(0)),  # the sphere is behind the camera
        scene(ahead(10, sideways=8), ahead(0)),  # beside the picture
        scene(ahead(0.5), ahead(8)),  # around the camera
        scene(ahead(1.05), ahead(-2)),  # nearer than the near plane
    ))
    assert highlight_position(hidden, (60, 80)).isnan().all()
