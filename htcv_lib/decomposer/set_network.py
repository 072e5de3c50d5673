"""Decomposition done well: the views are a set that one U-Net shares."""

from collections.abc import Sequence
from itertools import pairwise
from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htcv_lib.decomposer.baselines import median_of_views
from htcv_lib.decomposer.layers import Decomposition, SetDecomposition
from htcv_lib.image import linear, srgb

# A U-Net shared by all views of a set, in which the views exchange what they see at every resolution.
#
# No convolution runs along the views, and all that passes between them is their mean and maximum, so their order cannot
# matter (Zaheer et al., 2017, arXiv:1703.06114). Pooling over frames at every resolution is how Aittala and Durand
# (2018, doi 10.1007/978-3-030-01237-3_45) deblur bursts. Group normalization takes its statistics over the whole set:
# which view is darker than the others is not normalized away.

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


# Decomposition done well: the views are a set, light multiplies and has a colour, and the mask mixes.
#
# Unlike the reports' Decomposer: the order of the views cannot matter (Zaheer et al., 2017, arXiv:1703.06114); the
# clean picture is an attention-weighted mean over the views of each pixel's own colours (attention as pooling: Ilse et
# al., 2018, arXiv:1802.04712), so that copying an unspoilt pixel is easy; shadow and light are drawn small and
# enlarged, because they are smooth; and what stands in front starts as a copy of the view, which shows it.

SHADOW_LEVEL = 2  # drawn at a quarter of the size
LIGHT_LEVEL = 3  # and at an eighth
MAX_LOG_LIGHT = 3.0  # light is at most e^3, about 20 times that of the clean picture, and at least a 20th
DARKEST = 0.05  # where less light fell, a view's pixel is not divided by it
START_MASK, START_SHADOW = -2.0, 3.0  # logits: 12 % occluded, 95 % of the light


class SetDecomposer(nn.Module):
    """A set of views split into the clean picture, shadow, coloured light, highlights, and what stands in front.

    Args:
        widths: Channels at each resolution, finest first; at least 4. The default has about a million weights.

    Shapes:
        image:  (B, 3, T, H, W) in [0, 1], any T, H and W multiples of `2 ** (len(widths) - 1)`
        return: `SetDecomposition`

    Errors: ValueError for other sizes, and for fewer widths.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 128)):
        super().__init__()
        if len(widths) <= LIGHT_LEVEL:
            raise ValueError(f"light is drawn at 1/{2**LIGHT_LEVEL} of the size: at least {LIGHT_LEVEL + 1} widths, "
                             f"got {tuple(widths)}")
        fine, width = widths[0], widths[1]
        self.stride = 2 ** (len(widths) - 1)
        self.unet = SetUNet(6, widths)
        self.light_head = zeroed(conv(widths[LIGHT_LEVEL], 3))
        self.shadow_head = zeroed(conv(widths[SHADOW_LEVEL], 1))
        self.pixel_head = zeroed(conv(fine, 7))  # attention 2, mask 1, colour 3, highlight 1
        self.refine = nn.Sequential(conv(fine + 3, width), SetBlock(width), SetBlock(width), zeroed(conv(width, 3)))

    def forward(self, image: Tensor) -> SetDecomposition:
        if image.ndim != 5 or image.shape[1] != 3 or image.shape[-2] % self.stride or image.shape[-1] % self.stride:
            raise ValueError(f"views must be (B, 3, T, H, W), H and W multiples of {self.stride}, "
                             f"got {tuple(image.shape)}")
        usual = median_of_views(image).expand_as(image)
        features = self.unet(torch.cat([image, usual], dim=1) - 0.5)
        light = self.light_head(features[LIGHT_LEVEL]).float()
        light = enlarged(MAX_LOG_LIGHT * torch.tanh(light / MAX_LOG_LIGHT), 2**LIGHT_LEVEL).exp()
        shadow = enlarged(self.shadow_head(features[SHADOW_LEVEL]).float(), 2**SHADOW_LEVEL)
        shadow = (shadow + START_SHADOW).sigmoid()
        attention, mask, colour, highlight = self.pixel_head(features[0]).float().split((2, 1, 3, 1), dim=1)
        mask_logits = mask + START_MASK
        highlight = F.softplus(highlight - 0.5, beta=10)  # starts at 0.0007

        unlit = (linear(image) - highlight) / (shadow * light).clamp(min=DARKEST)
        candidates = torch.stack([image, srgb(unlit.clamp(0, 1))], dim=1)  # (B, 2, 3, T, H, W)
        weights = attention_over_views(attention, mask_logits)
        pooled = (weights[:, :, None] * candidates).sum((1, 3)).unsqueeze(2)  # (B, 3, 1, H, W)
        context = (weights.sum(1, keepdim=True) * features[0]).sum(2, keepdim=True)  # (B, fine, 1, H, W)
        original = pooled + self.refine(torch.cat([context, pooled - 0.5], dim=1)).float()
        return SetDecomposition(original.clamp(0, 1), light, shadow, (image + colour).clamp(0, 1),
                                mask_logits.sigmoid(), mask_logits, highlight)


def attention_over_views(attention: Tensor, mask_logits: Tensor) -> Tensor:
    """Weights of each pixel's candidates, (B, 2, T, H, W), which add up to 1 over both candidates and all views.

    Args:
        attention: (B, 2, T, H, W), scores of a view as it is, and with its light and shadow undone.
        mask_logits: (B, 1, T, H, W). A candidate counts by the probability that nothing stands before it:
            the softmax of attention + log(1 - sigmoid(mask_logits)).
    """
    scores = attention + F.logsigmoid(-mask_logits)
    return scores.flatten(1, 2).softmax(1).view_as(attention)


def zeroed(layer: nn.Conv3d) -> nn.Conv3d:
    """The layer, starting at zero."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


# The set network for the reports' own formula: light is added, shadow multiplies, nothing has a colour.


class MatchedSetDecomposer(nn.Module):
    """`SetDecomposer` whose highlight is the light that is added; its coloured gain is not used.

    Args:
        widths: As there.

    Shapes:
        image:  (B, 3, T, H, W) in [0, 1]
        return: `Decomposition`, composed as the reports' is
    """

    def __init__(self, widths: Sequence[int]):
        super().__init__()
        self.network = SetDecomposer(widths)

    def forward(self, image: Tensor) -> Decomposition:
        found = self.network(image)
        return Decomposition(found.original, found.highlight.clamp(max=1), found.shadow, found.occlusion, found.mask,
                             found.mask_logits)
