"""Log-likelihoods of images, and the Kullback-Leibler divergence of two diagonal Gaussians.

The two terms of the evidence lower bound (Kingma and Welling, 2014, arXiv:1312.6114), in nats per image.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)

def discretized_logistic_log_likelihood(image: Tensor, pred: Tensor, log_scale: Tensor, levels: int = 256) -> Tensor:
    r"""Log-probability of an 8-bit image under discretized logistics (Kingma et al., 2016, arXiv:1606.04934).

    The logistic mass of each value's bin, summed over the image:

    .. math:: \sum_i \log\left[ F\left(\frac{x_i + h - \hat x_i}{s_i}\right)
              - F\left(\frac{x_i - h - \hat x_i}{s_i}\right) \right], \quad F(t) = \frac{1}{1 + e^{-t}}

    h is half a bin. The first and the last bin are open, as in PixelCNN++ (Salimans et al., 2017, arXiv:1701.05517), so
    the levels share a mass of 1. Computed as F(b) F(-a) (1 - exp(a - b)), which equals F(b) - F(a) and whose factors
    have exact logarithms: no floor on the mass is needed, and the gradient never vanishes.

    Args:
        image: (B, C, H, W) in [0, 1], multiples of 1 / (levels - 1).
        pred: (B, C, H, W), location in the same units, unclipped.
        log_scale: log s in the same units; broadcastable to the images.

    Returns (B,) nats <= 0; 0 is certainty about every value.
    """
    half = 0.5 / (levels - 1)
    away, sharpness = image - pred, torch.exp(-log_scale)
    below_top = F.logsigmoid((away + half) * sharpness)  # log F(b)
    above_bottom = F.logsigmoid((half - away) * sharpness)  # log F(-a)
    inside = torch.log(-torch.expm1(-2 * half * sharpness))  # log (1 - exp(a - b))
    top, bottom = image > 1 - half, image < half
    log_mass = (below_top.masked_fill(top, 0) + above_bottom.masked_fill(bottom, 0)
                + torch.where(top | bottom, 0, inside))
    return log_mass.flatten(1).sum(dim=1)


def mixture_log_likelihood(image: Tensor, location: Tensor, log_scale: Tensor, log_odds: Tensor) -> Tensor:
    """Log-probability of an 8-bit image whose values are black, white, or of a discretized logistic.

    Four in five values of a digit are exactly 0, and a logistic has to be narrow everywhere to say so. An atom at 0 and
    one at 1 spare it that; the levels still share a mass of 1.

    Args:
        image, location, log_scale: (B, C, H, W), as for `discretized_logistic_log_likelihood`, a scale for every value.
        log_odds: (B, 2, C, H, W), of black and of white against the logistic.

    Returns (B,) nats <= 0.
    """
    weight = F.log_softmax(F.pad(log_odds, (0, 0) * 3 + (1, 0)), dim=1)  # (B, 3, C, H, W): logistic, black, white
    each = [part.reshape(-1, 1) for part in (image, location, log_scale)]
    logistic = weight[:, 0] + discretized_logistic_log_likelihood(*each).view_as(image)
    atoms = weight[:, 1:].masked_fill(torch.stack([image > 0, image < 1], dim=1), -math.inf)
    return torch.cat([logistic[:, None], atoms], dim=1).logsumexp(dim=1).flatten(1).sum(dim=1)


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
