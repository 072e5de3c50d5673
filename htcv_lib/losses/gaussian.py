"""Gaussian log-likelihood of an image, and the Kullback-Leibler divergence of two diagonal Gaussians.

The two terms of the evidence lower bound (Kingma and Welling, 2014, arXiv:1312.6114), in nats per image.
"""

import math

import torch
from torch import Tensor

LOG_ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)


def gaussian_log_likelihood(image: Tensor, pred: Tensor, log_scale: Tensor) -> Tensor:
    r"""Log-density of an image under independent Gaussians around a predicted one, summed over its values.

    .. math:: -\sum_i \frac{(x_i - \hat x_i)^2}{2 \sigma_i^2} + \log \sigma_i + \frac{1}{2} \log 2\pi

    A density, so its value depends on the units of the images, and it can be positive.

    Args:
        image, pred: (B, C, H, W), in the same units.
        log_scale: log sigma in these units; a scalar, or anything that broadcasts to the images.

    Returns (B,) nats; higher is better.
    """
    error = (image - pred) * torch.exp(-log_scale)
    return -(0.5 * error.square() + (log_scale + LOG_ROOT_TWO_PI)).flatten(1).sum(dim=1)


def kl_divergence(mu: Tensor, logvar: Tensor, prior_mu: Tensor | None = None,
                  prior_logvar: Tensor | None = None) -> Tensor:
    r"""KL(q || p) of diagonal Gaussians, in closed form.

    .. math:: \frac{1}{2} \sum_j \log\frac{\tau_j^2}{\sigma_j^2} + \frac{\sigma_j^2 + (\mu_j - m_j)^2}{\tau_j^2} - 1

    Args:
        mu, logvar: (B, L), of q.
        prior_mu, prior_logvar: m and log tau^2 of p, broadcastable to (B, L); None is the standard normal.

    Returns (B,) nats >= 0; 0 where the two are the same.
    """
    if prior_mu is not None:
        mu = mu - prior_mu
    if prior_logvar is None:
        return 0.5 * (mu.square() + logvar.exp() - logvar - 1).sum(dim=1)
    ratio = logvar - prior_logvar
    return 0.5 * (mu.square() * torch.exp(-prior_logvar) + ratio.exp() - ratio - 1).sum(dim=1)


def kl_sample(z: Tensor, mu: Tensor, logvar: Tensor, prior_mu: Tensor | None = None,
              prior_logvar: Tensor | None = None) -> Tensor:
    r"""One-sample estimate of the same divergence, log q(z) - log p(z) at a z drawn from q; can be negative.

    Args:
        z, mu, logvar: (B, L).
        prior_mu, prior_logvar: Broadcastable to (B, L); None is the standard normal.

    Returns (B,) nats.
    """
    away = z if prior_mu is None else z - prior_mu
    under_prior = away.square() if prior_logvar is None else away.square() * torch.exp(-prior_logvar) + prior_logvar
    under_posterior = (z - mu).square() * torch.exp(-logvar) + logvar
    return 0.5 * (under_prior - under_posterior).sum(dim=1)
