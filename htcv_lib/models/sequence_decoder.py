"""Decoder of a 3-D U-Net (Cicek et al., 2016, arXiv:1606.06650), as the reports attach it to the video encoder.

Blocks are "gcr" twice, in the words of the implementation the reports use (Wolny et al., 2020, doi
10.7554/eLife.57613): group normalization, 3 x 3 x 3 convolution, ReLU. Two of its habits are kept because results
depend on them. A head that draws one picture enlarges its features to one view by nearest neighbours, which takes the
first slot of time and drops the others: they count only as far as earlier convolutions carried them there. And a
decoder "without skips" multiplies the skips by zero instead of leaving them out, so it has as many weights as before.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 8
HALVINGS = 2  # stages without a skip: the encoder's patches are 2 ** 2 pixels wide


class DoubleBlock(nn.Sequential):
    """Twice group normalization, convolution, ReLU: (B, in_channels, T, H, W) -> (B, out_channels, T, H, W).

    Eight groups, or the largest number of them that divides both eight and the channels.
    """

    def __init__(self, in_channels: int, out_channels: int):
        layers = []
        for channels in (in_channels, out_channels):
            layers += [nn.GroupNorm(gcd(GROUPS, channels), channels),
                       nn.Conv3d(channels, out_channels, kernel_size=3, padding=1, bias=False), nn.ReLU()]
        super().__init__(*layers)


class SequenceDecoder(nn.Module):
    """Features of a `VideoSwinEncoder` to a sequence, or to one picture.

    Args:
        embed_dim: C, channels of the finest feature, a multiple of 4.
        out_channels: Channels of what is returned.
        frames: Views to draw; 1 draws one picture (see above).
        skips: False multiplies the skips by zero.

    Shapes:
        features: four, finest first, as `VideoSwinEncoder` returns them
        return:   (B, out_channels, frames, H, W), before any activation; H and W 4 times those of the finest feature

    Errors: ValueError for an `embed_dim` that is no multiple of 4.
    """

    def __init__(self, embed_dim: int, out_channels: int, frames: int, skips: bool = True):
        super().__init__()
        if embed_dim % 4:
            raise ValueError(f"embed_dim must be a multiple of 4, got {embed_dim}")
        self.frames, self.skips = frames, skips
        widths = [embed_dim * 2**stage for stage in (3, 2, 1, 0)]  # coarsest first
        ends = [embed_dim // 2**halving for halving in range(HALVINGS + 1)]
        self.skip_blocks = nn.ModuleList(DoubleBlock(coarse + fine, fine) for coarse, fine in pairwise(widths))
        self.free_blocks = nn.ModuleList(DoubleBlock(coarse, fine) for coarse, fine in pairwise(ends))
        self.head = nn.Conv3d(ends[-1], out_channels, kernel_size=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        *skips, x = features
        slots, height, width = features[0].shape[2:]
        for block, skip in zip(self.skip_blocks, reversed(skips), strict=True):
            x = F.interpolate(x, size=skip.shape[2:], mode="nearest")
            x = block(torch.cat([skip if self.skips else skip * 0, x], dim=1))  # the skip's channels
        sizes = [(slots, 2 * height, 2 * width), (self.frames, 4 * height, 4 * width)]
        for block, size in zip(self.free_blocks, sizes, strict=True):
            x = block(F.interpolate(x, size=size, mode="nearest"))
        return self.head(x)
