"""Encoder and decoder on patches, each a linear map plus what a small convolutional net adds to it.

The linear maps can start as those of probabilistic PCA (Tipping & Bishop, 1999), the best linear VAE there is, so
that training begins where a linear method ends. The VAE done well on CIFAR-10.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htcv_lib.models.label_vae import LabelVAE


class PatchBlock(nn.Module):
    """`h + f(h)` with f = group norm, conv 3x3, GELU, conv 3x3; the last starts at zero. (B, C, h, w) -> the same."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.second(F.gelu(self.first(self.norm(h))))


class PatchEncoder(nn.Module):
    """`linear(image) + net(image)`; the net sees patches as channels and starts at zero.

    Args:
        shape: (C, H, W); H and W multiples of `patch`.
        features: Width of the output, at the same time the latent size if the linear map starts as PCA.

    Shapes:
        image:  (B, C, H, W), in normalised units
        return: (B, features)
    """

    def __init__(self, shape: Sequence[int] = (3, 32, 32), features: int = 512, width: int = 64, num_blocks: int = 2,
                 patch: int = 4):
        super().__init__()
        channels, height, breadth = shape
        self.patch = patch
        self.linear = nn.Linear(channels * height * breadth, features)
        self.stem = nn.Conv2d(channels * patch**2, width, 3, padding=1)
        self.blocks = nn.Sequential(*(PatchBlock(width) for _ in range(num_blocks)))
        self.head = nn.Linear(width * (height // patch) * (breadth // patch), features)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Tensor) -> Tensor:
        h = self.blocks(self.stem(F.pixel_unshuffle(image, self.patch)))
        return self.linear(image.flatten(1)) + self.head(F.gelu(h).flatten(1))


class PatchDecoder(nn.Module):
    """`linear(z) + net(linear(z), label)`: the net retouches the linear picture, told what it should show.

    Shapes:
        z:      (B, latent)
        label:  (B,) int64
        return: (B, *shape), in normalised units
    """

    def __init__(self, latent: int = 512, shape: Sequence[int] = (3, 32, 32), width: int = 64, num_blocks: int = 3,
                 patch: int = 4, num_classes: int = 10):
        super().__init__()
        channels, height, breadth = shape
        self.shape = tuple(shape)
        self.patch = patch
        self.linear = nn.Linear(latent, channels * height * breadth)
        self.stem = nn.Conv2d(channels * patch**2, width, 3, padding=1)
        self.label = nn.Embedding(num_classes, width * (height // patch) * (breadth // patch))
        self.blocks = nn.Sequential(*(PatchBlock(width) for _ in range(num_blocks)))
        self.head = nn.Conv2d(width, channels * patch**2, 3, padding=1)
        nn.init.normal_(self.label.weight, std=0.1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        picture = self.linear(z).view(-1, *self.shape)
        h = self.stem(F.pixel_unshuffle(picture, self.patch))
        h = self.blocks(h + self.label(label).view_as(h))
        return picture + F.pixel_shuffle(self.head(F.gelu(h)), self.patch)


@torch.no_grad()
def start_from_pca(model: LabelVAE, images: Tensor, likelihood: str) -> LabelVAE:
    """Set the linear maps of a patch VAE to probabilistic PCA of some pictures (Tipping & Bishop, 1999, section 3).

    The latents get unit variance over these pictures, in order of what they explain; the posterior's variances and
    the likelihood's scale become those of that model. What its nets add starts at zero.

    Args:
        model: With `PatchEncoder` and `PatchDecoder`, as many features as latents, conditional.
        images: (N, C, H, W) in [0, 1], N larger than the number of latents.
        likelihood: "gaussian", whose scale is a standard deviation in normalised units, or "discrete": the scale of a
            logistic in those of the images, given the same standard deviation.
    """
    encoder, decoder, latent = model.encoder, model.decoder, model.latent
    if len(images) <= latent or encoder.linear.out_features != latent:
        raise ValueError(f"{latent} components need as many features, here {encoder.linear.out_features}, and more "
                         f"pictures, here {len(images)}")
    flat = ((images - model.mean) / model.std).flatten(1)
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    noise = values[:-latent].mean().clamp(min=1e-6)  # variance left out, per pixel value
    kept = values[-latent:].flip(0).clamp(min=2 * noise)  # (latent,) variance along each component
    basis = vectors[:, -latent:].flip(1)  # (pixels, latent)
    scale = (kept - noise).sqrt()
    decoder.linear.weight.copy_(basis * scale)
    decoder.linear.bias.copy_(mean)
    encoder.linear.weight.copy_((basis * (scale / kept)).T)
    encoder.linear.bias.copy_(-encoder.linear.weight @ mean)
    nn.init.eye_(model.to_mu.weight)
    nn.init.zeros_(model.to_mu.bias)
    nn.init.zeros_(model.to_logvar.weight)
    model.to_logvar.bias.copy_((noise / kept).log())
    per_deviation = 1.0 if likelihood == "gaussian" else model.std.mean() * math.sqrt(3) / math.pi
    model.log_scale.copy_((noise.sqrt() * per_deviation).log().expand_as(model.log_scale))
    return model
