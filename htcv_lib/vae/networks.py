"""Encoders and decoders of the label VAEs (the report's for digits, ResNets, those done well), and all by name."""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htcv_lib.networks import BLOCKS, stage
from htcv_lib.vae.model import LabelVAE, MixtureVAE

WIDTHS = (64, 128, 256, 512)  # of the report's ResNet-9 and of ResNet-34, finest first


class Residual(nn.Module):
    """`x + body(x)`, any shape -> the same."""

    def __init__(self, *body: nn.Module):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer, giving zeros until it is trained."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class ResNet34Encoder(nn.Sequential):
    """A stem, stages of 3, 4, 6 and 3 basic blocks, global average pooling, a linear layer.

    Args:
        widths: Channels of the four stages; the stem has those of the first.

    Shapes: (B, in_channels, 32, 32) -> (B, out_features)
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, out_features: int = 512, in_channels: int = 3):
        stem = nn.Sequential(nn.Conv2d(in_channels, widths[0], kernel_size=3, padding=1, bias=False),
                             nn.BatchNorm2d(widths[0]), nn.ReLU())
        stages = [stage(before, after, blocks, stride) for (before, after), blocks, stride
                  in zip(pairwise([widths[0], *widths]), BLOCKS, (1, 2, 2, 2), strict=True)]
        head = nn.Linear(widths[-1], out_features)
        super().__init__(stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


# Encoder and decoder of the ERA V1 Session 18 report's MNIST VAE, 5,196 and 7,137 parameters.
#
# The encoder is the report's "8000-parameter" MNIST classifier; with ten outputs it is that classifier
# (and the guide that reads the label off a reconstruction). No convolution is padded.


def digit_layer(kind: type[nn.Module], in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3 `nn.Conv2d` or `nn.ConvTranspose2d`, ReLU, batch normalization; H and W shrink or grow by 2."""
    return nn.Sequential(kind(in_channels, out_channels, 3), nn.ReLU(), nn.BatchNorm2d(out_channels))


class DigitEncoder(nn.Sequential):
    """Six 3x3 convolutions and two 1x1, one halving, global average pooling.

    Shapes: (B, 1, 28, 28) -> (B, out_features); logits of the ten digits when it serves as a classifier
    """

    def __init__(self, out_features: int = 10):
        super().__init__(
            digit_layer(nn.Conv2d, 1, 10),
            digit_layer(nn.Conv2d, 10, 10),
            digit_layer(nn.Conv2d, 10, 11),  # (B, 11, 22, 22)
            nn.MaxPool2d(2),
            nn.Conv2d(11, 10, kernel_size=1),
            digit_layer(nn.Conv2d, 10, 10),
            digit_layer(nn.Conv2d, 10, 10),
            digit_layer(nn.Conv2d, 10, 11),  # (B, 11, 5, 5)
            nn.Conv2d(11, out_features, kernel_size=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


class DigitDecoder(nn.Sequential):
    """Eight 3x3 transposed convolutions and one nearest-neighbour doubling; the output is linear.

    Shapes: (B, latent) -> (B, 1, 28, 28), in normalised units
    """

    def __init__(self, latent: int = 10):
        super().__init__(
            nn.Unflatten(1, (latent, 1, 1)),
            digit_layer(nn.ConvTranspose2d, latent, 11),
            digit_layer(nn.ConvTranspose2d, 11, 10),
            digit_layer(nn.ConvTranspose2d, 10, 10),
            digit_layer(nn.ConvTranspose2d, 10, 11),
            nn.ConvTranspose2d(11, 11, kernel_size=3),  # (B, 11, 11, 11)
            nn.Upsample(scale_factor=2, mode="nearest"),
            digit_layer(nn.ConvTranspose2d, 11, 10),
            digit_layer(nn.ConvTranspose2d, 10, 10),
            nn.ConvTranspose2d(10, 1, kernel_size=3),
        )


# ResNet-9 (Page, 2018, "How to train your ResNet"; the DAWNBench entry of Kakao Brain), and its mirror.
#
# Encoder and decoder of the ERA V1 Session 18 report's CIFAR-10 VAE, layer by layer: convolutions with bias, pooling
# before normalization, dropout after every ReLU. At the report's widths 6.83 and 11.03 million parameters.


def resnet_layer(kind: type[nn.Module], in_channels: int, out_channels: int, dropout: float,
                 resize: bool = False) -> nn.Sequential:
    """3x3 convolution, batch normalization, ReLU, dropout; the size is kept.

    With `resize` 2x2 max-pooling after an `nn.Conv2d`, nearest-neighbour doubling before an `nn.ConvTranspose2d`.
    """
    layers = [kind(in_channels, out_channels, kernel_size=3, padding=1)]
    if resize and kind is nn.Conv2d:
        layers.append(nn.MaxPool2d(2))
    elif resize:
        layers.insert(0, nn.Upsample(scale_factor=2, mode="nearest"))
    return nn.Sequential(*layers, nn.BatchNorm2d(out_channels), nn.ReLU(), nn.Dropout(dropout))


class ResNet9Encoder(nn.Sequential):
    """Eight convolutions in four stages, global max-pooling and a linear layer.

    With ten outputs it is the report's CIFAR-10 classifier, the guide.

    Shapes: (B, in_channels, 32, 32) -> (B, out_features)
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, out_features: int = 512, dropout: float = 0.1,
                 in_channels: int = 3):
        first, second, third, fourth = widths
        conv = partial(resnet_layer, nn.Conv2d, dropout=dropout)
        super().__init__(
            conv(in_channels, first),
            nn.Sequential(conv(first, second, resize=True), Residual(conv(second, second), conv(second, second))),
            conv(second, third, resize=True),
            nn.Sequential(conv(third, fourth, resize=True), Residual(conv(fourth, fourth), conv(fourth, fourth))),
            nn.AdaptiveMaxPool2d(1),  # 4x4 for images of 32x32
            nn.Flatten(),
            nn.Linear(fourth, out_features),
        )


class ResNet9Decoder(nn.Sequential):
    """The encoder's stages in reverse; each doubling stands where the encoder halves; linear output.

    Shapes: (B, latent) -> (B, out_channels, 32, 32), in normalised units
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, latent: int = 512, out_channels: int = 3, dropout: float = 0.1):
        first, second, third, fourth = widths
        conv = partial(resnet_layer, nn.ConvTranspose2d, dropout=dropout)
        super().__init__(
            nn.Sequential(nn.Linear(latent, fourth), nn.Unflatten(1, (fourth, 1, 1))),
            nn.ConvTranspose2d(fourth, fourth, kernel_size=4),  # (B, fourth, 4, 4)
            nn.Sequential(Residual(conv(fourth, fourth), conv(fourth, fourth)), conv(fourth, third, resize=True)),
            conv(third, second, resize=True),
            nn.Sequential(Residual(conv(second, second), conv(second, second)), conv(second, first, resize=True)),
            nn.ConvTranspose2d(first, out_channels, kernel_size=3, padding=1),
        )


# Fully connected encoder and decoder for small pictures: the VAE done well on MNIST.


def dense_block(width: int) -> Residual:
    """Layer norm, linear, GELU, linear, added to what comes in: (B, width) -> the same."""
    return Residual(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))


class DenseEncoder(nn.Module):
    """A linear layer over all pixels, residual layers, layer norm and GELU.

    Shapes:
        image:  (B, C, H, W), in normalised units, C * H * W = `pixels`
        return: (B, width) features
    """

    def __init__(self, pixels: int = 784, width: int = 256, num_blocks: int = 1):
        super().__init__()
        self.stem = nn.Linear(pixels, width)
        self.blocks = nn.Sequential(*(dense_block(width) for _ in range(num_blocks)))
        self.norm = nn.LayerNorm(width)

    def forward(self, image: Tensor) -> Tensor:
        return F.gelu(self.norm(self.blocks(self.stem(image.flatten(1)))))


class DenseDecoder(nn.Module):
    """Latent and label in, pixels out: the mirror of `DenseEncoder`.

    Shapes:
        z:      (B, latent)
        label:  (B,) int64, handed over as one-hot
        return: (B, *shape), in normalised units
    """

    def __init__(self, latent: int = 10, shape: Sequence[int] = (1, 28, 28), width: int = 256, num_blocks: int = 2,
                 num_classes: int = 10):
        super().__init__()
        self.num_classes = num_classes
        self.shape = tuple(shape)
        self.stem = nn.Linear(latent + num_classes, width)
        self.blocks = nn.Sequential(*(dense_block(width) for _ in range(num_blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, torch.Size(self.shape).numel())

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        known = F.one_hot(label, self.num_classes).to(z.dtype)
        h = self.blocks(self.stem(torch.cat([z, known], dim=1)))
        return self.head(F.gelu(self.norm(h))).view(-1, *self.shape)


# Encoder and decoder on patches, each a linear map plus what a small convolutional net adds to it.
#
# The linear maps can start as those of probabilistic PCA (Tipping & Bishop, 1999), the best linear VAE there is, so
# that training begins where a linear method ends. The VAE done well on CIFAR-10.


def patch_block(width: int) -> Residual:
    """Group norm, conv 3x3, GELU, conv 3x3 that starts at zero, added to what comes in: (B, C, h, w) -> the same."""
    return Residual(nn.GroupNorm(1, width), nn.Conv2d(width, width, 3, padding=1), nn.GELU(),
                    zeroed(nn.Conv2d(width, width, 3, padding=1)))


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
        self.blocks = nn.Sequential(*(patch_block(width) for _ in range(num_blocks)))
        self.head = zeroed(nn.Linear(width * (height // patch) * (breadth // patch), features))

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
        self.blocks = nn.Sequential(*(patch_block(width) for _ in range(num_blocks)))
        self.head = zeroed(nn.Conv2d(width, channels * patch**2, 3, padding=1))
        nn.init.normal_(self.label.weight, std=0.1)

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


# The label VAEs of the chapter by name.

NETWORKS = ("digit", "resnet9", "resnet34", "dense", "patch")
STATISTICS = {1: ((0.1307,), (0.3081,)),  # MNIST: mean and standard deviation of each channel, as the report has them
              3: ((0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261))}  # CIFAR-10
PATCH_GAIN = 40.0  # a class is a shift of many of 512 latents; at the learning rate of the nets it is hardly learned


def make_label_vae(network: str, shape: Sequence[int], latent: int, widths: Sequence[int] = (),
                   conditional: bool = False, scale: str = "one", init_log_scale: float = 0.0) -> LabelVAE:
    """A VAE that is told a label.

    Args:
        network: "digit" and "resnet9" are the report's, "resnet34" has the encoder it suggests and the decoder of
            "resnet9"; "dense" and "patch" are ours, conditional.
        shape: (C, H, W) of the images.
        widths: Channels at each resolution, finest first; for "dense" and "patch" one number for each residual
            layer of the encoder, all equal (the decoder has one more). Empty: the report's; 256, 256; 64, 64, 64.
        scale: "one" learns one scale of the likelihood for all pixels, "pixel" one for each.

    Errors: ValueError for a network that does not exist, or cannot be (un)conditional.
    """
    shape, widths = tuple(shape), list(widths)
    if network not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {network!r}")
    if conditional != (network in ("dense", "patch")):
        raise ValueError(f"network {network!r} is {'not ' if conditional else ''}conditional")
    if scale not in ("one", "pixel"):
        raise ValueError(f"scale must be one or pixel, got {scale!r}")
    if network == "digit":
        encoder, decoder, features = DigitEncoder(10), DigitDecoder(latent), 10
    elif network == "dense":
        width, blocks = (widths[0], len(widths)) if widths else (256, 2)
        encoder = DenseEncoder(torch.Size(shape).numel(), width, blocks)
        decoder, features = DenseDecoder(latent, shape, width, blocks + 1), width
    elif network == "patch":
        width, blocks = (widths[0], len(widths)) if widths else (64, 3)
        encoder = PatchEncoder(shape, latent, width, blocks)
        decoder, features = PatchDecoder(latent, shape, width, blocks + 1), latent
    else:
        features = 512
        encoder = (ResNet9Encoder if network == "resnet9" else ResNet34Encoder)(widths or WIDTHS, features)
        decoder = ResNet9Decoder(widths or WIDTHS, latent)
    mean, std = STATISTICS[shape[0]]
    return LabelVAE(encoder, decoder, features, latent, mean, std, conditional=conditional,
                    scale_shape=shape if scale == "pixel" else (), init_log_scale=init_log_scale,
                    prior_gain=PATCH_GAIN if network == "patch" else 1.0)


def make_mixture_vae(shape: Sequence[int], latent: int, width: int, num_blocks: int) -> MixtureVAE:
    """The dense VAE with a distribution for every value.

    Args:
        shape: (C, H, W) of the images.
        width, num_blocks: Of the residual layers of the encoder; the decoder has one layer more.
    """
    channels, *size = shape
    mean, std = STATISTICS[channels]
    return MixtureVAE(DenseEncoder(torch.Size(shape).numel(), width, num_blocks),
                      DenseDecoder(latent, (4 * channels, *size), width, num_blocks + 1), width, latent, mean, std,
                      conditional=True)
