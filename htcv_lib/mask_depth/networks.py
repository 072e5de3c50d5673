"""The networks of the report on mask and depth and what followed it, and all of the chapter's by name."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from htcv_lib.mask_depth.output import MaskDepthNet
from htcv_lib.mask_depth.unet import MaskDepthUNet
from htcv_lib.networks import stage as residual_stage

# The two small networks with dilated convolutions of the EVA4 Session 15 report, layer by layer from its code.
#
# Convolutions are followed by batch normalization and ReLU and have no bias, unless said. With p planes:
#
# - encoder: 3x3 p, 3x3 2p, 3x3 4p of stride 2; then three blocks of 1x1 p, 3x3 2p dilated, 3x3 4p dilated
# - upsampling: version 1 a 3x3 transposed convolution of stride 2 (with bias, nothing after it); version 2 a 1x1 16p
#   and pixel shuffle
# - tail: 3x3 4p, 3x3 8p, and 1x1 to the outputs, alone
#
# Version 1 dilates by 2, 4, 8, version 2 by 2, 3, 4. With p = 16 they have 244,720 and 224,688 parameters (the report:
# around 230K); doubled, 974,816 and 893,792.

VERSION_1 = {"dilations": (2, 4, 8), "upsampling": "transposed"}
VERSION_2 = {"dilations": (2, 3, 4), "upsampling": "pixel_shuffle"}


def conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, dilation: int = 1,
                 groups: int = 1) -> nn.Sequential:
    """A padded convolution without bias, batch normalization, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=dilation * (kernel_size // 2),
                  dilation=dilation, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class AtrousBlock(nn.Module):
    """1x1 to p, 3x3 to 2p and 3x3 to 4p channels, both dilated: (B, 4p, H, W) -> the same.

    Args:
        residual: Add the input before the last ReLU. Input and output have the same shape in every block, so all
            three can; no parameter is added.
    """

    def __init__(self, planes: int, dilation: int, residual: bool = False):
        super().__init__()
        self.residual = residual
        *last, self.activation = conv_bn_relu(2 * planes, 4 * planes, dilation=dilation)
        self.body = nn.Sequential(conv_bn_relu(4 * planes, planes, kernel_size=1),
                                  conv_bn_relu(planes, 2 * planes, dilation=dilation), *last)

    def forward(self, x: Tensor) -> Tensor:
        out = self.body(x)
        return self.activation(x + out if self.residual else out)


class AtrousNet(MaskDepthNet):
    """One halving, three dilated blocks, one doubling; version 2 of the report by default.

    Args:
        planes: Channels of the first layer; 16 in the report, 32 "doubled".
        dilations: Of the blocks, one number each.
        upsampling: "transposed" or "pixel_shuffle".
        residual: Additions around the blocks, as in the report's next step.
        in_channels, scaling, bins: See `MaskDepthNet`.

    Shapes: (B, in_channels, H, W), H and W even -> `MaskDepth`
    """

    def __init__(self, planes: int = 16, dilations: Sequence[int] = VERSION_2["dilations"],
                 upsampling: str = VERSION_2["upsampling"], in_channels: int = 3, residual: bool = False,
                 scaling: str = "minmax", bins: int = 1):
        super().__init__(in_channels, 2, scaling, bins)
        self.encoder = nn.Sequential(
            conv_bn_relu(in_channels, planes),
            conv_bn_relu(planes, 2 * planes),
            conv_bn_relu(2 * planes, 4 * planes, stride=2),
            *(AtrousBlock(planes, dilation, residual) for dilation in dilations),
        )
        self.up = doubling(upsampling, 4 * planes)
        self.tail = nn.Sequential(
            conv_bn_relu(4 * planes, 4 * planes),
            conv_bn_relu(4 * planes, 8 * planes),
            nn.Conv2d(8 * planes, self.out_channels, kernel_size=1, bias=False),
        )

    def raw_output(self, image: Tensor) -> Tensor:
        return self.tail(self.up(self.encoder(image)))


def doubling(kind: str, channels: int) -> nn.Module:
    """(B, channels, H, W) -> (B, channels, 2H, 2W)."""
    if kind == "transposed":
        return nn.ConvTranspose2d(channels, channels, kernel_size=3, stride=2, padding=1, output_padding=1)
    if kind == "pixel_shuffle":
        return nn.Sequential(conv_bn_relu(channels, 4 * channels, kernel_size=1), nn.PixelShuffle(2))
    raise ValueError(f'upsampling must be "transposed" or "pixel_shuffle", got {kind!r}')


# The deeper network the EVA4 Session 15 report planned: depthwise-separable convolutions and no dilation.
#
# The report has only the heading. Ours: a U-Net (Ronneberger et al., 2015, arXiv:1505.04597) with four halvings, where
# every 3x3 convolution but the first is a 3x3 for each channel and a 1x1 across them (Chollet, 2017, arXiv:1610.02357),
# batch normalization and ReLU after the second only, as in the author's library. Doublings are a 1x1 convolution and
# pixel shuffle, as in the report's version 2.

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


# A ResNet-18 (He et al., 2016, arXiv:1512.03385) that draws mask and depth: what followed the EVA4 Session 15 report.
#
# Layers as in the author's code; the blocks are torchvision's, untrained. With p planes, p = 16 there:
#
# - encoder: 3x3 p, 2p, 4p at full resolution in place of the ResNet's stem; stages of two basic blocks at 4p, 8p, 16p,
#   32p, the last three halving
# - decoder: pixel shuffle by 4, 3x3 4p, 3x3 8p; 1x1 32p, pixel shuffle by 2, 3x3 8p; 1x1 to the outputs, alone
#
# There are no skips.


class ResNetMaskDepth(MaskDepthNet):
    """ResNet-18 encoder and pixel shuffle; 11.5 million parameters by default.

    Args:
        planes: A quarter of the ResNet's width.
        in_channels, scaling, bins: See `MaskDepthNet`.

    Shapes: (B, in_channels, H, W), H and W multiples of 8 -> `MaskDepth`
    """

    def __init__(self, planes: int = 16, in_channels: int = 3, scaling: str = "minmax", bins: int = 1):
        super().__init__(in_channels, 8, scaling, bins)
        widths = [4 * planes, 4 * planes, 8 * planes, 16 * planes, 32 * planes]
        self.encoder = nn.Sequential(
            conv_bn_relu(in_channels, planes),
            conv_bn_relu(planes, 2 * planes),
            conv_bn_relu(2 * planes, 4 * planes),
            *(residual_stage(before, after, 2, stride)
              for (before, after), stride in zip(pairwise(widths), (1, 2, 2, 2), strict=True)),
        )
        self.decoder = nn.Sequential(
            nn.PixelShuffle(4),  # (B, 2p, H/2, W/2)
            conv_bn_relu(2 * planes, 4 * planes),
            conv_bn_relu(4 * planes, 8 * planes),
            conv_bn_relu(8 * planes, 32 * planes, kernel_size=1),
            nn.PixelShuffle(2),  # (B, 8p, H, W)
            conv_bn_relu(8 * planes, 8 * planes),
        )
        self.head = nn.Conv2d(8 * planes, self.out_channels, kernel_size=1, bias=False)

    def raw_output(self, image: Tensor) -> Tensor:
        return self.head(self.decoder(self.encoder(image)))


# The chapter's networks for mask and depth by name, and what they are shown.

INPUTS = {"composite": ("image",), "both": ("image", "background")}  # fields of a batch, three channels each
NETWORKS = ("v1", "v2", "resnet18", "separable", "unet")


def mask_depth_network(name: str, planes: int = 16, inputs: str = "composite", scaling: str = "minmax",
                       bins: int = 1, residual: bool = False, coords: bool = False) -> MaskDepthNet:
    """One of the chapter's networks, freshly initialised; call it with `network_input(batch, inputs)`.

    Args:
        name: "v1" and "v2" are the report's, "resnet18" its follow-up, "separable" what it planned, "unet" ours.
        planes: Channels of the first layer: 16 in the report, 32 where it doubles them. "unet" has planes times
            1, 2, 4 and 6 channels, and needs a multiple of 8.
        inputs: "composite" (3 channels, the report's) or "both", with the background (6 channels, the assignment's).
        scaling: "minmax" as in the report, "minmax_joint", or "sigmoid"; see `scale_outputs`.
        bins: 1 predicts depth as a number, more as a distribution over that many intervals.
        residual: Additions around the dilated blocks; "v1" and "v2" only.
        coords: Show row and column of each pixel; "unet" only.

    Errors: ValueError for an unknown name or setting, or one the network does not have.
    """
    if name not in NETWORKS:
        raise ValueError(f"a network is one of {', '.join(NETWORKS)}, got {name!r}")
    if residual and name not in ("v1", "v2"):
        raise ValueError(f"network {name!r} has no dilated blocks to add around")
    if coords and name != "unet":
        raise ValueError(f"network {name!r} takes no coordinates")
    common = {"in_channels": 3 * len(fields(inputs)), "scaling": scaling, "bins": bins}
    if name in ("v1", "v2"):
        return AtrousNet(planes, **(VERSION_1 if name == "v1" else VERSION_2), residual=residual, **common)
    if name == "unet":
        return MaskDepthUNet((planes, 2 * planes, 4 * planes, 6 * planes), coords=coords, **common)
    return {"resnet18": ResNetMaskDepth, "separable": SeparableNet}[name](planes, **common)


def network_input(batch: Mapping[str, Tensor], inputs: str = "composite", levels: int = 0) -> Tensor:
    """What a network made for `inputs` is called with.

    Args:
        batch: `image` (B, 3, H, W), and for "both" `background` (B, 3, H, W), in [0, 1].
        levels: Round to so many equal steps of [0, 1], at least 2; 0 leaves the values as they are.

    Returns (B, 3, H, W) or, image first, (B, 6, H, W).
    """
    names = fields(inputs)
    seen = batch[names[0]] if len(names) == 1 else torch.cat([batch[name] for name in names], dim=1)
    if levels == 0:
        return seen
    if levels < 2:
        raise ValueError(f"levels must be 0 or at least 2, got {levels}")
    return (seen * (levels - 1)).round() / (levels - 1)


def fields(inputs: str) -> tuple[str, ...]:
    if inputs not in INPUTS:
        raise ValueError(f"inputs must be one of {', '.join(INPUTS)}, got {inputs!r}")
    return INPUTS[inputs]


def build_network(parameters: Mapping[str, Any]) -> MaskDepthNet:
    """The network of a run, freshly initialised, from the parameters in its record."""
    names = ("network", "planes", "inputs", "scaling", "bins", "residual", "coords")
    return mask_depth_network(*(parameters[name] for name in names))
