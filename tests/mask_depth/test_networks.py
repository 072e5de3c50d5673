from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from htcv_lib.mask_depth.networks import (
    NETWORKS,
    VERSION_1,
    VERSION_2,
    AtrousBlock,
    AtrousNet,
    ResNetMaskDepth,
    SeparableNet,
    mask_depth_network,
    network_input,
    separable,
)
from htcv_lib.mask_depth.output import SCALINGS, MaskDepth
from htcv_lib.mask_depth.unet import MaskDepthUNet
from htcv_lib.networks import count_parameters


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("inputs", ["composite", "both"])
def test_every_network_takes_what_it_is_shown(name, inputs):
    batch = {"image": torch.rand(2, 3, 16, 32), "background": torch.rand(2, 3, 16, 32)}
    out = mask_depth_network(name, 8, inputs, bins=4)(network_input(batch, inputs))
    assert isinstance(out, MaskDepth)
    assert out.mask.shape == out.depth.shape == (2, 1, 16, 32) and out.raw.shape == (2, 5, 16, 32)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_every_scaling_can_be_asked_of_every_network(scaling):
    models = {name: mask_depth_network(name, 8, scaling=scaling) for name in NETWORKS}
    assert {name: model.scaling for name, model in models.items()} == dict.fromkeys(NETWORKS, scaling)


@pytest.mark.parametrize(("name", "parameters"), [("v1", 244_720), ("v2", 224_688)])
def test_the_reports_networks_are_the_default(name, parameters):
    model = mask_depth_network(name)
    assert isinstance(model, AtrousNet) and count_parameters(model) == parameters
    assert model.scaling == "minmax"


def test_the_unet_at_16_planes_is_the_default_one():
    assert count_parameters(mask_depth_network("unet")) == count_parameters(MaskDepthUNet())


def test_residual_and_coordinates_reach_the_network():
    assert all(block.residual for block in mask_depth_network("v2", 2, residual=True).encoder[3:])
    assert mask_depth_network("unet", 8, coords=True).coords


def test_the_input_is_the_composite_or_composite_then_background():
    batch = {"image": torch.rand(1, 3, 2, 4), "background": torch.rand(1, 3, 2, 4)}
    assert torch.equal(network_input(batch), batch["image"])
    both = network_input(batch, "both")
    assert torch.equal(both[:, :3], batch["image"]) and torch.equal(both[:, 3:], batch["background"])


def test_the_composite_alone_needs_no_background():
    assert network_input({"image": torch.zeros(1, 3, 2, 4)}).shape == (1, 3, 2, 4)


@pytest.mark.parametrize(("settings", "message"), [
    ({"name": "v3"}, "a network is one of"), ({"name": "v2", "inputs": "background"}, "inputs must be"),
    ({"name": "unet", "residual": True}, "no dilated blocks"), ({"name": "v1", "coords": True}, "no coordinates"),
    ({"name": "v1", "scaling": "clip"}, "scaling must be"), ({"name": "v1", "bins": 0}, "at least 1")])
def test_settings_a_network_does_not_have_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        mask_depth_network(**settings)


def test_an_unknown_input_is_refused():
    with pytest.raises(ValueError, match="inputs must be"):
        network_input({"image": torch.zeros(1, 3, 2, 2)}, "difference")


def test_what_is_shown_can_be_rounded_to_equal_levels():
    batch = {"image": torch.tensor([0.0, 0.2, 0.4, 0.8]).view(1, 1, 1, 4)}
    assert network_input(batch, levels=3).flatten().tolist() == [0.0, 0.0, 0.5, 1.0]  # 0.4 is nearer to 0.5 than to 0
    with pytest.raises(ValueError, match="levels"):
        network_input(batch, levels=1)


VERSIONS = [VERSION_1, VERSION_2]


@pytest.mark.parametrize("model", [
    *(partial(AtrousNet, 4, **version, residual=residual) for version in VERSIONS for residual in (False, True)),
    partial(ResNetMaskDepth, 2), partial(SeparableNet, 4)])
def test_every_parameter_gets_a_gradient(model):
    torch.manual_seed(0)
    model = model(scaling="sigmoid")
    out = model(torch.rand(3, 3, 32, 48))
    (out.mask.square().mean() + out.depth.square().mean()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(("model", "size", "stride"), [
    (AtrousNet, (12, 13), 2), (ResNetMaskDepth, (16, 20), 8), (SeparableNet, (24, 32), 16)])
def test_sizes_that_do_not_halve_evenly_are_refused(model, size, stride):
    with pytest.raises(ValueError, match=f"multiples of {stride}"):
        model(1)(torch.rand(1, 3, *size))


@pytest.mark.parametrize(("planes", "version", "parameters"), [
    (16, VERSION_1, 244_720), (16, VERSION_2, 224_688), (32, VERSION_1, 974_816), (32, VERSION_2, 893_792)])
def test_the_reports_networks_have_its_numbers_of_parameters(planes, version, parameters):
    p = planes  # from the report's plan, not from the code: kernels, and two batch-norm numbers a channel
    stem = 9 * (3 * p + p * 2 * p + 2 * p * 4 * p) + 2 * 7 * p
    blocks = 3 * (4 * p * p + 9 * (p * 2 * p + 2 * p * 4 * p) + 2 * 7 * p)
    up = 9 * 16 * p * p + 4 * p if version is VERSION_1 else 4 * p * 16 * p + 2 * 16 * p
    tail = 9 * (4 * p * 4 * p + 4 * p * 8 * p) + 2 * 12 * p + 8 * p * 2
    with torch.device("meta"):
        counts = {count_parameters(AtrousNet(planes, **version, residual=residual)) for residual in (False, True)}
    assert counts == {parameters} == {stem + blocks + up + tail}


def test_the_versions_differ_in_dilation_and_upsampling():
    first, second = (AtrousNet(2, **version) for version in VERSIONS)
    dilated = [[layer.dilation[0] for layer in model.modules() if isinstance(layer, nn.Conv2d)
                and layer.dilation != (1, 1)] for model in (first, second)]
    assert dilated == [[2, 2, 4, 4, 8, 8], [2, 2, 3, 3, 4, 4]]
    assert isinstance(first.up, nn.ConvTranspose2d)
    assert any(isinstance(layer, nn.PixelShuffle) for layer in second.up)


@pytest.mark.parametrize("residual", [False, True])
def test_a_residual_block_whose_body_is_silent_returns_its_positive_input(residual):
    block = AtrousBlock(2, dilation=3, residual=residual).eval()
    nn.init.zeros_(block.body[-1].weight)  # the last batch normalization
    x = torch.rand(1, 8, 5, 6)
    assert torch.equal(block(x), x if residual else torch.zeros_like(x))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("image", [torch.full((2, 3, 16, 20), 0.5), torch.rand(2, 3, 16, 20)], ids=["empty", "noise"])
def test_the_reports_scaling_always_draws_a_full_range_mask(version, image):
    torch.manual_seed(0)
    out = AtrousNet(2, **version)(image)
    for channel in (out.mask, out.depth):
        assert channel.amin((1, 2, 3)).tolist() == [0, 0] and channel.amax((1, 2, 3)).tolist() == [1, 1]


def test_an_unknown_upsampling_is_refused():
    with pytest.raises(ValueError, match="upsampling must be"):
        AtrousNet(2, upsampling="bilinear")


def test_the_encoder_has_the_parameters_of_a_resnet_18_behind_another_stem():
    with torch.device("meta"):
        model, published = ResNetMaskDepth(), resnet18()
    stem = 9 * (3 * 16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64)
    theirs = sum(count_parameters(getattr(published, f"layer{i}")) for i in range(1, 5))
    assert count_parameters(model.encoder) == stem + theirs
    assert count_parameters(model) == 11_497_744  # the report's follow-up says 11 million


def test_the_coarsest_features_have_an_eighth_of_the_resolution():
    assert ResNetMaskDepth(1).encoder(torch.rand(1, 3, 16, 24)).shape == (1, 32, 2, 3)


def test_a_separable_convolution_has_the_parameters_of_its_two_factors():
    assert count_parameters(separable(8, 20)) == 9 * 8 + 8 * 20 + 2 * 20  # a full one has 9 * 8 * 20


def test_only_the_first_convolution_is_neither_separable_nor_1x1_and_none_is_dilated():
    convolutions = [layer for layer in SeparableNet(2).modules() if isinstance(layer, nn.Conv2d)]
    full = [layer for layer in convolutions if layer.kernel_size == (3, 3) and layer.groups != layer.in_channels]
    assert full == [convolutions[0]]
    assert {layer.dilation for layer in convolutions} == {(1, 1)}


def test_the_default_net_has_a_third_of_a_million_parameters():
    with torch.device("meta"):
        assert count_parameters(SeparableNet()) == 345_570


def test_every_skip_reaches_the_output():
    torch.manual_seed(0)
    model = SeparableNet(2, scaling="sigmoid").eval()
    image, skips = torch.rand(1, 3, 16, 16), []
    for stage in model.encoder:
        stage.register_forward_hook(lambda module, args, output: (output.retain_grad(), skips.append(output))[0])
    model(image).raw.sum().backward()
    assert len(skips) == 5 and all(skip.grad.any() for skip in skips)
