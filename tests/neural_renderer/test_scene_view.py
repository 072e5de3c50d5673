import math

import pytest
import torch

from htcv_lib.neural_renderer.phong import EYE, look_along, projected, silhouette
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
