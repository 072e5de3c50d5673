import pytest
import torch
from torch import nn

from htcv_lib.mask_depth.networks import VERSION_1, VERSION_2, AtrousNet, ResNetMaskDepth, SeparableNet
from htcv_lib.mask_depth.receptive import chain_receptive_field, receptive_field
from htcv_lib.mask_depth.unet import MaskDepthUNet


def conv(kernel_size=3, stride=1, dilation=1, channels=1):
    size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    return nn.Conv2d(channels, channels, size, stride, padding=[dilation * (k // 2) for k in size], dilation=dilation)


STACKS = {  # worked by hand
    "3x3": ([conv()], (3, 3)),
    "twice 3x3": ([conv(), nn.ReLU(), conv()], (5, 5)),
    "3x3 of stride 2, then 3x3": ([conv(stride=2), conv()], (7, 7)),
    "5x5, dilated by 3": ([conv(5, dilation=3)], (13, 13)),
    "one row high": ([conv((1, 3))], (1, 3)),
    "2x2 maximum, then 3x3": ([nn.MaxPool2d(2), conv()], (6, 6)),
    "3x3 of stride 2, normalized, then 3x3 dilated by 2": (
        [conv(stride=2, channels=2), nn.GroupNorm(1, 2), nn.ReLU(), conv(dilation=2, channels=2)], (11, 11)),
}


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_of_layers_sees_what_is_worked_by_hand(name):
    layers, expected = STACKS[name]
    model = nn.Sequential(*layers)
    assert chain_receptive_field(model) == expected
    assert receptive_field(model, (24, 32)) == expected


def test_a_picture_limits_what_is_seen():
    assert receptive_field(nn.Sequential(conv(), conv()), (3, 20)) == (3, 5)


def test_negative_weights_and_silent_activations_hide_nothing():
    model = nn.Sequential(conv(), nn.ReLU(), conv())
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(-1)
        model[2].weight.copy_(torch.tensor([[1.0, -1, 1], [-1, 0, -1], [1, -1, 1]]))
    assert receptive_field(model, (9, 9)) == (5, 5)


def test_the_model_stays_as_it_was():
    model = nn.Sequential(conv(), nn.BatchNorm2d(1), nn.ReLU()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    receptive_field(model, (8, 10))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training and isinstance(model[2], nn.ReLU) and model[0].weight.dtype == torch.float32


@pytest.mark.parametrize(("version", "encoder"), [(VERSION_1, 119), (VERSION_2, 79)])
def test_the_reports_encoders_see_one_pixel_less_than_its_comments_say(version, encoder):
    # by hand: 7 for the stem, then (3 - 1) * dilation * 2 for each of two convolutions a block; the report's code says
    # 120 and 80
    assert encoder == 7 + sum(2 * 2 * dilation * 2 for dilation in version["dilations"])
    model = AtrousNet(2, **version)
    assert chain_receptive_field(model.encoder) == (encoder, encoder)
    assert receptive_field(model.encoder, (130, 140)) == (encoder, encoder)


@pytest.mark.parametrize(("version", "even", "odd"), [(VERSION_1, 123, 125), (VERSION_2, 83, 83)])
def test_behind_a_transposed_convolution_even_and_odd_pixels_see_different_sizes(version, even, odd):
    # the tail's two 3x3 look at five pixels; pixel shuffle draws them from three coarse pixels, each 2 wide, and so
    # does the transposed convolution around an even pixel (64), but from four around an odd one (65)
    assert receptive_field(AtrousNet(2, **version), (128, 130)) == (even, odd)


def test_additions_around_the_blocks_change_nothing():
    assert chain_receptive_field(AtrousNet(2, residual=True).encoder) == (79, 79)
    assert receptive_field(AtrousNet(2, residual=True), (96, 100)) == (83, 83)


def test_the_resnets_encoder_sees_113_pixels():
    # stem 7; 4 convolutions of step 1: 15; 2 + 3 * 4: 29; 4 + 3 * 8: 57; 8 + 3 * 16: 113
    assert receptive_field(ResNetMaskDepth(1).encoder, (120, 128)) == (113, 113)


def test_the_separable_encoder_sees_95_pixels():
    # 5 at full resolution; each stage adds 2 steps before its stride and 2 after it: 11, 23, 47, 95
    assert chain_receptive_field(SeparableNet(1).encoder) == (95, 95)


@pytest.mark.parametrize("size", [(48, 64), (160, 200)])
def test_the_unet_sees_the_whole_picture(size):
    assert receptive_field(MaskDepthUNet((8, 8, 8, 8)), size) == size


def test_the_unet_sees_every_row_with_coordinates_too():
    assert receptive_field(MaskDepthUNet((8, 8), coords=True), (40, 24)) == (40, 24)


@pytest.mark.parametrize("layers", [[conv(), nn.PixelShuffle(2)], [nn.ConvTranspose2d(1, 1, 3, stride=2)]])
def test_the_formula_refuses_layers_that_enlarge(layers):
    with pytest.raises(ValueError, match="enlarges"):
        chain_receptive_field(nn.Sequential(*layers))


def test_the_formula_refuses_branches():
    with pytest.raises(ValueError, match="no chain"):
        chain_receptive_field(ResNetMaskDepth(1).encoder)


def test_an_output_that_ignores_the_picture_sees_nothing():
    class Constant(nn.Module):
        def forward(self, image):
            return image * 0

    assert receptive_field(Constant(), (4, 6), in_channels=1) == (0, 0)
