import pytest
import torch
import torch.nn.functional as F
from torch import nn

from htcv_lib.mask_depth.unet import icnr_


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
