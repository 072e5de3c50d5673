"""ResNet-9 (Page, 2018, "How to train your ResNet"; the DAWNBench entry of Kakao Brain), and its mirror.

Encoder and decoder of the ERA V1 Session 18 report's CIFAR-10 VAE. The encoder has the report's
6.83 million parameters. The decoder's layers were not published, only that it mirrors the encoder with
transposed convolutions and nearest-neighbour doublings and has 11.0 million parameters. A plain mirror
has 6.8; here the encoder's last pooling is undone by a 4x4 transposed convolution, which makes 11.02.
"""

from collections.abc import Sequence

from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512)


def conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3 convolution, batch normalization, ReLU: (B, in, H, W) -> (B, out, H, W)."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def transposed(in_channels: int, out_channels: int, kernel: int = 3, padding: int = 1) -> nn.Sequential:
    """Transposed convolution of stride 1, batch normalization, ReLU; the size stays at 3 and 1."""
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, kernel, padding=padding, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """`x + body(x)`: (B, C, H, W) -> the same."""

    def __init__(self, *body: nn.Module):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def trunk(widths: Sequence[int], in_channels: int) -> list[nn.Module]:
    """Stages up to the pooled features: (B, in_channels, H, W) -> (B, widths[3])."""
    first, second, third, fourth = widths
    return [
        conv(in_channels, first),
        nn.Sequential(
            conv(first, second), nn.MaxPool2d(2), Residual(conv(second, second), conv(second, second))
        ),
        nn.Sequential(conv(second, third), nn.MaxPool2d(2)),
        nn.Sequential(
            conv(third, fourth), nn.MaxPool2d(2), Residual(conv(fourth, fourth), conv(fourth, fourth))
        ),
        nn.AdaptiveMaxPool2d(1),  # 4x4 for images of 32x32
        nn.Flatten(),
    ]


class ResNet9Encoder(nn.Sequential):
    """Eight convolutions in four stages, a linear layer, then dropout: the report's order.

    Shapes: (B, in_channels, 32, 32) -> (B, out_features)
    """

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS,
        out_features: int = 512,
        dropout: float = 0.1,
        in_channels: int = 3,
    ):
        super().__init__(
            *trunk(widths, in_channels), nn.Linear(widths[-1], out_features), nn.Dropout(dropout)
        )


class ResNet9Classifier(nn.Sequential):
    """The encoder's stages under a linear classifier; dropout before it, so that logits stay whole.

    Shapes: (B, in_channels, 32, 32) in [0, 1] -> (B, num_classes) logits
    """

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS,
        num_classes: int = 10,
        dropout: float = 0.1,
        in_channels: int = 3,
    ):
        super().__init__(
            *trunk(widths, in_channels), nn.Dropout(dropout), nn.Linear(widths[-1], num_classes)
        )


class ResNet9Decoder(nn.Sequential):
    """The encoder's stages in reverse; each doubling stands where the encoder halves; linear output.

    Shapes: (B, latent) -> (B, out_channels, 32, 32), in normalised units
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, latent: int = 512, out_channels: int = 3):
        first, second, third, fourth = widths
        super().__init__(
            nn.Sequential(nn.Linear(latent, fourth), nn.Unflatten(1, (fourth, 1, 1))),
            transposed(fourth, fourth, kernel=4, padding=0),  # (B, fourth, 4, 4)
            nn.Sequential(
                Residual(transposed(fourth, fourth), transposed(fourth, fourth)),
                nn.Upsample(scale_factor=2, mode="nearest"),
                transposed(fourth, third),
            ),
            nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), transposed(third, second)),
            nn.Sequential(
                Residual(transposed(second, second), transposed(second, second)),
                nn.Upsample(scale_factor=2, mode="nearest"),
                transposed(second, first),
            ),
            nn.ConvTranspose2d(first, out_channels, kernel_size=3, padding=1),
        )
