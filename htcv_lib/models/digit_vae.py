"""Encoder and decoder of the ERA V1 Session 18 report's MNIST VAE, 5,196 and 7,137 parameters.

The encoder is the report's "8000-parameter" MNIST classifier; with ten outputs it is that classifier
(and the guide that reads the label off a reconstruction). No convolution is padded.
"""

from torch import nn


def conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3 convolution, ReLU, batch normalization: (B, in, H, W) -> (B, out, H - 2, W - 2)."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3), nn.ReLU(), nn.BatchNorm2d(out_channels))


def transposed(in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3 transposed convolution, ReLU, batch normalization: (B, in, H, W) -> (B, out, H + 2, W + 2)."""
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, 3), nn.ReLU(), nn.BatchNorm2d(out_channels)
    )


class DigitEncoder(nn.Sequential):
    """Six 3x3 convolutions and two 1x1, one halving, global average pooling.

    Shapes: (B, 1, 28, 28) -> (B, out_features); logits of the ten digits when it serves as a classifier
    """

    def __init__(self, out_features: int = 10):
        super().__init__(
            conv(1, 10),
            conv(10, 10),
            conv(10, 11),  # (B, 11, 22, 22)
            nn.MaxPool2d(2),
            nn.Conv2d(11, 10, kernel_size=1),
            conv(10, 10),
            conv(10, 10),
            conv(10, 11),  # (B, 11, 5, 5)
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
            transposed(latent, 11),
            transposed(11, 10),
            transposed(10, 10),
            transposed(10, 11),
            nn.ConvTranspose2d(11, 11, kernel_size=3),  # (B, 11, 11, 11)
            nn.Upsample(scale_factor=2, mode="nearest"),
            transposed(11, 10),
            transposed(10, 10),
            nn.ConvTranspose2d(10, 1, kernel_size=3),
        )
