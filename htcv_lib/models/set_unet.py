"""A U-Net shared by all views of a set, in which the views exchange what they see at every resolution.

No convolution runs along the views, and all that passes between them is their mean and maximum, so their order cannot
matter (Zaheer et al., 2017, arXiv:1703.06114). Pooling over frames at every resolution is how Aittala and Durand (2018,
doi 10.1007/978-3-030-01237-3_45) deblur bursts. Group normalization takes its statistics over the whole set: which view
is darker than the others is not normalized away.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 8


def conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv3d:
    """A padded 3 x 3 convolution of each view: (B, C, T, H, W) -> (B, out_channels, T, H / stride, W / stride)."""
    return nn.Conv3d(in_channels, out_channels, (1, 3, 3), (1, stride, stride), padding=(0, 1, 1))


def norm(channels: int) -> nn.GroupNorm:
    """Up to eight groups."""
    return nn.GroupNorm(gcd(GROUPS, channels), channels)


class SetBlock(nn.Module):
    """`x + f(x)`; between the two convolutions of f, each view hears the mean and the maximum of all.

    Args:
        channels: C.
        context: The views also hear their own means over all pixels.

    Shapes: (B, C, T, H, W) -> the same
    """

    def __init__(self, channels: int, context: bool = False):
        super().__init__()
        self.first = nn.Sequential(norm(channels), nn.SiLU(), conv(channels, channels))
        self.exchange = nn.Conv3d(2 * channels, channels, kernel_size=1)
        self.context = nn.Conv3d(channels, channels, kernel_size=1) if context else None
        self.second = nn.Sequential(norm(channels), nn.SiLU(), conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        told = self.exchange(torch.cat([h.mean(2, keepdim=True), h.amax(2, keepdim=True)], dim=1))  # (B, C, 1, H, W)
        if self.context is not None:
            told = told + self.context(h.mean((3, 4), keepdim=True))  # (B, C, T, H, W)
        return x + self.second(h + told)


class SetUNet(nn.Module):
    """Views to features at every resolution.

    Args:
        in_channels: Of a view.
        widths: Channels at each resolution, finest first; `len(widths) - 1` halvings.

    Shapes:
        image:  (B, in_channels, T, H, W), any T; H and W multiples of `2 ** (len(widths) - 1)`
        return: list of (B, widths[i], T, H / 2^i, W / 2^i), finest first
    """

    def __init__(self, in_channels: int, widths: Sequence[int]):
        super().__init__()
        self.stem = conv(in_channels, widths[0])
        self.down = nn.ModuleList(conv(fine, coarse, stride=2) for fine, coarse in pairwise(widths))
        self.encoder = nn.ModuleList(SetBlock(width) for width in widths[:-1])
        self.middle = nn.Sequential(SetBlock(widths[-1], context=True), SetBlock(widths[-1], context=True))
        self.up = nn.ModuleList(nn.Conv3d(coarse, fine, kernel_size=1) for fine, coarse in pairwise(widths))
        self.decoder = nn.ModuleList(SetBlock(width) for width in widths[:-1])

    def forward(self, image: Tensor) -> list[Tensor]:
        x, skips = self.stem(image), []
        for block, down in zip(self.encoder, self.down, strict=True):
            skips.append(block(x))
            x = down(skips[-1])
        found = [self.middle(x)]
        for block, up, skip in zip(reversed(self.decoder), reversed(self.up), reversed(skips), strict=True):
            found.append(block(skip + enlarged(up(found[-1]), 2, "nearest")))
        return found[::-1]


def enlarged(x: Tensor, scale: int, mode: str = "bilinear") -> Tensor:
    """Each view `scale` times as high and wide, "bilinear" or "nearest": (B, C, T, H, W) -> (B, C, T, sH, sW)."""
    if mode == "bilinear":  # of neighbours along T, none is mixed in where T keeps its size
        return F.interpolate(x, scale_factor=(1, scale, scale), mode="trilinear", align_corners=False)
    return F.interpolate(x, scale_factor=(1, scale, scale), mode=mode)
