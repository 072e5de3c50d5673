"""ResNet-9 (Page, 2018, "How to train your ResNet"; the DAWNBench entry of Kakao Brain), and its mirror.

Encoder and decoder of the ERA V1 Session 18 report's CIFAR-10 VAE, layer by layer: convolutions with bias, pooling
before normalization, dropout after every ReLU. At the report's widths 6.83 and 11.03 million parameters.
"""

from collections.abc import Sequence

from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512)


def conv(in_channels: int, out_channels: int, dropout: float, pool: bool = False) -> nn.Sequential:
    """3x3 convolution, maybe 2x2 max-pooling, batch normalization, ReLU, dropout."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
        *([nn.MaxPool2d(2)] if pool else []),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.Dropout(dropout),
    )


def transposed(in_channels: int, out_channels: int, dropout: float, double: bool = False) -> nn.Sequential:
    """Maybe a nearest-neighbour doubling, 3x3 transposed convolution, batch normalization, ReLU, dropout."""
    return nn.Sequential(
        *([nn.Upsample(scale_factor=2, mode="nearest")] if double else []),
        nn.ConvTranspose2d(in_channels, out_channels, kernel_size=3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.Dropout(dropout),
    )


class Residual(nn.Module):
    """`x + body(x)`: (B, C, H, W) -> the same."""

    def __init__(self, *body: nn.Module):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResNet9Encoder(nn.Sequential):
    """Eight convolutions in four stages, global max-pooling and a linear layer.

    With ten outputs it is the report's CIFAR-10 classifier, the guide.

    Shapes: (B, in_channels, 32, 32) -> (B, out_features)
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, out_features: int = 512, dropout: float = 0.1,
                 in_channels: int = 3):
        first, second, third, fourth = widths
        super().__init__(
            conv(in_channels, first, dropout),
            nn.Sequential(conv(first, second, dropout, pool=True),
                          Residual(conv(second, second, dropout), conv(second, second, dropout))),
            conv(second, third, dropout, pool=True),
            nn.Sequential(conv(third, fourth, dropout, pool=True),
                          Residual(conv(fourth, fourth, dropout), conv(fourth, fourth, dropout))),
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
        super().__init__(
            nn.Sequential(nn.Linear(latent, fourth), nn.Unflatten(1, (fourth, 1, 1))),
            nn.ConvTranspose2d(fourth, fourth, kernel_size=4),  # (B, fourth, 4, 4)
            nn.Sequential(Residual(transposed(fourth, fourth, dropout), transposed(fourth, fourth, dropout)),
                          transposed(fourth, third, dropout, double=True)),
            transposed(third, second, dropout, double=True),
            nn.Sequential(Residual(transposed(second, second, dropout), transposed(second, second, dropout)),
                          transposed(second, first, dropout, double=True)),
            nn.ConvTranspose2d(first, out_channels, kernel_size=3, padding=1),
        )
