import pytest
import torch
import torch.nn.functional as F
from torch import nn

from htcv_lib.mask_depth.unet import MaskDepthUNet, doubling, icnr_, pixel_coordinates
from htcv_lib.networks import count_parameters

SMALL = (8, 8, 16)


@pytest.mark.parametrize("upsampling", ["pixel_shuffle", "resize"])
def test_mask_and_depth_have_the_resolution_of_the_image(upsampling):
    out = MaskDepthUNet(SMALL, in_channels=6, bins=3, coords=True, upsampling=upsampling)(torch.rand(2, 6, 8, 12))
    assert out.mask.shape == out.depth.shape == (2, 1, 8, 12)
    assert out.raw.shape == (2, 4, 8, 12)


@pytest.mark.parametrize("settings", [{}, {"coords": True}, {"upsampling": "resize"}])
def test_every_parameter_of_the_unet_gets_a_gradient(settings):
    torch.manual_seed(0)
    model = MaskDepthUNet(SMALL, **settings)
    out = model(torch.rand(2, 3, 16, 24))
    (out.mask.square().mean() + out.depth.square().mean()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_decoders_share_nothing_but_the_encoder():
    model = MaskDepthUNet(SMALL)
    model(torch.rand(1, 3, 8, 12)).mask.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.depth_decoder.parameters())
    assert any(p.grad.any() for p in model.encoder.parameters())


def test_the_default_net_has_between_half_a_million_and_a_million_parameters():
    with torch.device("meta"):
        count = count_parameters(MaskDepthUNet())
    assert count == 778_530


def test_an_empty_mask_can_be_drawn():
    model = MaskDepthUNet(SMALL)
    torch.nn.init.constant_(model.mask_decoder.head.bias, -20)
    assert model(torch.rand(1, 3, 8, 12)).mask.max() < 1e-3


def test_a_prediction_does_not_depend_on_the_rest_of_the_batch():
    model = MaskDepthUNet(SMALL).train()
    images = torch.rand(3, 3, 8, 12)
    assert torch.allclose(model(images).raw[1:2], model(images[1:2]).raw, atol=1e-5)


def test_doubling_by_pixel_shuffle_starts_as_repetition():
    torch.manual_seed(0)
    fine = doubling("pixel_shuffle", 4, 3)(torch.randn(1, 4, 3, 5))
    assert fine.shape == (1, 3, 6, 10)
    assert torch.equal(fine, F.interpolate(fine[..., ::2, ::2], scale_factor=2, mode="nearest"))


def test_coordinates_are_those_of_the_pixels_centres():
    rows, columns = pixel_coordinates(torch.zeros(1, 3, 2, 4))[0]
    assert rows.tolist() == [[-0.5] * 4, [0.5] * 4]
    assert columns.tolist() == [[-0.75, -0.25, 0.25, 0.75]] * 2


def test_only_with_coordinates_does_a_row_matter_where_the_picture_is_the_same():
    torch.manual_seed(0)
    image = torch.full((1, 3, 64, 16), 0.5)  # rows far from the edges look alike without coordinates
    spread = {}
    for coords in (False, True):
        block = MaskDepthUNet((8, 8), coords=coords)
        inputs = 2 * image - 1
        if coords:
            inputs = torch.cat([inputs, pixel_coordinates(image)], dim=1)
        features = block.encoder[0](inputs)[..., 8:-8, 8]
        spread[coords] = features.std(-1).max().item()
    assert spread[False] < 1e-6 < 1e-2 < spread[True]


@pytest.mark.parametrize(("settings", "message"), [({"widths": (8, 12)}, "multiples of 8"),
                                                  ({"upsampling": "transposed"}, "upsampling must be")])
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MaskDepthUNet(**settings)


def test_sizes_that_do_not_halve_evenly_are_refused():
    with pytest.raises(ValueError, match="multiples of 4"):
        MaskDepthUNet(SMALL)(torch.rand(1, 3, 8, 10))


@pytest.mark.parametrize("scale", [2, 3])
def test_pixel_shuffle_after_icnr_enlarges_by_repetition(scale):
    torch.manual_seed(0)
    conv = icnr_(nn.Conv2d(3, 2 * scale**2, kernel_size=3, padding=1), scale)
    coarse = conv(torch.randn(1, 3, 4, 5))
    fine = nn.PixelShuffle(scale)(coarse)
    assert fine.shape == (1, 2, 4 * scale, 5 * scale)
    assert torch.equal(fine, F.interpolate(coarse[:, :: scale**2], scale_factor=scale, mode="nearest"))
    assert not torch.equal(fine[:, 0], fine[:, 1])  # different channels keep different filters


def test_without_icnr_pixel_shuffle_starts_with_a_pattern():
    torch.manual_seed(0)
    fine = nn.PixelShuffle(2)(nn.Conv2d(3, 4, kernel_size=1)(torch.ones(1, 3, 2, 2)))
    assert fine.unique().numel() == 4


def test_icnr_keeps_the_filters_it_copies_and_their_gradients():
    conv = nn.Conv2d(2, 8, kernel_size=1)
    before = conv.weight.detach().clone()
    assert icnr_(conv) is conv
    assert torch.equal(conv.weight[[0, 4]], before[[0, 4]])
    assert conv.weight.requires_grad


def test_channels_that_do_not_fill_a_block_are_refused():
    with pytest.raises(ValueError, match="multiple of 2"):
        icnr_(nn.Conv2d(2, 6, kernel_size=1))
