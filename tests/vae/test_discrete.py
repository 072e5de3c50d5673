import math

import pytest
import torch

from htcv_lib.vae.losses import discretized_logistic_log_likelihood


def all_levels(pred: float, log_scale: float, levels: int = 256) -> torch.Tensor:
    """Log-probability of each level of one pixel: (levels,)."""
    image = (torch.arange(levels) / (levels - 1)).view(-1, 1, 1, 1)
    return discretized_logistic_log_likelihood(image, torch.full_like(image, pred), torch.tensor(log_scale), levels)


@pytest.mark.parametrize("log_scale", [-12.0, -5.0, -2.0, 1.0])
@pytest.mark.parametrize("pred", [-0.3, 0.0, 0.4217, 1.0, 1.5])
def test_the_levels_share_a_mass_of_one(pred, log_scale):
    assert all_levels(pred, log_scale).double().exp().sum().item() == pytest.approx(1, abs=2e-4)


def test_two_levels_worked_by_hand():
    # the border between the two bins is at 1/2, half a scale of 1 above the prediction 0: F(1/2) and its rest
    low, high = all_levels(0.0, 0.0, levels=2).exp().tolist()
    assert low == pytest.approx(1 / (1 + math.exp(-0.5))) and high == pytest.approx(1 - low)


def test_an_inner_bin_has_the_difference_of_the_distribution_function():
    scale, pred, level = 0.02, 0.5, 130
    upper, lower = (1 / (1 + math.exp(-(edge / 255 - pred) / scale)) for edge in (level + 0.5, level - 0.5))
    assert all_levels(pred, math.log(scale))[level].item() == pytest.approx(math.log(upper - lower), rel=1e-4)


def test_a_tiny_scale_far_from_the_truth_stays_finite_and_pulls_the_prediction_there():
    image, pred = torch.ones(1, 1, 1, 2), torch.zeros(1, 1, 1, 2, requires_grad=True)
    image[..., 1] = 100 / 255
    log_scale = torch.tensor(-14.0, requires_grad=True)
    nats = discretized_logistic_log_likelihood(image, pred, log_scale)
    nats.sum().backward()
    assert nats.isfinite().all() and (pred.grad > 0).all() and pred.grad.isfinite().all()
    assert log_scale.grad.isfinite() and log_scale.grad > 0  # a wider scale would explain it better


def test_certainty_about_every_value_costs_nothing():
    image = torch.randint(0, 256, (2, 3, 4, 5), generator=torch.Generator().manual_seed(0)) / 255
    nats = discretized_logistic_log_likelihood(image, image, torch.full((3, 4, 5), -12.0))
    assert nats.shape == (2,) and nats.tolist() == pytest.approx([0, 0], abs=1e-3)


def test_gradients_agree_with_finite_differences():
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (2, 1, 3, 4), generator=generator).double() / 255
    image[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    pred = torch.rand(2, 1, 3, 4, generator=generator, dtype=torch.float64).requires_grad_()
    log_scale = torch.full((1, 3, 4), -3.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p, s: discretized_logistic_log_likelihood(image, p, s), (pred, log_scale))
