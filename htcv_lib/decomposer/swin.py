"""The video Swin encoder and the decoders that stand on it."""

from collections.abc import Sequence
from itertools import pairwise
from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.swin_transformer import SwinTransformerBlock
from torchvision.models.video.swin_transformer import PatchEmbed3d, ShiftedWindowAttention3d, SwinTransformer3d

# Video Swin Transformer (Liu et al., 2022, arXiv:2106.13230) as an encoder, made of torchvision's modules.
#
# The reports take the "tiny" one, with patches of two views by 4 x 4 pixels and no normalization of the patches, and
# read off what each stage knows before the next one halves the grid. Time is never merged. The deepest feature, and
# only that one, passes through the final layer normalization. Where a grid is smaller than a window, torchvision and
# the authors' own code alike take the first rows of the table of relative positions, which are then not the true ones.

PATCH = (2, 4, 4)
WINDOW = (2, 7, 7)


class VideoSwinEncoder(nn.Module):
    """Views to features at four resolutions.

    Args:
        embed_dim: C, channels of the finest feature; each stage doubles them. 96 in the reports.
        depths: Blocks of each stage.
        num_heads: Of each stage; None is `heads_for(embed_dim)`.
        patch_size: Views, rows and columns of a patch.
        window_size: Patches of a window of attention, in the same order. Where a grid is smaller, the window is.
        drop_path: Probability that the last block is skipped in training; it grows linearly from 0 at the first.

    Shapes:
        image:  (B, 3, T, H, W) in [0, 1], multiples of the patch
        return: for patches of (2, 4, 4), (B, C, T/2, H/4, W/4), (B, 2C, T/2, H/8, W/8), (B, 4C, T/2, H/16, W/16) and
            (B, 8C, T/2, H/32, W/32); an odd side is halved upwards

    Errors: ValueError for sizes that are no multiples of the patch, and for heads that do not divide the channels.
    """

    def __init__(self, embed_dim: int = 96, depths: Sequence[int] = (2, 2, 6, 2),
                 num_heads: Sequence[int] | None = None, patch_size: Sequence[int] = PATCH,
                 window_size: Sequence[int] = WINDOW, drop_path: float = 0.2):
        super().__init__()
        num_heads = heads_for(embed_dim) if num_heads is None else tuple(num_heads)
        check_heads([embed_dim * 2**stage for stage in range(len(depths))], num_heads)
        self.embed_dim, self.patch_size = embed_dim, tuple(patch_size)
        swin = SwinTransformer3d(list(patch_size), embed_dim, list(depths), list(num_heads), list(window_size),
                                 stochastic_depth_prob=drop_path, num_classes=1, patch_embed=plain_patches)
        self.patch_embed, self.features, self.norm = swin.patch_embed, swin.features, swin.norm  # torchvision's names

    def forward(self, image: Tensor) -> list[Tensor]:
        if image.ndim != 5 or image.shape[1] != 3:
            raise ValueError(f"views must be (B, 3, T, H, W), got {tuple(image.shape)}")
        if any(size % patch for size, patch in zip(image.shape[2:], self.patch_size, strict=True)):
            raise ValueError(f"T, H and W must be multiples of {self.patch_size}, got {tuple(image.shape)}")
        x = self.patch_embed(image)  # (B, T/2, H/4, W/4, C)
        found = []
        for index, layer in enumerate(self.features):  # blocks, merging, blocks, merging, ...
            x = layer(x)
            if index % 2 == 0:
                found.append(x)
        found[-1] = self.norm(found[-1])
        return [feature.permute(0, 4, 1, 2, 3) for feature in found]


def heads_for(embed_dim: int) -> tuple[int, int, int, int]:
    """Heads of attention of the four stages: 3, 6, 12, 24 as in the paper, or 2, 4, 8, 16 where 3 does not divide.

    Errors: ValueError for an odd number of channels that 3 does not divide either.
    """
    first = next((heads for heads in (3, 2) if embed_dim % heads == 0), None)
    if first is None:
        raise ValueError(f"embed_dim must be a multiple of 2 or 3, got {embed_dim}")
    return first, 2 * first, 4 * first, 8 * first


def check_heads(channels: Sequence[int], num_heads: Sequence[int]) -> None:
    if len(channels) != len(num_heads) or any(c % h for c, h in zip(channels, num_heads, strict=True)):
        raise ValueError(f"heads {tuple(num_heads)} do not divide the channels {tuple(channels)}")


def plain_patches(patch_size: list[int], embed_dim: int, norm_layer=None) -> PatchEmbed3d:
    """torchvision's patches, whatever normalization it asks for left out."""
    return PatchEmbed3d(patch_size, embed_dim=embed_dim)


# Decoder of a 3-D U-Net (Cicek et al., 2016, arXiv:1606.06650), as the reports attach it to the video encoder.
#
# Blocks are "gcr" twice, in the words of the implementation the reports use (Wolny et al., 2020, doi
# 10.7554/eLife.57613): group normalization, 3 x 3 x 3 convolution, ReLU. Two of its habits are kept because results
# depend on them. A head that draws one picture enlarges its features to one view by nearest neighbours, which takes the
# first slot of time and drops the others: they count only as far as earlier convolutions carried them there. And a
# decoder "without skips" multiplies the skips by zero instead of leaving them out, so it has as many weights as before.

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


# The video encoder with a single decoder: views in, views or one picture out.
#
# The first report reconstructs the clean picture with it, as the mean of all views it draws ("many-to-many") or with a
# head that draws one; "Tackling Decomposition Learning" trains it as an autoencoder, with and without skips, for the
# sake of its encoder.


class FramesNet(nn.Module):
    """Views to views.

    Args:
        embed_dim: Channels of the encoder's finest feature, a multiple of 4; 96 in the reports.
        frames: Views to draw: as many as are shown, or 1.
        skips: False multiplies the skips by zero.
        drop_path: Of the encoder.
        depths: Blocks of the encoder's stages.

    Shapes:
        image:  (B, 3, T, H, W) in [0, 1], T even, H and W multiples of 4
        return: (B, 3, frames, H, W) in [0, 1]

    Errors: ValueError for other sizes.
    """

    def __init__(self, embed_dim: int = 96, frames: int = 10, skips: bool = True, drop_path: float = 0.2,
                 depths: Sequence[int] = (2, 2, 6, 2)):
        super().__init__()
        self.frames = frames
        self.encoder = VideoSwinEncoder(embed_dim, depths, drop_path=drop_path)
        self.decoder = SequenceDecoder(embed_dim, 3, frames, skips)

    def forward(self, image: Tensor) -> Tensor:
        check_frames(image, self.frames)
        return self.decoder(self.encoder(image)).float().sigmoid()

    def clean_picture(self, image: Tensor) -> Tensor:
        """The mean of the views drawn, (B, 3, 1, H, W)."""
        return self(image).mean(dim=2, keepdim=True)


def check_frames(image: Tensor, frames: int) -> None:
    """Errors: ValueError unless `frames` is 1 or the number of views."""
    if image.ndim == 5 and frames not in (1, image.shape[2]):
        raise ValueError(f"the network draws {frames} views, got {tuple(image.shape)}")


# The reports' side exploration: a decoder that mirrors the video encoder.
#
# Where the encoder merges four patches into one (Liu et al., 2021, arXiv:2103.14030), it splits one into four. It sees
# the deepest feature alone, there are no skips. The report calls its pictures noisy and drops it.


class PatchSplitting(nn.Module):
    """One patch to four, with half the channels: (B, T, H, W, C) -> (B, T, 2H, 2W, C / 2).

    A linear layer doubles the channels, a quarter of which goes to each of the four, then layer normalization.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.expansion = nn.Linear(channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        four = self.expansion(x).unflatten(-1, (2, 2, -1))  # (B, T, H, W, row, column, C / 2)
        return self.norm(four.permute(0, 1, 2, 4, 3, 5, 6).flatten(4, 5).flatten(2, 3))


class ReverseSwinDecoder(nn.Module):
    """The deepest feature to a sequence, or to one picture.

    Args:
        embed_dim: C, channels of the encoder's finest feature.
        out_channels: Channels of what is returned.
        frames: Views to draw: 2 for each slot of time, or 1, to which every slot adds with weights of its own.
        slots: Slots of time of the feature; `frames` / 2 unless one picture is drawn.
        depths: Blocks of each stage, coarsest first. Heads are the encoder's, reversed.
        drop_path: Probability that the last block is skipped in training; it grows linearly from 0 at the first.

    Shapes:
        features: four, finest first, as `VideoSwinEncoder` returns them; of the first three only the sizes count
        return:   (B, out_channels, frames, H, W), before any activation
    """

    def __init__(self, embed_dim: int, out_channels: int, frames: int, slots: int, depths: Sequence[int] = (1, 1, 1, 1),
                 drop_path: float = 0.2):
        super().__init__()
        widths = [embed_dim * 2**stage for stage in (3, 2, 1, 0)]
        num_heads = heads_for(embed_dim)[::-1]
        check_heads(widths, num_heads)
        rates = iter(torch.linspace(0, drop_path, sum(depths), device="cpu").tolist())
        self.stages = nn.ModuleList(
            nn.Sequential(*(block(width, heads, index, next(rates)) for index in range(depth)))
            for width, heads, depth in zip(widths, num_heads, depths, strict=True))
        self.splits = nn.ModuleList(PatchSplitting(width) for width in widths[:-1])
        self.norm = nn.LayerNorm(embed_dim)
        time = {"kernel_size": PATCH, "stride": PATCH} if frames > 1 else {
            "kernel_size": (slots, *PATCH[1:]), "stride": (1, *PATCH[1:]), "padding": (slots - 1, 0, 0)}
        self.head = nn.ConvTranspose3d(embed_dim, out_channels, **time)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = self.stages[0](features[-1].permute(0, 2, 3, 4, 1))
        for split, stage, finer in zip(self.splits, self.stages[1:], reversed(features[:-1]), strict=True):
            height, width = finer.shape[-2:]
            x = stage(split(x)[:, :, :height, :width])  # the encoder halves an odd side upwards
        return self.head(self.norm(x).permute(0, 4, 1, 2, 3))


class ReverseSwinNet(nn.Module):
    """`FramesNet` with the mirrored decoder.

    Args:
        embed_dim: Channels of the encoder's finest feature; 96 in the reports.
        frames: Views to draw: as many as are shown, or 1.
        views: Views shown; only needed where one is drawn.
        drop_path: Of encoder and decoder.
        depths: Blocks of the encoder's stages.
        decoder_depths: Blocks of the decoder's, coarsest first.

    Shapes:
        image:  (B, 3, T, H, W) in [0, 1], T even, H and W multiples of 4
        return: (B, 3, frames, H, W) in [0, 1]

    Errors: ValueError for other sizes.
    """

    def __init__(self, embed_dim: int = 96, frames: int = 10, views: int | None = None, drop_path: float = 0.2,
                 depths: Sequence[int] = (2, 2, 6, 2), decoder_depths: Sequence[int] = (1, 1, 1, 1)):
        super().__init__()
        self.frames, self.views = frames, frames if views is None else views
        self.encoder = VideoSwinEncoder(embed_dim, depths, drop_path=drop_path)
        self.decoder = ReverseSwinDecoder(embed_dim, 3, frames, self.views // PATCH[0], decoder_depths, drop_path)

    def forward(self, image: Tensor) -> Tensor:
        check_frames(image, self.frames)
        if image.ndim == 5 and image.shape[2] != self.views:
            raise ValueError(f"the network takes {self.views} views, got {tuple(image.shape)}")
        return self.decoder(self.encoder(image)).float().sigmoid()


def block(channels: int, num_heads: int, index: int, drop_path: float) -> SwinTransformerBlock:
    """A block of the encoder; every second one shifts its windows by half."""
    shift = [side // 2 if index % 2 else 0 for side in WINDOW]
    return SwinTransformerBlock(channels, num_heads, list(WINDOW), shift, stochastic_depth_prob=drop_path,
                                attn_layer=ShiftedWindowAttention3d)
