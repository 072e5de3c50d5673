"""A ResNet-18 (He et al., 2016, arXiv:1512.03385) that draws mask and depth: what followed the EVA4 Session 15 report.

Layers as in the author's code; the blocks are torchvision's, untrained. With p planes, p = 16 there:

- encoder: 3x3 p, 2p, 4p at full resolution in place of the ResNet's stem; stages of two basic blocks at 4p, 8p, 16p,
  32p, the last three halving
- decoder: pixel shuffle by 4, 3x3 4p, 3x3 8p; 1x1 32p, pixel shuffle by 2, 3x3 8p; 1x1 to the outputs, alone. No skips.
"""

from itertools import pairwise

from torch import Tensor, nn

from htcv_lib.models.atrous_net import conv_bn_relu
from htcv_lib.models.mask_depth_output import MaskDepthNet
from htcv_lib.models.resnet34 import stage


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
            *(stage(before, after, 2, stride) for (before, after), stride in zip(pairwise(widths), (1, 2, 2, 2),
                                                                                strict=True)),
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
