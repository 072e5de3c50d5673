"""The deeper network the EVA4 Session 15 report planned: depthwise-separable convolutions and no dilation.

The report has only the heading. Ours: a U-Net (Ronneberger et al., 2015, arXiv:1505.04597) with four halvings, where
every 3x3 convolution but the first is a 3x3 for each channel and a 1x1 across them (Chollet, 2017, arXiv:1610.02357),
batch normalization and ReLU after the second only, as in the author's library. Doublings are a 1x1 convolution and
pixel shuffle, as in the report's version 2.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from htcv_lib.models.atrous_net import conv_bn_relu, doubling
from htcv_lib.models.mask_depth_output import MaskDepthNet

HALVINGS = 4


def separable(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """3x3 within each channel, 1x1 across channels, batch normalization, ReLU."""
    depthwise = nn.Conv2d(in_channels, in_channels, kernel_size=3, stride=stride, padding=1, groups=in_channels,
                          bias=False)
    return nn.Sequential(depthwise, conv_bn_relu(in_channels, out_channels, kernel_size=1))


class SeparableNet(MaskDepthNet):
    """Encoder and decoder of separable convolutions, with skips; 0.35 million parameters by default.

    Args:
        planes: Channels at full resolution; they double with each halving.
        in_channels, scaling, bins: See `MaskDepthNet`.

    Shapes: (B, in_channels, H, W), H and W multiples of 16 -> `MaskDepth`
    """

    def __init__(self, planes: int = 16, in_channels: int = 3, scaling: str = "minmax", bins: int = 1):
        super().__init__(in_channels, 2**HALVINGS, scaling, bins)
        widths = [planes << i for i in range(HALVINGS + 1)]
        self.encoder = nn.ModuleList([
            nn.Sequential(conv_bn_relu(in_channels, planes), separable(planes, planes)),
            *(nn.Sequential(separable(fine, coarse, stride=2), separable(coarse, coarse))
              for fine, coarse in pairwise(widths)),
        ])
        steps = list(reversed(list(pairwise(widths))))  # (fine, coarse), coarsest first
        self.narrow = nn.ModuleList(conv_bn_relu(coarse, fine, kernel_size=1) for fine, coarse in steps)
        self.up = nn.ModuleList(doubling("pixel_shuffle", fine) for fine, _ in steps)
        self.decoder = nn.ModuleList(nn.Sequential(separable(2 * fine, fine), separable(fine, fine))
                                     for fine, _ in steps)
        self.head = nn.Conv2d(planes, self.out_channels, kernel_size=1)

    def raw_output(self, image: Tensor) -> Tensor:
        skips, x = [], image
        for stage in self.encoder:
            x = stage(x)  # (B, planes * 2^i, H / 2^i, W / 2^i)
            skips.append(x)
        skips.pop()
        for narrow, up, block in zip(self.narrow, self.up, self.decoder, strict=True):
            x = block(torch.cat([up(narrow(x)), skips.pop()], dim=1))
        return self.head(x)
