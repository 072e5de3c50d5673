"""Video Swin Transformer (Liu et al., 2022, arXiv:2106.13230) as an encoder, made of torchvision's modules.

The reports take the "tiny" one, with patches of two views by 4 x 4 pixels and no normalization of the patches, and
read off what each stage knows before the next one halves the grid. Time is never merged. The deepest feature, and
only that one, passes through the final layer normalization. Where a grid is smaller than a window, torchvision and the
authors' own code alike take the first rows of the table of relative positions, which are then not the true ones.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.models.video.swin_transformer import PatchEmbed3d, SwinTransformer3d

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
