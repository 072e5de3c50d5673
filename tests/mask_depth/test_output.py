import pytest
import torch
from torch import nn

from htcv_lib.mask_depth.output import SCALINGS, MaskDepthNet, scale_outputs

# one image, one row of three pixels; the mask's numbers, then the depth's
RAW = torch.tensor([[[[-2.0, 0.0, 2.0]], [[10.0, 8.0, 6.0]]]])


def test_minmax_stretches_every_channel_to_its_own_extremes():
    out = scale_outputs(RAW, "minmax")
    assert out.mask.flatten().tolist() == [0, 0.5, 1]
    assert out.depth.flatten().tolist() == [1, 0.5, 0]
    assert torch.equal(out.raw, RAW)


def test_joint_minmax_stretches_both_channels_together():
    out = scale_outputs(RAW, "minmax_joint")  # from -2 to 10
    assert out.mask.flatten().tolist() == pytest.approx([0, 2 / 12, 4 / 12])
    assert out.depth.flatten().tolist() == pytest.approx([1, 10 / 12, 8 / 12])


def test_the_sigmoid_looks_at_each_pixel_alone():
    out = scale_outputs(torch.tensor([0.0, 1.0986123]).view(1, 2, 1, 1), "sigmoid")  # log 3
    assert out.mask.item() == 0.5 and out.depth.item() == pytest.approx(0.75)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_minmax_hits_0_and_1_exactly_in_each_image_and_channel(dtype):
    torch.manual_seed(0)
    out = scale_outputs((100 * torch.randn(5, 2, 6, 7) + 30).to(dtype), "minmax")
    for channel in (out.mask, out.depth):
        assert channel.dtype == torch.float32
        assert channel.amin((1, 2, 3)).tolist() == [0] * 5 and channel.amax((1, 2, 3)).tolist() == [1] * 5


def test_images_are_stretched_apart():
    raw = torch.randn(3, 2, 4, 5)
    for scaling in SCALINGS:
        alone = scale_outputs(raw[1:2], scaling)
        assert torch.equal(scale_outputs(raw, scaling).mask[1:2], alone.mask)


def test_minmax_draws_a_full_mask_where_the_network_sees_no_object_and_the_sigmoid_draws_none():
    # the report's defect, kept on purpose: numbers that all say "no object" still reach from 0 to 1
    torch.manual_seed(0)
    raw = torch.cat([-10 + 0.01 * torch.randn(1, 1, 8, 9), torch.rand(1, 1, 8, 9)], dim=1)
    assert scale_outputs(raw, "minmax").mask.max() == 1
    assert scale_outputs(raw, "minmax").mask.gt(0.5).float().mean() > 0.2
    assert scale_outputs(raw, "sigmoid").mask.max() < 1e-4


def test_one_pixel_moves_all_others_under_minmax_and_none_under_the_sigmoid():
    raw = torch.tensor([0.0, 1.0, 2.0, 0.0, 1.0, 2.0]).view(1, 2, 1, 3)
    moved = raw.clone()
    moved[0, 0, 0, 2] = 4
    assert scale_outputs(moved, "minmax").mask.flatten().tolist() == [0, 0.25, 1]
    assert torch.equal(scale_outputs(moved, "sigmoid").mask[..., :2], scale_outputs(raw, "sigmoid").mask[..., :2])


@pytest.mark.parametrize("scaling", ["minmax", "minmax_joint"])
def test_a_constant_channel_becomes_0_with_finite_gradients(scaling):
    raw = torch.full((2, 2, 3, 4), 5.0, requires_grad=True)
    out = scale_outputs(raw, scaling)
    (out.mask.sum() + out.depth.square().sum()).backward()
    assert out.mask.abs().max() == 0 and out.depth.abs().max() == 0
    assert raw.grad.isfinite().all()


@pytest.mark.parametrize("scaling", SCALINGS)
def test_gradients_of_the_scalings_agree_with_differences(scaling):
    torch.manual_seed(0)
    raw = torch.randn(2, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda raw: scale_outputs(raw, scaling)[:2], raw)


def test_depth_in_bins_is_the_mean_of_their_centres():
    raw = torch.zeros(1, 5, 1, 3)  # a mask and four bins with centres 1/8, 3/8, 5/8, 7/8
    raw[0, 4, 0, 1] = 100  # surely the last
    raw[0, 1, 0, 2], raw[0, 2, 0, 2] = 100, 100 + torch.tensor(3.0).log()  # the first, and the second three times
    depth = scale_outputs(raw, "sigmoid").depth
    assert depth.shape == (1, 1, 1, 3)
    assert depth.flatten().tolist() == pytest.approx([0.5, 0.875, 0.125 / 4 + 0.375 * 3 / 4], abs=1e-6)


def test_with_bins_minmax_stretches_the_mask_alone():
    raw = torch.cat([RAW[:, :1], 50 + torch.randn(1, 3, 1, 3)], dim=1)
    assert scale_outputs(raw, "minmax").mask.flatten().tolist() == [0, 0.5, 1]


@pytest.mark.parametrize(("channels", "scaling", "message"), [
    (2, "softmax", "scaling must be"), (1, "sigmoid", "at least 1"), (3, "minmax_joint", "no such channel")])
def test_scalings_that_do_not_exist_or_fit_are_refused(channels, scaling, message):
    with pytest.raises(ValueError, match=message):
        scale_outputs(torch.zeros(1, channels, 2, 2), scaling)


class Pixelwise(MaskDepthNet):
    def __init__(self, **settings):
        super().__init__(3, 4, **settings)
        self.head = nn.Conv2d(3, self.out_channels, kernel_size=1)

    def raw_output(self, image):
        return self.head(image)


def test_a_network_scales_its_raw_output():
    model = Pixelwise(scaling="sigmoid", bins=6)
    image = torch.rand(2, 3, 8, 12)
    out = model(image)
    assert out.raw.shape == (2, 7, 8, 12) and torch.equal(out.raw, model.head(image))
    assert torch.equal(out.mask, out.raw[:, :1].sigmoid())


@pytest.mark.parametrize(("shape", "message"), [((1, 6, 8, 8), "takes 3 channels"), ((1, 3, 8, 10), "multiples of 4"),
                                               ((1, 3, 6, 8), "multiples of 4")])
def test_a_network_refuses_pictures_it_was_not_made_for(shape, message):
    with pytest.raises(ValueError, match=message):
        Pixelwise(scaling="minmax", bins=1)(torch.rand(shape))


def test_a_network_with_an_impossible_scaling_is_not_made():
    with pytest.raises(ValueError, match="minmax_joint"):
        Pixelwise(scaling="minmax_joint", bins=2)
