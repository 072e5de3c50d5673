"""A plain convolutional classifier: the judge, trained apart from every network it judges."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, group normalization (eight groups where they fit), GELU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(math.gcd(8, out_channels), out_channels),
        nn.GELU(),
    )


class PlainClassifier(nn.Sequential):
    """Per width two 3x3 convolutions and a halving (Simonyan & Zisserman, 2015, arXiv:1409.1556).

    Unlike the paper: group normalization, GELU, global average pooling and a single linear layer.

    Args:
        widths: Channels at each resolution, finest first.
        dropout: Before the linear layer.
        stem_stride: 2 lets the first convolution halve the image, for a cheaper judge.

    Shapes: (B, in_channels, H, W) in [0, 1], sides of at least `stem_stride * 2 ** len(widths)`
        -> (B, num_classes) logits
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int] = (32, 64, 128),
        num_classes: int = 10,
        dropout: float = 0.0,
        stem_stride: int = 1,
    ):
        strides = [stem_stride] + [1] * (len(widths) - 1)
        stages = [
            nn.Sequential(conv(previous, width, stride), conv(width, width), nn.MaxPool2d(2))
            for (previous, width), stride in zip(pairwise([in_channels, *widths]), strides, strict=True)
        ]
        super().__init__(
            *stages,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(widths[-1], num_classes),
        )
