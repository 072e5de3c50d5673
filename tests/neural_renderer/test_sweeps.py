import pytest
import torch

from htcv_lib.neural_renderer.phong import SCENE_FIELDS, coverage, lit_fraction, split_scene
from htcv_lib.neural_renderer.scenes import SAMPLERS, looks_at_object, sweep_scenes


@pytest.mark.parametrize(("sampler", "field", "first", "last"), [
    ("easy", "light_x", -20, 20),
    ("code", "light_z", -20, 20),
    ("easy", "shininess", 3, 20),
    ("centred", "diffuse_b", 0, 1),
    ("easy", "object_x", 2, 5),
    ("easy", "object_z", 9, 12.5),
    ("code", "object_y", -4, 4),
    ("centred", "object_z", -20, 20),
    ("onscreen", "object_z", 9, 12.5),  # there spheres move as those of easy
])
def test_one_number_takes_equal_steps_through_its_range_and_the_others_stay(sampler, field, first, last):
    scenes = sweep_scenes(sampler, field, 5)
    assert scenes.shape == (5, len(SCENE_FIELDS)) and scenes.dtype == torch.float32
    place = SCENE_FIELDS.index(field)
    step = (last - first) / 4
    assert scenes[:, place].tolist() == pytest.approx([first + step * number for number in range(5)], abs=1e-5)
    others = [other for other in range(len(SCENE_FIELDS)) if other != place]
    assert (scenes[:, others] == scenes[0, others]).all()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_sphere_that_stays_is_blue_in_sight_and_mostly_lit(sampler):
    scene = sweep_scenes(sampler, "shininess", 1)
    red, green, blue = split_scene(scene).diffuse[0].tolist()
    assert 0 < red < green < blue < 1
    turned = looks_at_object(sampler)
    assert coverage(scene, 64, turned).item() > 0.01
    assert lit_fraction(scene, 64, turned).item() > 0.8


@pytest.mark.parametrize(("sampler", "where"), [
    ("easy", [3.5, 3.5, 10.75]), ("default", [3.5, 3.5, 10.75]), ("onscreen", [3.5, 3.5, 10.75]),
    ("code", [0, 0, 0]), ("centred", [0, 0, 0]),
])
def test_it_stands_in_the_middle_of_the_samplers_spheres(sampler, where):
    assert split_scene(sweep_scenes(sampler)).position.tolist() == [where] * 8


def test_the_light_walks_from_left_to_right_over_the_picture():
    light = split_scene(sweep_scenes("easy", steps=3)).light
    assert light.tolist() == [[-20, 12, 18], [0, 12, 18], [20, 12, 18]]


def test_an_unknown_sampler_is_refused():
    with pytest.raises(ValueError, match="sampler must be one of default, .*, got 'medium'"):
        sweep_scenes("medium")


def test_an_unknown_field_is_refused():
    with pytest.raises(ValueError, match="field must be one of object_x, .*, light_z, got 'light'"):
        sweep_scenes("easy", "light")
