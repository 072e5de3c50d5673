import math

import pytest
import torch
from torch.distributions import Normal
from torch.distributions import kl_divergence as reference_kl

from htcv_lib.vae.losses import (
    discretized_logistic_log_likelihood,
    gaussian_log_likelihood,
    kl_divergence,
    kl_sample,
    mixture_log_likelihood,
)


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


def drawn(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_perfect_picture_of_four_pixels_at_scale_one():
    image = torch.rand(2, 1, 2, 2)
    nats = gaussian_log_likelihood(image, image, torch.zeros(()))
    assert nats.tolist() == pytest.approx([-2 * math.log(2 * math.pi)] * 2)


@pytest.mark.parametrize("shape", [(), (3, 2, 5), (3, 1, 1), (2, 3, 2, 5)])
def test_the_likelihood_is_that_of_torch_for_every_shape_of_the_scale(shape):
    image, pred, log_scale = drawn(2, 3, 2, 5), drawn(2, 3, 2, 5, seed=1), drawn(*shape, seed=2, scale=0.5)
    expected = Normal(pred, log_scale.exp()).log_prob(image).flatten(1).sum(1)
    torch.testing.assert_close(gaussian_log_likelihood(image, pred, log_scale), expected)


def test_the_best_single_scale_is_the_root_mean_squared_error():
    image, pred = drawn(1, 1, 4, 5), drawn(1, 1, 4, 5, seed=1)
    best = (image - pred).square().mean().sqrt().log().requires_grad_()
    (gradient,) = torch.autograd.grad(gaussian_log_likelihood(image, pred, best).sum(), best)
    assert gradient.item() == pytest.approx(0, abs=1e-9)


def test_divergences_agree_with_torch():
    mu, logvar, prior_mu, prior_logvar = (drawn(4, 3, seed=seed) for seed in range(4))
    q, p = Normal(mu, (logvar / 2).exp()), Normal(prior_mu, (prior_logvar / 2).exp())
    standard = Normal(torch.zeros_like(mu), torch.ones_like(mu))
    torch.testing.assert_close(kl_divergence(mu, logvar), reference_kl(q, standard).sum(1))
    torch.testing.assert_close(kl_divergence(mu, logvar, prior_mu, prior_logvar), reference_kl(q, p).sum(1))
    torch.testing.assert_close(kl_divergence(mu, logvar, prior_mu, prior_logvar)[:1],
                               kl_divergence(mu[:1], logvar[:1], prior_mu[:1], prior_logvar[:1]))
    z = drawn(4, 3, seed=9)
    torch.testing.assert_close(kl_sample(z, mu, logvar), (q.log_prob(z) - standard.log_prob(z)).sum(1))
    torch.testing.assert_close(kl_sample(z, mu, logvar, prior_mu, prior_logvar),
                               (q.log_prob(z) - p.log_prob(z)).sum(1))


def test_a_posterior_equal_to_its_prior_costs_nothing():
    mu, logvar = drawn(2, 3), drawn(2, 3, seed=1)
    assert kl_divergence(mu, logvar, mu, logvar).abs().max() < 1e-12
    assert kl_sample(drawn(2, 3, seed=2), mu, logvar, mu, logvar).abs().max() < 1e-12


def test_the_mean_of_many_samples_comes_near_the_closed_form():
    mu, logvar = torch.tensor([[1.0, -0.5]]).double(), torch.tensor([[-1.0, 0.5]]).double()
    z = mu + (logvar / 2).exp() * drawn(40_000, 2)
    estimate = kl_sample(z, mu, logvar)
    error = estimate.std().item() / math.sqrt(len(z))
    assert estimate.mean().item() == pytest.approx(kl_divergence(mu, logvar).item(), abs=4 * error)
    assert error < 0.01


def test_the_mixtures_levels_share_a_mass_of_one_and_its_atoms_add_to_black_and_white():
    image = (torch.arange(256) / 255).view(-1, 1, 1, 1)
    location, log_scale = torch.full_like(image, 0.3), torch.full_like(image, -2.0)
    log_odds = torch.zeros(256, 2, 1, 1, 1)  # black, white and the logistic are equally likely
    mass = mixture_log_likelihood(image, location, log_scale, log_odds).exp()
    plain = discretized_logistic_log_likelihood(image, location, log_scale).exp()
    assert mass.sum().item() == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(mass[1:-1], plain[1:-1] / 3)
    torch.testing.assert_close(mass[[0, -1]], (plain[[0, -1]] + 1) / 3)


def test_the_mixture_adds_over_pixels_and_every_map_gets_a_gradient():
    image = torch.tensor([0.0, 1.0, 0.2]).view(1, 1, 1, 3)
    maps = [torch.zeros(1, 1, 1, 3, requires_grad=True), torch.zeros(1, 1, 1, 3, requires_grad=True),
            torch.zeros(1, 2, 1, 1, 3, requires_grad=True)]
    whole = mixture_log_likelihood(image, *maps)
    parts = sum(mixture_log_likelihood(*(part[..., i:i + 1] for part in (image, *maps))) for i in range(3))
    torch.testing.assert_close(whole, parts)
    whole.sum().backward()
    assert all(part.grad.isfinite().all() and part.grad.abs().sum() > 0 for part in maps)
