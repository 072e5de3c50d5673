"""ICNR (Aitken et al., 2017, arXiv:1707.02937): pixel shuffle that starts without a checkerboard."""

import torch
from torch import nn


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
