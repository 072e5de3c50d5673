import pytest
import torch
from torch import nn

from htcv_lib.mask_depth.networks import SeparableNet, separable
from htcv_lib.networks import count_parameters


def test_mask_and_depth_have_the_resolution_of_the_image():
    out = SeparableNet(2, in_channels=6, bins=3)(torch.rand(2, 6, 16, 32))
    assert out.mask.shape == out.depth.shape == (2, 1, 16, 32)
    assert out.raw.shape == (2, 4, 16, 32)


def test_every_parameter_of_the_separable_net_gets_a_gradient():
    torch.manual_seed(0)
    model = SeparableNet(4, scaling="sigmoid")
    out = model(torch.rand(3, 3, 32, 48))
    (out.mask.square().mean() + out.depth.square().mean()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


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


def test_sizes_that_do_not_halve_four_times_are_refused():
    with pytest.raises(ValueError, match="multiples of 16"):
        SeparableNet(2)(torch.rand(1, 3, 24, 32))
