"""The renderer, against a ray marched in plain Python and against cases worked by hand."""

import math

import pytest
import torch

from htcv_lib.neural_renderer.phong import (
    EYE,
    coverage,
    lit_fraction,
    look_along,
    projected,
    render,
    render_plain,
    silhouette,
)
from htcv_lib.neural_renderer.scenes import sample_scenes

FORWARD = [-x / math.sqrt(275) for x in EYE]  # the camera looks at the origin
RIGHT = [3 / math.sqrt(10), 0.0, -1 / math.sqrt(10)]  # upright, so level, and perpendicular to forward


def scene(position, light=(20, 20, 20), diffuse=(0.2, 0.4, 0.6), shininess=5.0, dtype=torch.float64):
    return torch.tensor([[*position, *diffuse, shininess, *light]], dtype=dtype)


def ahead(distance, sideways=0.0):
    """A point in front of the camera."""
    return [e + distance * f + sideways * r for e, f, r in zip(EYE, FORWARD, RIGHT, strict=True)]


def draw(sampler, count, seed=0):
    return sample_scenes(sampler, count, torch.Generator().manual_seed(seed))


def unit(vector):
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def cross(a, b):
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def marched(values, height, width, camera_at_object=False):
    """One scene in Python floats: steps along each ray as long as the surface is far; returns [H][W][rgb]."""
    centre, diffuse, shininess, light = values[:3], values[3:6], values[6], values[7:]
    target = centre if camera_at_object else (0.0, 0.0, 0.0)
    forward = unit([t - e for t, e in zip(target, EYE, strict=True)])
    right = unit(cross(forward, [0.0, 1.0, 0.0]))
    up = cross(right, forward)
    picture = [[[0.0] * 3 for _ in range(width)] for _ in range(height)]
    if math.dist(EYE, centre) <= 1:
        return picture  # from inside one sees back faces only, and those are culled
    tangent = math.tan(math.pi / 8)
    for row in range(height):
        for column in range(width):
            x = (2 * (column + 0.5) / width - 1) * tangent * width / height
            y = (1 - 2 * (row + 0.5) / height) * tangent
            ray = unit([f + x * r + y * u for f, r, u in zip(forward, right, up, strict=True)])
            travelled, point = 0.0, list(EYE)
            for _ in range(2000):
                gap = math.dist(point, centre) - 1
                if gap < 1e-13 or travelled > 100:
                    break
                travelled += gap
                point = [e + travelled * d for e, d in zip(EYE, ray, strict=True)]
            depth = travelled * sum(d * f for d, f in zip(ray, forward, strict=True))
            if travelled > 100 or not 0.1 <= depth <= 1000:
                continue
            normal = unit([p - c for p, c in zip(point, centre, strict=True)])
            to_light = unit([a - p for a, p in zip(light, point, strict=True)])
            to_eye = unit([e - p for e, p in zip(EYE, point, strict=True)])
            facing = sum(n * a for n, a in zip(normal, to_light, strict=True))
            reflected = [2 * facing * n - a for n, a in zip(normal, to_light, strict=True)]
            highlight = max(sum(a * b for a, b in zip(reflected, to_eye, strict=True)), 0.0) ** shininess
            picture[row][column] = [min(max(0.03 + k * max(facing, 0.0) + highlight, 0.0), 1.0) for k in diffuse]
    return picture


def assert_as_marched(scenes, size=(7, 9), camera_at_object=False):
    expected = torch.tensor([marched(values, *size, camera_at_object) for values in scenes.double().tolist()])
    image = render(scenes.double(), size, camera_at_object=camera_at_object)
    assert torch.allclose(image, expected.permute(0, 3, 1, 2).double(), atol=1e-6)
    return image


def test_the_pixel_in_the_middle_worked_by_hand():
    # a sphere at the origin; the middle ray meets it where N = V; the light stands 60 degrees from N
    normal, across = [-f for f in FORWARD], [1 / math.sqrt(2), -1 / math.sqrt(2), 0.0]
    light = [n + 10 * (0.5 * n + math.sqrt(0.75) * a) for n, a in zip(normal, across, strict=True)]
    image = render(scene((0, 0, 0), light, shininess=3.0), (3, 5))
    # N.L = R.V = 1/2: 0.1 * 0.3 + k / 2 + 1/8
    assert image[0, :, 1, 2].tolist() == pytest.approx([0.255, 0.355, 0.455], abs=1e-12)


def test_it_agrees_with_a_ray_marched_in_plain_python():
    image = assert_as_marched(draw("easy", 3))
    assert (image > 0).any(1).float().mean() > 0.1
    assert_as_marched(draw("centred", 2, seed=1), (9, 7), camera_at_object=True)


@pytest.mark.parametrize("sampler", ["default", "easy", "onscreen", "centred"])
def test_the_fast_and_the_plain_form_agree(sampler):
    scenes, turned = draw(sampler, 24, seed=2), sampler == "centred"
    exact = render_plain(scenes.double(), (24, 32), turned)
    assert torch.allclose(render(scenes.double(), (24, 32), camera_at_object=turned), exact, atol=1e-9)
    assert torch.allclose(render(scenes, (24, 32), camera_at_object=turned).double(), exact, atol=5e-4)


def test_float32_is_enough_far_away():
    far = scene((-20, -20, -20), light=(-10, 5, 3), dtype=torch.float32)
    exact = render(far.double(), 64, camera_at_object=True)
    fast, plain = (form(far, 64, camera_at_object=True) for form in (render, render_plain))
    assert (exact > 0).any() and (fast - exact).abs().max() < 1e-4
    assert (fast - exact).abs().max() < (plain - exact).abs().max()  # b^2 - c loses digits


def test_one_side_gives_a_square_picture_and_one_scene_does_not_change_another():
    scenes = draw("easy", 3).double()
    together = render(scenes, 16)
    assert together.shape == (3, 3, 16, 16)
    assert all(torch.equal(render(scenes[i : i + 1], 16)[0], together[i]) for i in range(3))
    assert render(scenes[:0], 16).shape == (0, 3, 16, 16)


def test_the_near_plane_cuts_the_sphere():
    nearly, beyond = scene(ahead(1.05)), scene(ahead(1.15))
    assert render(nearly, (7, 9)).max() == 0  # 0.05 away, wholly cut off; what lies behind are back faces
    assert render(beyond, (7, 9)).min() > 0  # 0.15 away, fills the picture
    partly = scene(ahead(1.05, sideways=0.3))
    assert 0 < coverage(partly, (7, 9)).item() < 1  # every ray meets the sphere, some before the plane
    assert_as_marched(partly)


def test_a_camera_inside_the_sphere_sees_nothing():
    inside = torch.cat((scene(ahead(0.5)), scene(EYE), scene(ahead(-0.5))))
    for camera_at_object in (False, True):
        assert render(inside, (7, 9), camera_at_object=camera_at_object).eq(0).all()


def test_a_sphere_behind_the_camera_is_not_drawn():
    behind = torch.cat((scene(ahead(-3)), scene(ahead(-0.8, sideways=0.7)), scene(ahead(-1.2, sideways=0.2))))
    assert render(behind, (7, 9)).eq(0).all() and render_plain(behind, (7, 9)).eq(0).all()
    assert render(behind[:1], (7, 9), camera_at_object=True).max() > 0  # unless the camera turns round


def test_a_sphere_beside_the_picture_is_black_and_one_at_its_edge_is_cut():
    beside, edge = scene(ahead(10, sideways=7)), scene(ahead(10, sideways=4.3))
    assert render(beside, 9).eq(0).all() and coverage(beside, 9).item() == 0
    mask = silhouette(edge, 64)[0, 0]
    assert mask[:, -1].any() and not mask[:, 0].any()  # to the right


def test_a_light_inside_the_sphere_leaves_the_ambient_term_and_the_highlight():
    image = assert_as_marched(scene(ahead(4), light=ahead(4.1, sideways=0.3)))
    assert torch.equal(image[0, 0], image[0, 2])  # no diffuse colour
    central = render(scene(ahead(4), light=ahead(4)), (7, 9))
    assert central[central > 0].unique().tolist() == pytest.approx([0.03])
    assert lit_fraction(scene(ahead(4), light=ahead(4.1)), 9).item() == 0


def test_a_light_behind_the_sphere_brightens_its_rim_as_the_shader_does_not_switch_it_off():
    behind = scene(ahead(6), light=ahead(30))
    image = assert_as_marched(behind, (15, 15))
    assert lit_fraction(behind, 15).item() == 0 and image.max() > 0.2
    assert image[0, :, 7, 7].tolist() == pytest.approx([0.03] * 3)  # R = -V in the middle


def test_the_gradient_is_that_of_finite_differences():
    scenes = draw("easy", 2, seed=4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: render(s, (5, 7)), scenes)
    turned = draw("centred", 1, seed=5).double()
    turned[:, :3] = torch.tensor(ahead(4, sideways=-6))  # big enough for a few pixels
    assert torch.autograd.gradcheck(lambda s: render(s, (5, 7), camera_at_object=True), turned.requires_grad_())


def test_every_scene_gets_a_finite_gradient_even_in_odd_places():
    odd = torch.cat((scene(EYE), scene(ahead(-2)), scene(ahead(1.0)), scene(ahead(4), light=ahead(4)),
                     scene(ahead(4), light=ahead(3)), scene((5, 1, 15)))).requires_grad_()
    for camera_at_object in (False, True):
        image = render(odd, 15, camera_at_object=camera_at_object)
        gradient, = torch.autograd.grad(image.sum(), odd)
        assert image.isfinite().all() and gradient.isfinite().all()


def test_quantised_values_are_the_nearest_multiples_of_one_255th():
    scenes = draw("easy", 2)
    steps = render(scenes, (16, 20), quantise=True) * 255
    assert torch.allclose(steps, steps.round(), atol=1e-4)
    assert (steps / 255 - render(scenes, (16, 20))).abs().max() <= 0.5 / 255 + 1e-6


def test_silhouette_coverage_and_lit_fraction_count_the_pixels_drawn():
    scenes = draw("easy", 4, seed=6)
    image, mask = render(scenes, (24, 32)), silhouette(scenes, (24, 32))
    assert mask.shape == (4, 1, 24, 32) and torch.equal(mask[:, 0], (image > 0).any(1))
    assert torch.allclose(coverage(scenes, (24, 32)), mask.float().mean((1, 2, 3)))
    green = scenes.clone()
    green[:, 3:6] = torch.tensor([0.0, 0.5, 0.0])
    picture = render(green, (24, 32))
    lit = (picture[:, 1] > picture[:, 0]).sum((1, 2))  # greener than grey: diffuse light falls there
    saturated = (picture[:, 0] == 1).sum((1, 2))  # or the highlight hides it
    share = (lit_fraction(scenes, (24, 32)) * mask.sum((1, 2, 3))).round()
    assert (share >= lit).all() and (share <= lit + saturated).all() and lit.sum() > 20
    assert lit_fraction(scene(ahead(-3)), 9).isnan().all()


def test_many_scenes_are_measured_in_parts():
    scenes = draw("easy", 300)
    assert torch.equal(coverage(scenes, 8)[256:], coverage(scenes[256:], 8))
    assert coverage(scenes[:0], 8).shape == (0,)


def test_other_vectors_are_refused():
    with pytest.raises(ValueError, match=r"a scene is \(B, 10\), got \(4, 9\)"):
        render(torch.zeros(4, 9))


def test_the_camera_is_the_one_of_a_look_at_matrix():
    axes = look_along(-torch.tensor(EYE, dtype=torch.float64))
    assert torch.allclose(axes @ axes.T, torch.eye(3, dtype=torch.float64))
    assert axes[0].tolist() == pytest.approx(RIGHT) and axes[2].tolist() == pytest.approx(FORWARD) and axes[1, 1] > 0.9
    down = look_along(torch.tensor([0.0, -1.0, 0.0]))
    assert torch.allclose(down @ down.T, torch.eye(3)) and down[1].tolist() == [0, 0, -1]


def test_a_point_of_known_angle_lands_where_the_field_of_view_says():
    # 45 degrees from the lower to the upper edge; 2 to the right at distance 10, in a picture of 60 x 80
    found = projected(scene(ahead(10, sideways=2)), (60, 80))
    assert found.centre[0].tolist() == pytest.approx([40 + 0.2 / math.tan(math.pi / 8) * 30, 30])
    straight = projected(scene(ahead(10)), (60, 80))
    radius = 1 / math.sqrt(99) / math.tan(math.pi / 8) * 30  # the outline is wider than the radius at the centre
    assert straight.box[0].tolist() == pytest.approx([40 - radius, 30 - radius, 40 + radius, 30 + radius])


def test_boxes_close_around_the_pixels_drawn():
    scenes = draw("easy", 12, seed=1).double()
    boxes = projected(scenes, (160, 200)).box
    for mask, (x0, y0, x1, y1) in zip(silhouette(scenes, (160, 200))[:, 0], boxes.tolist(), strict=True):
        rows, columns = mask.any(1).nonzero()[:, 0] + 0.5, mask.any(0).nonzero()[:, 0] + 0.5
        edges = ((columns[0], max(x0, 0)), (200 - columns[-1], 200 - min(x1, 200)),
                 (rows[0], max(y0, 0)), (160 - rows[-1], 160 - min(y1, 160)))
        assert all(0 <= drawn - edge < 1.5 for drawn, edge in edges)


def test_spheres_at_and_behind_the_camera_have_the_boxes_stated():
    at, behind = (projected(scene(place), (60, 80)) for place in (ahead(0.5, 2.0), ahead(-3)))
    assert at.box[0].tolist() == [0, 0, 80, 60] and at.centre.isfinite().all()
    assert behind.box.isnan().all() and behind.centre.isnan().all()
    turned = projected(scene(ahead(-3)), (60, 80), camera_at_object=True)
    assert turned.centre[0].tolist() == pytest.approx([40, 30])
