import math

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from htcv_lib.mask_depth.losses import focal_depth_loss


def test_with_a_truth_of_zeros_and_ones_it_is_the_focal_loss_of_torchvision():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 4, 5, generator=generator)
    target = (torch.rand(2, 1, 4, 5, generator=generator) > 0.5).float()
    for gamma in (0.0, 2.0):
        reference = sigmoid_focal_loss(logits, target, alpha=-1, gamma=gamma, reduction="mean")
        torch.testing.assert_close(focal_depth_loss(logits.sigmoid(), target, gamma), reference)


def test_between_them_it_is_cross_entropy_weighted_by_the_squared_error_and_zero_at_equality():
    pred, depth = torch.full((1, 1, 1, 1), 0.5), torch.full((1, 1, 1, 1), 0.2)
    assert focal_depth_loss(pred, depth).item() == pytest.approx(0.3**2 * math.log(2))
    assert focal_depth_loss(depth, depth).item() == 0


def test_gradients_agree_with_finite_differences():
    generator = torch.Generator().manual_seed(0)
    depth = torch.rand(1, 1, 3, 4, generator=generator, dtype=torch.float64)
    pred = (0.1 + 0.8 * torch.rand(1, 1, 3, 4, generator=generator, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: focal_depth_loss(x, depth), pred)
