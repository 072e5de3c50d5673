import math

import numpy as np
import pytest
import torch

from htcv_lib.mask_depth.losses import gradient_matching_loss, silog_gradient_loss, silog_loss


def random_case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(0.1 + 0.9 * torch.rand(2, 1, 10, 13, generator=generator, dtype=torch.float64) for _ in range(2))


def test_scale_invariant_loss_worked_by_hand():
    target = torch.ones(1, 1, 1, 2)
    pred = torch.tensor([math.exp(0.3), math.exp(-0.1)]).view(1, 1, 1, 2)
    # d = 0.3, -0.1: mean of squares 0.05, mean 0.1
    assert silog_loss(pred, target, floor=0.0).item() == pytest.approx(0.05 - 0.5 * 0.01, abs=1e-6)
    assert silog_loss(pred, target, scale_weight=0.0, floor=0.0).item() == pytest.approx(0.05, abs=1e-6)


def test_a_factor_common_to_each_image_is_forgiven_wholly_or_by_half():
    _, target = random_case()
    pred = target * torch.tensor([2.0, 0.5], dtype=torch.float64).view(2, 1, 1, 1)
    assert silog_loss(pred, target, scale_weight=1.0, floor=0.0).item() == pytest.approx(0, abs=1e-12)
    assert silog_loss(pred, target, floor=0.0).item() == pytest.approx(0.5 * math.log(2) ** 2)


def test_it_agrees_with_the_papers_sum_over_pairs_of_pixels():
    # equation 2 of the paper: with lambda 1 it is half the mean squared difference of all pairs
    pred, target = (depth[:1, :, :3, :4] for depth in random_case())
    d = np.log(pred.numpy()).ravel() - np.log(target.numpy()).ravel()
    pairs = ((d[:, None] - d[None, :]) ** 2).mean() / 2
    assert silog_loss(pred, target, scale_weight=1.0, floor=0.0).item() == pytest.approx(pairs)


def test_a_predicted_zero_costs_a_finite_amount_and_is_pushed_up():
    pred = torch.tensor([0.0, 0.5]).view(1, 1, 1, 2).requires_grad_()
    loss = silog_loss(pred, torch.full((1, 1, 1, 2), 0.5))
    loss.backward()
    d = math.log(0.001 / 0.501)
    assert loss.item() == pytest.approx(d**2 / 2 - 0.5 * (d / 2) ** 2, rel=1e-4)
    assert pred.grad[0, 0, 0, 0] < 0


def test_gradient_matching_of_a_ramp_and_a_step_worked_by_hand():
    ramp = 0.1 * torch.arange(9.0).expand(1, 1, 9, 9)
    # across: 0.1 between neighbours, 0.2 and 0.4 at the coarser scales; down: nothing
    assert gradient_matching_loss(ramp, scales=3).item() == pytest.approx(0.7, abs=1e-6)
    step = torch.zeros(1, 1, 4, 5)
    step[..., 2:] = 1.0  # between columns 1 and 2: one of four pairs
    assert gradient_matching_loss(step, scales=1).item() == pytest.approx(0.25)
    assert gradient_matching_loss(step, scales=2).item() == pytest.approx(0.25 + 0.5)  # columns 0, 2, 4


def test_gradient_matching_forgives_a_constant_and_refuses_what_is_too_small():
    assert gradient_matching_loss(torch.full((1, 1, 9, 12), 0.3)).item() == 0
    with pytest.raises(ValueError, match="sides above 8"):
        gradient_matching_loss(torch.zeros(1, 1, 8, 12))


def test_the_terms_add_up_and_a_perfect_depth_costs_nothing():
    pred, target = random_case()
    terms = silog_gradient_loss(pred, target)
    logs = torch.log(pred + 1e-3) - torch.log(target + 1e-3)
    torch.testing.assert_close(terms["loss"], silog_loss(pred, target) + 0.5 * gradient_matching_loss(logs))
    torch.testing.assert_close(terms["loss"], terms["silog"] + terms["gradient"])
    assert silog_gradient_loss(target, target)["loss"].item() == 0


def test_gradients_agree_with_finite_differences():
    pred, target = random_case()
    assert torch.autograd.gradcheck(lambda x: silog_gradient_loss(x, target)["loss"], pred.requires_grad_())
