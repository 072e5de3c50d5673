"""ResNet-34 (He et al., 2016, arXiv:1512.03385) for images of 32x32.

Unlike the paper's: a 3x3 stem of stride 1 and no max-pooling after it, so that four stages see 32, 16, 8
and 4 pixels a side. The blocks are torchvision's, and so is the initialisation.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn
from torchvision.models.resnet import BasicBlock

BLOCKS = (3, 4, 6, 3)


def stage(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    """`blocks` basic blocks, the first with the stride: (B, in, H, W) -> (B, out, H / stride, W / stride)."""
    shortcut = None
    if stride != 1 or in_channels != out_channels:
        shortcut = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False),
            nn.BatchNorm2d(out_channels),
        )
    first = BasicBlock(in_channels, out_channels, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels) for _ in range(blocks - 1)))


class ResNet34Encoder(nn.Sequential):
    """A stem, stages of 3, 4, 6 and 3 basic blocks, global average pooling, a linear layer.

    Args:
        widths: Channels of the four stages; the stem has those of the first.

    Shapes: (B, in_channels, 32, 32) -> (B, out_features)
    """

    def __init__(
        self, widths: Sequence[int] = (64, 128, 256, 512), out_features: int = 512, in_channels: int = 3
    ):
        channels = [widths[0], *widths]
        stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        stages = [
            stage(before, after, blocks, stride)
            for (before, after), blocks, stride in zip(pairwise(channels), BLOCKS, (1, 2, 2, 2), strict=True)
        ]
        head = nn.Linear(widths[-1], out_features)
        super().__init__(stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
