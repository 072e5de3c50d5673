import pytest
import torch

from htcv_lib.data.batches import Batches
from htcv_lib.neural_renderer.phong import (
    EYE,
    SCENE_FIELDS,
    counts,
    coverage,
    lit_fraction,
    projected,
    render,
    silhouette,
    split_scene,
)
from htcv_lib.neural_renderer.scenes import (
    CORNERS,
    SAMPLERS,
    SceneBatches,
    corner_of,
    corner_scenes,
    encode_scene,
    looks_at_object,
    outside_corners,
    sample_scenes,
    sweep_scenes,
)
from htcv_lib.neural_renderer.scenes import test_scenes as fixed_scenes

pytestmark = pytest.mark.slow


def draw(sampler, count, seed=0, keep=None):
    return sample_scenes(sampler, count, torch.Generator().manual_seed(seed), keep)


def from_eye(scene):
    return (scene[:, :3] - scene.new_tensor(EYE)).norm(dim=1)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_scenes_fill_their_ranges_and_no_more(sampler):
    scene = draw(sampler, 1000)
    assert scene.shape == (1000, len(SCENE_FIELDS)) and scene.dtype == torch.float32
    (low, high), light = SAMPLERS[sampler], (20.0,) * 3
    lowest = torch.tensor((*low, 0, 0, 0, 3, *(-x for x in light)))
    highest = torch.tensor((*high, 1, 1, 1, 20, *light))
    assert (scene >= lowest).all() and (scene <= highest).all()
    if sampler != "onscreen":  # its positions are not uniform
        share = (scene - lowest) / (highest - lowest)
        assert (share.mean(0) - 0.5).abs().max() < 0.04 and share.amin(0).max() < 0.02


def test_the_assignments_range_leaves_most_pictures_black():
    covered = coverage(draw("default", 5000), 128)
    assert (covered == 0).float().mean().item() == pytest.approx(0.77, abs=0.02)
    assert (covered < 0.05).float().mean().item() == pytest.approx(0.997, abs=0.003)
    assert covered.mean().item() == pytest.approx(0.0019, abs=0.0008)


def test_the_easy_set_covers_a_fifth_of_the_picture_and_is_mostly_unlit():
    scene = draw("easy", 1500)
    covered, lit = (values / 64**2 for values in counts(scene, 64))
    assert covered.mean().item() == pytest.approx(0.204, abs=0.01)
    assert covered.median().item() == pytest.approx(0.171, abs=0.01)
    assert covered.min().item() == pytest.approx(0.042, abs=0.008) and 0.5 < covered.max() < 0.7
    image, mask = render(scene, 64), silhouette(scene, 64)[:, 0]
    ambient = (image.amax(1) < 0.03 + 1e-3) & mask  # neither diffuse light nor any of the highlight to speak of
    assert (ambient.sum() / mask.sum()).item() == pytest.approx(0.68, abs=0.03)
    assert 1 - (lit.sum() / covered.sum()).item() == pytest.approx(0.77, abs=0.03)  # N.L <= 0; some have highlights
    assert from_eye(scene).min() > 2.5  # the report asks for more than 2: always so


def test_onscreen_scenes_have_a_pixel_and_centred_ones_keep_away_from_the_camera():
    assert coverage(draw("onscreen", 60), 128).min() >= 1 / 128**2
    centred = draw("centred", 3000)
    assert from_eye(centred).min() > 2
    assert coverage(centred[:60], 128, camera_at_object=True).min() > 0


def test_scenes_of_the_code_stay_in_its_box_and_are_hardly_ever_cut_by_the_frame():
    scene = draw("code", 5000)
    lowest, highest = scene[:, :3].amin(0), scene[:, :3].amax(0)
    assert (-4 <= lowest).all() and (lowest < -3.98).all() and (3.98 < highest).all() and (highest <= 4).all()
    seen = projected(scene, 128)
    assert (seen.centre > 0).all() and (seen.centre < 128).all()
    cut = ((seen.box[:, :2] < 0) | (seen.box[:, 2:] > 128)).any(1)
    assert cut.float().mean().item() == pytest.approx(0.005, abs=0.003)
    covered = coverage(scene[:300], 128)
    assert 0.005 < covered.min() and covered.max() < 0.05


def test_the_generator_alone_decides_what_is_drawn():
    assert torch.equal(draw("onscreen", 20, seed=3), draw("onscreen", 20, seed=3))
    assert not torch.equal(draw("easy", 20, seed=3), draw("easy", 20, seed=4))
    assert draw("easy", 0).shape == (0, 10)
    with pytest.raises(ValueError, match="one of default, easy, code, onscreen, centred, got 'medium'"):
        draw("medium", 1)


def test_the_encoding_is_the_reports():
    scene = torch.tensor([[2.0, 5.0, 9.0, 0.0, 0.5, 1.0, 20.0, -13.0, 20.0, 9.0]])
    assert encode_scene(scene)[0].tolist() == pytest.approx([-0.5, 0.5, 0, 0.1, 0, 0.2, -1, 0, 1, 1])
    scene[:, 6] = 3.0
    assert encode_scene(scene)[0, 9].item() == -1
    assert encode_scene(draw("default", 200)).abs().max() <= 4 / 3


def test_corners_are_told_apart():
    plain = torch.tensor([3.0, 3.0, 10.0, 0.5, 0.5, 0.5, 10.0, 0.0, 0.0, 0.0])
    yellow, close, low = plain.clone(), plain.clone(), plain.clone()
    yellow[3:7] = torch.tensor([0.8, 0.9, 0.1, 16.0])
    close[7:] = torch.tensor([3.0, 6.9, 10.0])
    low[7:] = torch.tensor([-11.0, -11.0, 11.0])
    both = yellow.clone()
    both[7:] = low[7:]
    assert corner_of(torch.stack((plain, yellow, close, low, both))).tolist() == [-1, 0, 1, 2, 0]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_corners_are_rare_left_out_on_request_and_drawn_in_equal_numbers(sampler):
    # 0.3^3 5/17 + (about 0.004) + 1/64 = 0.028
    share = (corner_of(draw("default" if sampler == "onscreen" else sampler, 20000)) >= 0).float().mean().item()
    assert share == pytest.approx(0.028, abs=0.006)
    assert (corner_of(draw(sampler, 300, keep=outside_corners)) < 0).all()
    held_out = corner_scenes(sampler, 8)
    assert corner_of(held_out).tolist() == [0, 0, 0, 1, 1, 1, 2, 2] and len(CORNERS) == 3
    assert torch.equal(held_out, corner_scenes(sampler, 8))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_test_sets_are_fixed_and_hold_out_the_corners(sampler):
    scene = fixed_scenes(sampler, 40)
    assert scene.shape == (40, 10) and torch.equal(scene, fixed_scenes(sampler, 40))
    assert (corner_of(scene) < 0).all() and len(scene.unique(dim=0)) == 40


def test_a_test_set_keeps_the_frequencies_without_the_luck_of_the_draw():
    black = coverage(fixed_scenes("default", 200), 128) == 0
    assert black.float().mean().item() == pytest.approx(0.77, abs=0.025)
    scene = fixed_scenes("easy", 100)
    covered, lit = (values / 64**2 for values in counts(scene, 64))
    # a plain draw of 100 has standard errors of 0.012 and 0.03 (lit fractions vary by about 0.3)
    assert covered.mean().item() == pytest.approx(0.204, abs=0.01)
    unlit = 1 - (lit / covered).mean().item()
    many = draw("easy", 1500, seed=1)
    assert unlit == pytest.approx(1 - (lambda c: (c[1] / c[0]).mean().item())(counts(many, 64)), abs=0.04)


def epoch(batches):
    return [batch["scene"] for batch in batches]


def test_a_batch_has_the_scene_its_encoding_its_picture_and_its_mask():
    batch = next(iter(SceneBatches("easy", 4, 2, size=(12, 16))))
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "scene": (4, 10), "input": (4, 10), "image": (4, 3, 12, 16), "mask": (4, 1, 12, 16)}
    assert all(value.dtype == torch.float32 and not value.requires_grad for value in batch.values())
    assert torch.equal(batch["image"], render(batch["scene"], (12, 16)))
    assert torch.equal(batch["mask"].bool(), silhouette(batch["scene"], (12, 16)))
    assert torch.equal(batch["input"], encode_scene(batch["scene"]))


def test_centred_batches_turn_the_camera_and_pictures_can_be_in_8_bit_steps():
    batch = next(iter(SceneBatches("centred", 4, 1, size=64, quantise=True)))
    assert batch["mask"][:, 0, 31:33, 31:33].eq(1).all()
    assert torch.allclose(batch["image"] * 255, (batch["image"] * 255).round(), atol=1e-4)


def test_every_epoch_is_fresh_and_a_resumed_one_is_the_one_that_would_have_come():
    def fresh(seed=5):
        return SceneBatches("onscreen", 8, 3, size=8, seed=seed)
    whole = fresh()
    epochs = [epoch(whole) for _ in range(3)]
    assert len(whole) == 3 and [len(batch) for batch in epochs[0]] == [8, 8, 8]
    assert len(torch.cat(sum(epochs, [])).unique(dim=0)) == 72
    stopped = fresh()
    epoch(stopped)
    next(iter(stopped))  # broken off
    resumed = fresh(seed=99)
    resumed.load_state_dict(stopped.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(epoch(resumed), epochs[2], strict=True))


def test_no_training_scene_is_in_a_corner():
    scenes = torch.cat(epoch(SceneBatches("easy", 500, 4, size=2)))
    assert (corner_of(scenes) < 0).all()


def test_a_fixed_set_comes_once_an_epoch_in_a_new_order():
    scenes = draw("easy", 11)
    batches = SceneBatches("easy", 5, size=4, scenes=scenes)
    first, second = torch.cat(epoch(batches)), torch.cat(epoch(batches))
    assert len(batches) == 2 and len(first.unique(dim=0)) == 10 and not torch.equal(first, second)
    assert all((scenes == row).all(1).any() for row in first)
    with pytest.raises(ValueError, match="4 scenes are too few for 1 batches of 5"):
        SceneBatches("easy", 5, scenes=scenes[:4])
    with pytest.raises(ValueError, match="say how many batches are an epoch"):
        SceneBatches("easy", 5)


def test_it_offers_what_the_training_loop_uses_of_other_batches():
    offered = {name for name in vars(Batches) if not name.startswith("_")} | {"__len__", "__iter__"}
    assert offered <= set(dir(SceneBatches))


def test_the_parts_of_a_scene_are_named_in_order():
    scene = torch.arange(10.0)[None]
    parts = split_scene(scene)
    assert [part.tolist()[0] for part in parts] == [[0, 1, 2], [3, 4, 5], [6], [7, 8, 9]]
    assert [SCENE_FIELDS[i] for i in (0, 3, 6, 7)] == ["object_x", "diffuse_r", "shininess", "light_x"]


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


@pytest.mark.parametrize(("given", "words"), [
    (("medium",), "sampler must be one of default, .*, got 'medium'"),
    (("easy", "light"), "field must be one of object_x, .*, light_z, got 'light'"),
])
def test_an_unknown_sampler_or_field_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        sweep_scenes(*given)
