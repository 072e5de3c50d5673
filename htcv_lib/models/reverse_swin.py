"""The reports' side exploration: a decoder that mirrors the video encoder.

Where the encoder merges four patches into one (Liu et al., 2021, arXiv:2103.14030), it splits one into four. It sees
the deepest feature alone, there are no skips. The report calls its pictures noisy and drops it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.swin_transformer import SwinTransformerBlock
from torchvision.models.video.swin_transformer import ShiftedWindowAttention3d

from htcv_lib.models.frames_net import check_frames
from htcv_lib.models.video_swin import PATCH, WINDOW, VideoSwinEncoder, check_heads, heads_for


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
