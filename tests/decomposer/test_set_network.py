import pytest
import torch

from htcv_lib.decomposer.layers import SetDecomposition
from htcv_lib.decomposer.set_network import SetBlock, SetDecomposer, SetUNet, attention_over_views, enlarged
from htcv_lib.networks import count_parameters


def test_features_have_the_size_of_their_resolution():
    features = SetUNet(5, (4, 8, 12))(torch.rand(2, 5, 3, 16, 24))
    assert [tuple(feature.shape) for feature in features] == [(2, 4, 3, 16, 24), (2, 8, 3, 8, 12), (2, 12, 3, 4, 6)]


@pytest.mark.parametrize("context", [False, True])
def test_a_view_hears_of_the_others_in_every_block(context):
    torch.manual_seed(0)
    block, views = SetBlock(8, context), torch.rand(1, 8, 3, 4, 5)
    changed = views.clone()
    changed[:, :, 2] += torch.rand(8, 4, 5)
    assert not torch.allclose(block(views)[:, :, 0], block(changed)[:, :, 0])


def test_only_with_context_a_pixel_hears_of_pixels_far_away():
    torch.manual_seed(0)
    for context, hears in ((False, False), (True, True)):
        block = SetBlock(8, context)
        block.first[0] = block.second[0] = torch.nn.Identity()  # group statistics, too, carry news everywhere
        views = torch.rand(1, 8, 3, 4, 12)
        changed = views.clone()
        changed[..., -1] += 1
        assert bool((block(views)[..., 0] != block(changed)[..., 0]).any()) is hears


def test_which_view_is_darker_is_not_normalized_away():
    torch.manual_seed(0)
    unet, picture = SetUNet(3, (4, 8)), torch.rand(1, 3, 1, 8, 8)
    alike = unet(picture.expand(-1, -1, 2, -1, -1))[0]
    darker = unet(torch.cat([picture, 0.3 * picture], dim=2))[0]
    assert torch.allclose(alike[:, :, 0], alike[:, :, 1], atol=1e-6)
    assert not torch.allclose(darker[:, :, 0], darker[:, :, 1], atol=1e-2)


def test_enlarging_mixes_neighbouring_pixels_but_never_views():
    x = torch.zeros(1, 1, 3, 2, 2)
    x[0, 0, 1] = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    bilinear, nearest = enlarged(x, 2), enlarged(x, 2, "nearest")
    assert bilinear[0, 0, 1, 0].tolist() == pytest.approx([0, 0.25, 0.75, 1])
    assert nearest[0, 0, 1, 0].tolist() == [0, 0, 1, 1]
    assert not bilinear[0, 0, [0, 2]].any() and bilinear.shape == nearest.shape == (1, 1, 3, 4, 4)


WIDTHS = (8, 8, 16, 16)
SHARED = ("original",)


def tiny(trained: bool = True) -> SetDecomposer:
    """As initialised, or with heads that say something, as after some training."""
    torch.manual_seed(0)
    model = SetDecomposer(WIDTHS)
    for head in (model.light_head, model.shadow_head, model.pixel_head, model.refine[-1]) if trained else ():
        torch.nn.init.normal_(head.weight, std=0.1)
    return model


def test_the_layers_have_the_shapes_and_ranges_they_promise():
    layers = tiny()(torch.rand(2, 3, 5, 16, 24))
    assert isinstance(layers, SetDecomposition)
    assert {name: tuple(layer.shape) for name, layer in layers._asdict().items()} == {
        "original": (2, 3, 1, 16, 24), "light": (2, 3, 5, 16, 24), "shadow": (2, 1, 5, 16, 24),
        "occlusion": (2, 3, 5, 16, 24), "mask": (2, 1, 5, 16, 24), "mask_logits": (2, 1, 5, 16, 24),
        "highlight": (2, 1, 5, 16, 24)}
    for layer in (layers.original, layers.shadow, layers.occlusion, layers.mask):
        assert 0 <= layer.min() and layer.max() <= 1
    assert layers.light.min() > 0.049 and layers.light.max() < 20.1 and layers.highlight.min() >= 0


def test_permuting_the_views_permutes_their_layers_and_leaves_the_original():
    model, views = tiny().eval(), torch.rand(2, 3, 6, 16, 16)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    one, other = model(views), model(views[:, :, order])
    for name, layer in one._asdict().items():
        expected = layer if name in SHARED else layer[:, :, order]
        assert torch.allclose(getattr(other, name), expected, atol=1e-5), name
    assert not torch.allclose(one.mask, other.mask, atol=1e-3)  # the views do differ


def test_an_untrained_network_returns_the_mean_of_the_views_under_plain_light():
    views = torch.rand(1, 3, 4, 8, 8) * 0.8 + 0.1
    layers = tiny(trained=False)(views)
    assert torch.allclose(layers.light, torch.ones(1))
    assert torch.allclose(layers.shadow, torch.tensor(0.9526), atol=1e-4)
    assert torch.equal(layers.occlusion, views)
    assert torch.allclose(layers.original, views.mean(2, keepdim=True), atol=0.02)  # half of it, 5 % of shadow undone


def test_every_parameter_gets_a_gradient_from_original_and_recomposition():
    model, views = tiny(), torch.rand(2, 3, 3, 16, 24)
    layers = model(views)
    (layers.recompose().square().mean() + layers.original.square().mean()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_an_untrained_networks_heads_get_a_gradient():
    model, views = tiny(trained=False), torch.rand(1, 3, 3, 16, 16)
    layers = model(views)
    (layers.recompose() - views + layers.original).square().mean().backward()
    for head in (model.light_head, model.shadow_head, model.pixel_head, model.refine[-1]):
        assert head.weight.grad.abs().amax((1, 2, 3, 4)).min() > 0


def test_attention_of_all_candidates_adds_up_to_one_and_avoids_what_is_covered():
    attention, logits = torch.zeros(1, 2, 3, 1, 1), torch.tensor([-30.0, 30.0, 0.0]).view(1, 1, 3, 1, 1)
    weights = attention_over_views(attention, logits)[0, :, :, 0, 0]
    assert weights.sum().item() == pytest.approx(1)
    assert weights[0].tolist() == pytest.approx([1 / 3, 0, 1 / 6], abs=1e-6)  # 1, 0 and 1/2 free, of twice 3/2
    assert weights[1].tolist() == weights[0].tolist()


def test_a_pixel_seen_in_one_view_alone_can_be_copied_from_it():
    model = tiny(trained=False)
    views = torch.rand(1, 3, 4, 8, 8)
    model.pixel_head.bias.data[1] = -40.0  # views as they are, not with their light undone
    covered = torch.full((1, 1, 4, 8, 8), 40.0)
    covered[:, :, 2] = -40.0
    model.pixel_head.forward = lambda features: torch.cat(
        [torch.zeros(1, 1, 4, 8, 8), torch.full((1, 1, 4, 8, 8), -40.0), covered, torch.zeros(1, 4, 4, 8, 8)], dim=1)
    assert torch.allclose(model(views).original[:, :, 0], views[:, :, 2], atol=1e-6)


def test_any_number_of_views_is_taken():
    model = tiny()
    assert model(torch.rand(1, 3, 1, 8, 16)).mask.shape == (1, 1, 1, 8, 16)
    assert model(torch.rand(1, 3, 7, 8, 16)).mask.shape == (1, 1, 7, 8, 16)


def test_the_default_network_has_about_a_million_weights():
    with torch.device("meta"):
        assert 0.9e6 < count_parameters(SetDecomposer()) < 1.2e6


def test_sizes_it_cannot_do_are_refused():
    with pytest.raises(ValueError, match="multiples of 8"):
        tiny()(torch.rand(1, 3, 4, 12, 16))
    with pytest.raises(ValueError, match="multiples of 8"):
        tiny()(torch.rand(1, 4, 16, 16))
    with pytest.raises(ValueError, match="at least 4 widths"):
        SetDecomposer((8, 16, 32))
