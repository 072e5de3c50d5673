"""What networks for mask and depth return, and how raw numbers become values in [0, 1]."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

SCALINGS = ("minmax", "minmax_joint", "sigmoid")


class MaskDepth(NamedTuple):
    """The object's outline and the distance of every pixel, as predicted from one picture."""

    mask: Tensor  # (B, 1, H, W) in [0, 1]; above 0.5 is object
    depth: Tensor  # (B, 1, H, W) in [0, 1]; distance along the optical axis, in the unit of the targets
    raw: Tensor  # (B, 1 + bins, H, W) before scaling: the mask, then the depth or a logit for each bin of depth


class MaskDepthNet(nn.Module):
    """A network that defines `raw_output`: checks what goes in and scales what comes out.

    Args:
        in_channels: Of the picture: 3, or 6 with the background.
        stride: H and W must be multiples of it.
        scaling: "minmax", "minmax_joint" or "sigmoid", see `scale_outputs`.
        bins: 1 predicts depth as a number; more predict a distribution over that many equal intervals of [0, 1].

    Shapes:
        image:  (B, in_channels, H, W) in [0, 1]
        return: `MaskDepth`
    """

    def __init__(self, in_channels: int, stride: int, scaling: str, bins: int):
        super().__init__()
        check_scaling(scaling, bins)
        self.in_channels, self.stride, self.scaling, self.bins = in_channels, stride, scaling, bins
        self.out_channels = 1 + bins

    def raw_output(self, image: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, 1 + bins, H, W), unbounded."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> MaskDepth:
        if image.shape[1] != self.in_channels:
            raise ValueError(f"the network takes {self.in_channels} channels, got {tuple(image.shape)}")
        if image.shape[-2] % self.stride or image.shape[-1] % self.stride:
            raise ValueError(f"H and W must be multiples of {self.stride}, got {tuple(image.shape)}")
        return scale_outputs(self.raw_output(image), self.scaling)


def scale_outputs(raw: Tensor, scaling: str = "minmax") -> MaskDepth:
    """Raw numbers to a mask and a depth in [0, 1].

    Args:
        raw: (B, C, H, W). Channel 0 is the mask. With C = 2, channel 1 is the depth; with more, channels 1 to C - 1
            are logits of C - 1 equal intervals of [0, 1] and depth is the mean of their centres under the softmax.
        scaling: "minmax" stretches each image and channel to [0, 1] (the report's), "minmax_joint" each image with
            both channels together, "sigmoid" looks at each pixel alone. Depth in intervals needs no scaling.

    A constant channel has no range to stretch: it becomes 0 (the report's code divides 0 by 0). Half precision is
    left before scaling. Errors: ValueError for an unknown scaling, and for "minmax_joint" with intervals.
    """
    check_scaling(scaling, raw.shape[1] - 1)
    if raw.dtype in (torch.float16, torch.bfloat16):
        raw = raw.float()
    if raw.shape[1] > 2:
        return MaskDepth(_scaled(raw[:, :1], scaling), expected_depth(raw[:, 1:]), raw)
    mask, depth = _scaled(raw, scaling).split(1, dim=1)
    return MaskDepth(mask, depth, raw)


def expected_depth(logits: Tensor) -> Tensor:
    """Mean of the centres (k + 1/2) / K of K equal intervals of [0, 1]: logits (B, K, H, W) -> (B, 1, H, W)."""
    bins = logits.shape[1]
    centres = (torch.arange(bins, device=logits.device, dtype=logits.dtype) + 0.5) / bins
    return (logits.softmax(1) * centres[:, None, None]).sum(1, keepdim=True)


def check_scaling(scaling: str, bins: int) -> None:
    if scaling not in SCALINGS:
        raise ValueError(f"scaling must be one of {', '.join(SCALINGS)}, got {scaling!r}")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    if scaling == "minmax_joint" and bins > 1:
        raise ValueError("minmax_joint stretches a mask and one depth together; depth in bins has no such channel")


def _scaled(raw: Tensor, scaling: str) -> Tensor:
    """(B, C, H, W) -> the same in [0, 1]."""
    if scaling == "sigmoid":
        return raw.sigmoid()
    over = (1, 2, 3) if scaling == "minmax_joint" else (2, 3)
    low = raw.amin(over, keepdim=True)
    span = raw.amax(over, keepdim=True) - low
    return (raw - low) / torch.where(span > 0, span, 1)
