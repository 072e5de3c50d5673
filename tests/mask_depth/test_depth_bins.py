import math

import pytest
import torch

from htcv_lib.mask_depth.losses import depth_bin_loss, quantise_depth


def test_bins_are_equal_and_the_last_holds_one():
    depth = torch.tensor([0.0, 0.24, 0.25, 0.74, 0.75, 1.0]).view(1, 1, 2, 3)
    assert quantise_depth(depth, 4).flatten().tolist() == [0, 0, 1, 2, 3, 3]
    assert quantise_depth(depth).shape == (1, 2, 3)
    assert quantise_depth(depth).flatten().tolist() == [0, 15, 16, 47, 48, 63]


def test_a_depth_is_within_half_a_bin_of_the_centre_of_its_own():
    depth = torch.rand(1, 1, 9, 11, generator=torch.Generator().manual_seed(0))
    for bins in (7, 64, 255):
        centre = (quantise_depth(depth, bins) + 0.5) / bins
        assert (centre - depth[:, 0]).abs().max() <= 0.5 / bins + 1e-6


def test_cross_entropy_worked_by_hand():
    depth = torch.tensor([0.1, 0.9]).view(1, 1, 1, 2)  # bins 0 and 2 of 3
    prob = torch.tensor([[0.5, 0.1], [0.3, 0.2], [0.2, 0.7]]).view(1, 3, 1, 2)
    assert depth_bin_loss(prob.log(), depth).item() == pytest.approx(-(math.log(0.5) + math.log(0.7)) / 2)
    assert depth_bin_loss(torch.zeros(1, 64, 1, 2), depth).item() == pytest.approx(math.log(64))


def test_a_depth_without_its_channel_is_refused():
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        quantise_depth(torch.rand(2, 4, 4))
