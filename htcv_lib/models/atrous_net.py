"""The two small networks with dilated convolutions of the EVA4 Session 15 report, layer by layer from its code.

Convolutions are followed by batch normalization and ReLU and have no bias, unless said. With p planes:

- encoder: 3x3 p, 3x3 2p, 3x3 4p of stride 2; then three blocks of 1x1 p, 3x3 2p dilated, 3x3 4p dilated
- upsampling: version 1 a 3x3 transposed convolution of stride 2 (with bias, nothing after it); version 2 a 1x1 16p and
  pixel shuffle
- tail: 3x3 4p, 3x3 8p, and 1x1 to the outputs, alone

Version 1 dilates by 2, 4, 8, version 2 by 2, 3, 4. With p = 16 they have 244,720 and 224,688 parameters (the report:
around 230K); doubled, 974,816 and 893,792.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from htcv_lib.models.mask_depth_output import MaskDepthNet

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
