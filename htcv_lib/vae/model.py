"""Variational autoencoders (Kingma & Welling, 2014, arXiv:1312.6114) that are told a label.

Two kinds. The ERA V1 Session 18 report adds an embedding of the label to mean and log-variance of the
posterior and decodes from z alone, under the prior N(0, I). The conditional kind (Sohn et al., 2015)
tells the label to the posterior, the prior and the decoder, so that z need not repeat it and the label
can be exchanged for z kept (the analogies of Kingma et al., 2014, arXiv:1406.5298).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FIRST_LOG_SCALE = -2.5  # where the scales of a `MixtureVAE` start: 0.08 of the range


class Gaussian(NamedTuple):
    """Independent normal distributions."""
    mu: Tensor  # (B, L)
    logvar: Tensor  # (B, L)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One reparametrised draw, (B, L); the noise is made where the generator lives."""
        place = self.mu.device if generator is None else generator.device
        noise = torch.randn(self.mu.shape, generator=generator, device=place, dtype=self.mu.dtype)
        return self.mu + (0.5 * self.logvar).exp() * noise.to(self.mu.device)


class VAEOutput(NamedTuple):
    """A reconstruction and what it was made from."""
    pred: Tensor  # (B, C, H, W)  images have [0, 1]; not clipped
    z: Tensor  # (B, L)
    posterior: Gaussian
    prior: Gaussian


class LabelVAE(nn.Module):
    """Encoder, two linear maps and label embeddings to the posterior, decoder.

    Args:
        encoder: (B, C, H, W) in normalised units, (image - mean) / std, -> (B, features).
        decoder: z (B, latent) -> (B, C, H, W) in normalised units; called with (z, label) if conditional.
        features: Width of the encoder's output.
        latent: L, the size of z.
        mean, std: Of the training images, one number a channel.
        conditional: Prior and decoder know the label too. Every label embedding then starts at zero,
            the prior thus at N(0, I); otherwise the posterior's start as N(0, 1) draws, as in the report.
        scale_shape: Of `log_scale`, the learned log of the likelihood's scale: () is one number for all
            pixels, (C, H, W) one for each. Its units are those the likelihood is computed in.
        init_log_scale: Where `log_scale` starts.
        prior_gain: Factor on the embeddings of the prior's means: with an optimizer like Adam, which moves every
            parameter by about its learning rate, they move so many times as fast as the rest.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, features: int, latent: int, mean: Sequence[float],
                 std: Sequence[float], num_classes: int = 10, conditional: bool = False,
                 scale_shape: Sequence[int] = (), init_log_scale: float = 0.0, prior_gain: float = 1.0):
        super().__init__()
        self.latent = latent
        self.prior_gain = prior_gain
        self.conditional = conditional
        self.encoder = encoder
        self.decoder = decoder
        self.to_mu = nn.Linear(features, latent)
        self.to_logvar = nn.Linear(features, latent)
        self.label_mu = nn.Embedding(num_classes, latent)
        self.label_logvar = nn.Embedding(num_classes, latent)
        if conditional:
            self.prior_mu = nn.Embedding(num_classes, latent)
            self.prior_logvar = nn.Embedding(num_classes, latent)
            for table in (self.label_mu, self.label_logvar, self.prior_mu, self.prior_logvar):
                nn.init.zeros_(table.weight)
        self.log_scale = nn.Parameter(torch.full(tuple(scale_shape), float(init_log_scale)))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(-1, 1, 1))

    def encode(self, image: Tensor, label: Tensor) -> Gaussian:
        """Posterior of z: image (B, C, H, W) in [0, 1], label (B,)."""
        check_labels(label, len(image))
        h = self.encoder((image - self.mean) / self.std)  # (B, features)
        return Gaussian(self.to_mu(h) + self.label_mu(label), self.to_logvar(h) + self.label_logvar(label))

    def prior(self, label: Tensor) -> Gaussian:
        """Prior of z for each label (B,); N(0, I) for all unless conditional."""
        check_labels(label, len(label))
        if self.conditional:
            return Gaussian(self.prior_gain * self.prior_mu(label), self.prior_logvar(label))
        zeros = self.to_mu.weight.new_zeros(len(label), self.latent)
        return Gaussian(zeros, zeros)

    def decode(self, z: Tensor, given: Tensor) -> Tensor:
        """Picture of z under the given label (which only a conditional model looks at), not clipped."""
        check_labels(given, len(z))
        pred = self.decoder(z, given) if self.conditional else self.decoder(z)
        return pred * self.std + self.mean

    def forward(self, image: Tensor, label: Tensor, sample: bool = True) -> VAEOutput:
        """Reconstruct from one draw of the posterior, or from its mean.

        The label the report's kind is told may be wrong; a conditional model is told the own.
        """
        posterior = self.encode(image, label)
        z = posterior.sample() if sample else posterior.mu
        return VAEOutput(self.decode(z, label), z, posterior, self.prior(label))

    def reconstruct(self, image: Tensor, label: Tensor) -> Tensor:
        """Picture of the posterior's mean, (B, C, H, W)."""
        return self.decode(self.encode(image, label).mu, label)

    def relabel(self, image: Tensor, label: Tensor, given: Tensor) -> Tensor:
        """The picture as the model would have it under another label, without sampling.

        The report's model encodes with the given label. A conditional one encodes with the own label, then
        takes z to the place in the given label's prior that it had in its own.

        Args:
            image: (B, C, H, W) in [0, 1].
            label: (B,), the images' own.
            given: (B,), those wanted.
        """
        return self.decode(self.latent_under(image, label, given), given)

    def latent_under(self, image: Tensor, label: Tensor, given: Tensor) -> Tensor:
        """What `relabel` decodes, (B, latent): the posterior's mean, carried to the given label."""
        if not self.conditional:
            return self.encode(image, given).mu
        z = self.encode(image, label).mu
        own, wanted = self.prior(label), self.prior(given)
        ratio = (0.5 * (wanted.logvar - own.logvar)).exp()  # of the standard deviations
        return wanted.mu + ratio * (z - own.mu)


class MixtureVAE(LabelVAE):
    """A conditional `LabelVAE` that predicts a distribution for every value: see `mixture_log_likelihood`.

    Its decoder has four maps for each channel, (B, 4 C, H, W): location, log of the scale, log-odds of black and white.
    """

    def distribution(self, z: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Location and log of the scale, (B, C, H, W) each, and log-odds (B, 2, C, H, W)."""
        check_labels(label, len(z))
        maps = self.decoder(z, label).unflatten(1, (4, -1))
        return maps[:, 0].sigmoid(), maps[:, 1] + FIRST_LOG_SCALE, maps[:, 2:]

    def decode(self, z: Tensor, given: Tensor) -> Tensor:
        """The mean of that distribution, (B, C, H, W) in [0, 1]."""
        location, _, log_odds = self.distribution(z, given)
        weight = F.softmax(F.pad(log_odds, (0, 0) * 3 + (1, 0)), dim=1)
        return weight[:, 0] * location + weight[:, 2]


def check_labels(label: Tensor, count: int) -> None:
    """Raise ValueError unless these are `count` integer labels; their values are not looked at."""
    if label.shape != (count,) or label.is_floating_point():
        raise ValueError(f"expected {count} integer labels, got {tuple(label.shape)} of {label.dtype}")
