import pytest
import torch
from torch import nn

from htcv_lib.mask_depth.networks import VERSION_1, VERSION_2, AtrousBlock, AtrousNet
from htcv_lib.networks import count_parameters

VERSIONS = [VERSION_1, VERSION_2]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("in_channels", "bins"), [(3, 1), (6, 1), (3, 5)])
def test_mask_and_depth_have_the_resolution_of_the_image(version, in_channels, bins):
    out = AtrousNet(2, **version, in_channels=in_channels, bins=bins)(torch.rand(2, in_channels, 12, 18))
    assert out.mask.shape == out.depth.shape == (2, 1, 12, 18)
    assert out.raw.shape == (2, 1 + bins, 12, 18)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("residual", [False, True])
def test_every_parameter_of_an_atrous_net_gets_a_gradient(version, residual):
    torch.manual_seed(0)
    model = AtrousNet(4, **version, residual=residual, scaling="sigmoid")
    out = model(torch.rand(2, 3, 12, 18))
    (out.mask.square().mean() + out.depth.square().mean()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    still = [name for name, p in model.named_parameters() if not p.grad.any()]
    assert still == []


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


def test_odd_sizes_are_refused():
    with pytest.raises(ValueError, match="multiples of 2"):
        AtrousNet(2)(torch.rand(1, 3, 12, 13))


def test_an_unknown_upsampling_is_refused():
    with pytest.raises(ValueError, match="upsampling must be"):
        AtrousNet(2, upsampling="bilinear")
