"""Mip maps (Williams, 1983): a picture and its halvings in one tensor, so that what is far away does not alias.

Layout of a chain of side S: level 0 in the rows 0 ... S - 1, the smaller ones side by side below it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 5


def mip_chain(images: Tensor) -> Tensor:
    """(N, C, S, S) uint8 to (N, C, 3 S / 2, S) uint8; level k has side S / 2^k, each the area average of the last.

    Errors: ValueError if S is no multiple of 16, the number of pixels halved in four steps.
    """
    count, channels, side, width = images.shape
    if side != width or side % 2 ** (LEVELS - 1):
        raise ValueError(f"a mip map needs square pictures with a side that 16 divides, got {side} x {width}")
    chain = images.new_zeros(count, channels, side * 3 // 2, side)
    chain[:, :, :side] = images
    for start in range(0, count, 64):  # bounds the memory of the float copy
        level, left = images[start : start + 64].float(), 0
        for _ in range(1, LEVELS):
            level = F.avg_pool2d(level, 2)
            size = level.shape[-1]
            chain[start : start + 64, :, side : side + size, left : left + size] = level.round().to(torch.uint8)
            left += size
    return chain


def sample_chains(chains: Tensor, which: Tensor | int, u: Tensor, v: Tensor, footprint: Tensor) -> Tensor:
    """Bilinear samples of the level whose pixels are about as large as the footprint.

    Args:
        chains: (B, C, K * 3 S / 2, S) float, K chains below each other.
        which: (B, H, W) int64, which of the K; or one number for all.
        u, v: (B, H, W) in [0, 1], from the left and from the top of the picture; at its edge the outermost
            pixels go on.
        footprint: Pixels of level 0 from one sample to the next, broadcastable to (B, H, W).

    Returns (B, C, H, W).
    """
    side, rows = chains.shape[-1], chains.shape[-2]
    level = footprint.clamp(min=1).log2().round().clamp(max=LEVELS - 1)
    size = side * torch.exp2(-level)
    left = torch.where(level > 0, side - 2 * size, 0.0)  # S/2 + ... of the levels between
    top = which * (side * 3 // 2) + torch.where(level > 0, float(side), 0.0)
    x = left + torch.minimum((u * size).clamp(min=0.5), size - 0.5)
    y = top + torch.minimum((v * size).clamp(min=0.5), size - 0.5)
    grid = torch.stack([x * (2 / side) - 1, y * (2 / rows) - 1], dim=-1)
    return F.grid_sample(chains, grid, "bilinear", "border", align_corners=False)
