import itertools

import pytest
import torch

from htcv_lib.neural_renderer.coordinates import (
    RUNGS,
    CoordinateNet,
    PixelBatches,
    PixelFeatures,
    predict_image,
    sample_pixels,
)
from htcv_lib.neural_renderer.phong import AMBIENT, EYE, HALF_FIELD, pixel_rays, projected, render, silhouette
from htcv_lib.neural_renderer.scenes import SceneBatches, encode_scene, sample_scenes, scene_batch


class Told:
    """Features that are the scene's first number and the position."""

    count = 3

    def __call__(self, scene, position):
        position = position.expand(len(scene), *position.shape[-2:])
        return torch.cat((scene[:, :1, None].expand(-1, position.shape[1], -1), position), dim=-1)

    def grid(self, size, like):
        return torch.cartesian_prod(torch.arange(size[0]), torch.arange(size[1])).flip(1).to(like)


def tiny_net() -> CoordinateNet:
    torch.manual_seed(0)
    return CoordinateNet(Told(), width=8, num_blocks=2)


def test_each_pixel_gets_a_logit_and_a_colour_and_every_parameter_a_gradient():
    net = tiny_net()
    pred = net(torch.randn(2, 10), torch.randn(2, 5, 2))
    assert pred.logits.shape == (2, 5) and pred.colour.shape == (2, 5, 3)
    assert 0 < pred.colour.min() and pred.colour.max() < 1
    (pred.logits.sum() + pred.colour.sum()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("chunk", [1, 4, 15, 31, 1000])
def test_a_picture_is_the_same_in_chunks_of_any_size(chunk):
    net, scene = tiny_net(), torch.randn(5, 10)
    whole, parts = predict_image(net, scene, (3, 5)), predict_image(net, scene, (3, 5), chunk)
    assert whole.shape == (5, 3, 3, 5)
    torch.testing.assert_close(parts, whole)


def test_a_picture_shows_the_colour_where_the_mask_says_so_and_black_elsewhere():
    net, scene = tiny_net(), torch.randn(1, 10)
    with torch.no_grad():
        net.heads[1].weight[0], net.heads[1].bias[0] = 0, -1
        net.stem[0].weight.zero_()  # every pixel is the same
        assert predict_image(net, scene, (2, 3)).abs().max() == 0
        net.heads[1].bias[0] = 1
        colour = net(scene, torch.zeros(1, 2)).colour[0, 0]
    assert torch.equal(predict_image(net, scene, (2, 3)), colour.view(1, 3, 1, 1).expand(1, 3, 2, 3))


def test_mixed_precision_leaves_the_network_alone():
    net, scene, position = tiny_net(), torch.randn(2, 10), torch.randn(2, 5, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = net(scene, position)
    assert torch.equal(mixed.logits, net(scene, position).logits) and mixed.colour.dtype == torch.float32


def test_at_the_start_signals_neither_fade_nor_grow_with_depth():
    torch.manual_seed(0)
    net = CoordinateNet(Told(), width=256, num_blocks=6)
    h = torch.randn(100, 256)
    with torch.no_grad():
        assert 1 < net.blocks(h).std().item() < 1.5
        assert net.stem[0](torch.randn(100, 3)).std().item() == pytest.approx(2**0.5, rel=0.2)


def test_rows_go_down_and_columns_to_the_right():
    net, scene = tiny_net(), torch.randn(2, 10)
    with torch.no_grad():
        net.heads[1].weight[0], net.heads[1].bias[0] = 0, 1
        image = predict_image(net, scene, (2, 3))
        colour = net(scene, torch.tensor([[2.0, 1.0]])).colour  # column 2, row 1
    torch.testing.assert_close(image[:, :, 1, 2], colour[:, 0])


def test_pictures_have_the_size_of_the_batch():
    net = tiny_net()
    batch = {"scene": torch.randn(2, 10), "image": torch.zeros(2, 3, 4, 6)}
    assert torch.equal(net.pictures(batch), predict_image(net, batch["scene"], (4, 6)))


SIZE = (12, 16)  # H, W


def scenes(sampler: str, count: int, seed: int = 0) -> torch.Tensor:
    return sample_scenes(sampler, count, torch.Generator().manual_seed(seed))


def behind_the_camera() -> torch.Tensor:
    scene = scenes("easy", 1)
    scene[0, :3] = 2 * torch.tensor(EYE)
    return scene


def test_the_grid_is_where_the_rays_go_row_by_row():
    ray = pixel_rays(SIZE, torch.device("cpu"), torch.float64)
    position = PixelFeatures.grid(SIZE, ray)
    torch.testing.assert_close(position, (ray[:2] / ray[2]).T / HALF_FIELD)


@pytest.mark.parametrize("inputs", RUNGS)
@pytest.mark.parametrize("sampler", ["default", "centred"])
def test_every_rung_adds_to_the_one_before_and_is_finite_and_small(inputs, sampler):
    features = PixelFeatures(inputs, sampler == "centred")
    scene = torch.cat((scenes(sampler, 300), behind_the_camera()))
    scene[0, :3] = torch.tensor(EYE) + 0.5  # the camera is in the sphere
    known = features(scene, features.grid(SIZE, scene))
    assert known.shape == (301, 12 * 16, features.count)
    assert known.isfinite().all() and known.abs().max() <= 3
    before = list(RUNGS)[max(0, list(RUNGS).index(inputs) - 1)]
    fewer = PixelFeatures(before, sampler == "centred")(scene, features.grid(SIZE, scene))
    assert torch.equal(known[..., : fewer.shape[-1]], fewer)


def test_the_first_rung_is_the_scene_and_the_position():
    scene, position = scenes("easy", 2), torch.tensor([[0.25, -0.5]])
    known = PixelFeatures("scene")(scene, position)
    assert torch.equal(known[:, 0, :10], encode_scene(scene))
    assert known[:, 0, 10:].tolist() == [[0.25, -0.5]] * 2


def test_the_waves_of_a_hand_worked_position():
    known = PixelFeatures("coords")(scenes("easy", 1), torch.tensor([[0.5, 0.25]]))[0, 0, 12:]
    sines, cosines = known.view(2, 2, 6)  # of (x, y) at six octaves
    torch.testing.assert_close(sines[0], torch.tensor([1.0, 0, 0, 0, 0, 0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(cosines[1], torch.tensor([0.5**0.5, 0, -1, 1, 1, 1]), atol=1e-4, rtol=0)


def test_relative_to_the_sphere_its_box_spans_minus_one_to_one():
    scene = scenes("easy", 5).double()
    left, top, right, bottom = projected(scene, 2).box.unbind(1)  # pixels of half the height
    corner = torch.stack((right - 1, 1 - top), dim=1)[:, None]
    known = PixelFeatures("projected")(scene, corner)[:, 0, 36:]
    torch.testing.assert_close(known[:, 4:], torch.tensor([[1, 1, 2, 1]]).expand(5, -1).double())
    torch.testing.assert_close(known[:, :4:2], torch.stack(((left + right) / 2 - 1, (right - left) / 2), 1))
    torch.testing.assert_close(known[:, 1:4:2], torch.stack((1 - (top + bottom) / 2, (bottom - top) / 2), 1))


def test_a_sphere_behind_the_camera_has_no_place_and_no_hit():
    known = PixelFeatures("hit")(behind_the_camera(), torch.rand(7, 2))
    assert known[..., 36:].abs().max() == 0


@pytest.mark.parametrize("sampler", ["onscreen", "centred"])
def test_phongs_formula_on_the_hits_is_the_renderers_picture(sampler):
    scene, turned = scenes(sampler, 20).double(), sampler == "centred"
    features = PixelFeatures("hit", turned)
    hit, point, normal, light, eye = features(scene, features.grid(SIZE, scene))[..., 44:].split((1, 3, 3, 3, 3), -1)
    cosine = (normal * light).sum(-1, keepdim=True)
    mirrored = ((2 * cosine * normal - light) * eye).sum(-1, keepdim=True).clamp(0, 1)
    diffuse, shininess = scene[:, None, 3:6], scene[:, None, 6:7]
    colour = hit * (AMBIENT + diffuse * cosine.clamp_min(0) + mirrored**shininess).clamp(0, 1)
    image = render(scene, SIZE, camera_at_object=turned)
    torch.testing.assert_close(colour.transpose(1, 2).unflatten(2, SIZE), image)
    torch.testing.assert_close(-20 * point.norm(dim=-1, keepdim=True) * eye, 20 * point)  # it lies on the ray


def test_sampled_pixels_carry_the_colours_of_the_picture():
    scene = scenes("onscreen", 6)
    batch = scene_batch(scene, "onscreen", SIZE)
    pixels = sample_pixels(batch, 40, torch.Generator().manual_seed(1))
    assert pixels["position"].shape == (6, 40, 2) and pixels["colour"].shape == (6, 40, 3)
    grid = PixelFeatures.grid(SIZE, scene)
    place = (pixels["position"][:, :, None] - grid).abs().sum(-1).argmin(-1)  # (B, K)
    assert torch.equal(grid[place], pixels["position"])
    for which, k in itertools.product(range(6), range(40)):
        row, column = divmod(int(place[which, k]), SIZE[1])
        assert torch.equal(pixels["colour"][which, k], batch["image"][which, :, row, column])
        assert pixels["mask"][which, k] == batch["mask"][which, 0, row, column]


def test_half_of_the_sampled_pixels_are_around_the_sphere():
    scene = scenes("onscreen", 300)
    box = projected(scene, 64).box
    small = ((box[:, 2:] - box[:, :2]) < 4).all(1) & silhouette(scene, 64).flatten(1).any(1)
    scene, box = scene[small], box[small]
    pixels = sample_pixels(scene_batch(scene, "onscreen", 64), 200, torch.Generator().manual_seed(2))
    x, y = (32 + 32 * pixels["position"] * torch.tensor([1, -1])).unbind(-1)  # (B, K) pixels
    left, top, right, bottom = box[:, None].unbind(-1)
    near = (x > left - 5) & (x < right + 5) & (y > top - 5) & (y < bottom + 5)
    assert len(scene) >= 10 and near[:, :100].all()
    assert near[:, 100:].double().mean() < 0.1


def test_pictures_without_a_sphere_are_sampled_everywhere():
    pixels = sample_pixels(scene_batch(behind_the_camera(), "default", 8), 2000, torch.Generator().manual_seed(0))
    assert len(pixels["position"][0].unique(dim=0)) == 64
    assert pixels["mask"].sum() == 0 and pixels["colour"].sum() == 0


def test_a_resumed_stream_of_pixels_draws_what_would_have_come():
    first = PixelBatches(SceneBatches("easy", 2, 2, size=8, seed=3), count=5)
    epochs = [list(first) for _ in range(2)]
    second = PixelBatches(SceneBatches("easy", 2, 2, size=8, seed=3), count=5)
    list(second)
    third = PixelBatches(SceneBatches("easy", 2, 2, size=8), count=5)
    third.load_state_dict(second.state_dict())
    assert all(torch.equal(a[name], b[name]) for a, b in zip(epochs[1], third, strict=True) for name in a)
    assert not torch.equal(epochs[0][0]["position"], epochs[1][0]["position"])
    assert len(first) == 2


def test_an_unknown_rung_is_refused():
    with pytest.raises(ValueError, match="scene, coords, projected, hit"):
        PixelFeatures("everything")
