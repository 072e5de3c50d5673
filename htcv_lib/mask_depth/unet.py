"""Mask and depth done well: a U-Net with two decoders whose pixel shuffles start without a checkerboard."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from htcv_lib.mask_depth.output import MaskDepthNet

# ICNR (Aitken et al., 2017, arXiv:1707.02937): pixel shuffle that starts without a checkerboard.


@torch.no_grad()
def icnr_(conv: nn.Conv2d, scale: int = 2) -> nn.Conv2d:
    """Let the `scale ** 2` filters that draw one block of pixels start as copies of the first; returns the layer.

    `PixelShuffle(scale)` after it then enlarges by repetition, until training tells the filters apart. Whatever
    distribution the filters came from stays.

    Errors: ValueError if the output channels do not fill whole blocks.
    """
    copies = scale**2
    if conv.out_channels % copies:
        raise ValueError(f"{conv.out_channels} channels are no multiple of {scale}^2")
    for parameter in (conv.weight, conv.bias):
        if parameter is not None:
            parameter.copy_(parameter[::copies].repeat_interleave(copies, dim=0))
    return conv


# A U-Net (Ronneberger et al., 2015, arXiv:1505.04597) with two decoders.
#
# Unlike the report's networks: skips, so that outlines stay sharp; a decoder for each of the two tasks; a sigmoid, so
# that an empty mask can be drawn; group normalization (Wu and He, 2018, arXiv:1803.08494), so that a picture's
# prediction does not depend on its batch. Unlike the U-Net: residual blocks, strided convolutions, doublings by pixel
# shuffle that start as repetition (`icnr_`), and two dilated convolutions and a global mean at the coarsest resolution,
# so that every pixel sees the whole picture.

GROUPS = 8


def conv3x3(in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    """A padded 3x3 convolution and group normalization."""
    return [nn.Conv2d(in_channels, out_channels, 3, stride, padding=dilation, dilation=dilation, bias=False),
            nn.GroupNorm(GROUPS, out_channels)]


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: (B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, dilations: Sequence[int] = (1, 1)):
        super().__init__()
        first, second = dilations
        self.body = nn.Sequential(*conv3x3(in_channels, out_channels, stride, first), nn.ReLU(),
                                  *conv3x3(out_channels, out_channels, dilation=second))
        self.shortcut = nn.Identity() if (in_channels, stride) == (out_channels, 1) else nn.Sequential(
            nn.AvgPool2d(stride), nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False))
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.body(x) + self.shortcut(x))


class Bottleneck(nn.Module):
    """A block dilated by 2 and 4, then the picture's mean added everywhere: (B, C, H, W) -> the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.block = Block(channels, channels, dilations=(2, 4))
        self.context = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, kernel_size=1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(x)
        return x + self.context(x)


class Decoder(nn.Module):
    """Features of all resolutions to raw numbers.

    Shapes: coarsest first, (B, widths[-1], h, w) to (B, widths[0], H, W) -> (B, out_channels, H, W)
    """

    def __init__(self, widths: Sequence[int], out_channels: int, upsampling: str):
        super().__init__()
        steps = list(reversed(list(pairwise(widths))))  # (fine, coarse), coarsest first
        self.up = nn.ModuleList(doubling(upsampling, coarse, fine) for fine, coarse in steps)
        self.blocks = nn.ModuleList(Block(2 * fine, fine) for fine, _ in steps)
        self.head = nn.Conv2d(widths[0], out_channels, kernel_size=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x, *skips = features
        for up, block, skip in zip(self.up, self.blocks, skips, strict=True):
            x = block(torch.cat([up(x), skip], dim=1))
        return self.head(x)


class MaskDepthUNet(MaskDepthNet):
    """A shared encoder with skips into two decoders; 0.8 million parameters by default.

    Args:
        widths: Channels at each resolution, finest first, multiples of 8; `len(widths) - 1` halvings.
        coords: Give the network row and column of each pixel (Liu et al., 2018, arXiv:1807.03247): on level ground
            depth follows from the row.
        upsampling: "pixel_shuffle", starting as repetition, or "resize" (nearest neighbour, then a 3x3 convolution;
            Odena et al., 2016, doi:10.23915/distill.00003).
        in_channels, scaling, bins: See `MaskDepthNet`.

    Shapes: (B, in_channels, H, W), H and W multiples of `2 ** (len(widths) - 1)` -> `MaskDepth`
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 96), in_channels: int = 3, scaling: str = "sigmoid",
                 bins: int = 1, coords: bool = False, upsampling: str = "pixel_shuffle"):
        super().__init__(in_channels, 2 ** (len(widths) - 1), scaling, bins)
        if any(width % GROUPS for width in widths):
            raise ValueError(f"widths must be multiples of {GROUPS}, got {tuple(widths)}")
        self.coords = coords
        self.encoder = nn.ModuleList([Block(in_channels + 2 * coords, widths[0]),
                                      *(Block(fine, coarse, stride=2) for fine, coarse in pairwise(widths))])
        self.bottleneck = Bottleneck(widths[-1])
        self.mask_decoder = Decoder(widths, 1, upsampling)
        self.depth_decoder = Decoder(widths, bins, upsampling)

    def raw_output(self, image: Tensor) -> Tensor:
        x = 2 * image - 1  # nothing after it would remove the mean
        if self.coords:
            x = torch.cat([x, pixel_coordinates(image)], dim=1)
        features = []
        for block in self.encoder:
            x = block(x)  # (B, widths[i], H / 2^i, W / 2^i)
            features.append(x)
        features[-1] = self.bottleneck(x)
        features.reverse()
        return torch.cat([self.mask_decoder(features), self.depth_decoder(features)], dim=1)


def pixel_coordinates(image: Tensor) -> Tensor:
    """Row and column of each pixel's centre, the picture's edges at -1 and 1: (B, C, H, W) -> (B, 2, H, W)."""
    rows, columns = ((torch.arange(size, device=image.device, dtype=image.dtype) + 0.5) * 2 / size - 1
                     for size in image.shape[-2:])
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(len(image), -1, -1, -1)


def doubling(kind: str, coarse: int, fine: int) -> nn.Module:
    """(B, coarse, H, W) -> (B, fine, 2H, 2W)."""
    if kind == "pixel_shuffle":
        return nn.Sequential(icnr_(nn.Conv2d(coarse, 4 * fine, kernel_size=1)), nn.PixelShuffle(2))
    if kind == "resize":
        return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"),
                             nn.Conv2d(coarse, fine, kernel_size=3, padding=1))
    raise ValueError(f'upsampling must be "pixel_shuffle" or "resize", got {kind!r}')
