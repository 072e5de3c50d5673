"""The chapter's networks for mask and depth by name, and what they are shown."""

from collections.abc import Mapping

import torch
from torch import Tensor

from htcv_lib.models.atrous_net import VERSION_1, VERSION_2, AtrousNet
from htcv_lib.models.mask_depth_output import MaskDepthNet
from htcv_lib.models.mask_depth_unet import MaskDepthUNet
from htcv_lib.models.resnet_mask_depth import ResNetMaskDepth
from htcv_lib.models.separable_net import SeparableNet

INPUTS = {"composite": ("image",), "both": ("image", "background")}  # fields of a batch, three channels each
NETWORKS = ("v1", "v2", "resnet18", "separable", "unet")


def mask_depth_network(name: str, planes: int = 16, inputs: str = "composite", scaling: str = "minmax",
                       bins: int = 1, residual: bool = False, coords: bool = False) -> MaskDepthNet:
    """One of the chapter's networks, freshly initialised; call it with `network_input(batch, inputs)`.

    Args:
        name: "v1" and "v2" are the report's, "resnet18" its follow-up, "separable" what it planned, "unet" ours.
        planes: Channels of the first layer: 16 in the report, 32 where it doubles them. "unet" has planes times
            1, 2, 4 and 6 channels, and needs a multiple of 8.
        inputs: "composite" (3 channels, the report's) or "both", with the background (6 channels, the assignment's).
        scaling: "minmax" as in the report, "minmax_joint", or "sigmoid"; see `scale_outputs`.
        bins: 1 predicts depth as a number, more as a distribution over that many intervals.
        residual: Additions around the dilated blocks; "v1" and "v2" only.
        coords: Show row and column of each pixel; "unet" only.

    Errors: ValueError for an unknown name or setting, or one the network does not have.
    """
    if name not in NETWORKS:
        raise ValueError(f"a network is one of {', '.join(NETWORKS)}, got {name!r}")
    if residual and name not in ("v1", "v2"):
        raise ValueError(f"network {name!r} has no dilated blocks to add around")
    if coords and name != "unet":
        raise ValueError(f"network {name!r} takes no coordinates")
    common = {"in_channels": 3 * len(fields(inputs)), "scaling": scaling, "bins": bins}
    if name in ("v1", "v2"):
        return AtrousNet(planes, **(VERSION_1 if name == "v1" else VERSION_2), residual=residual, **common)
    if name == "unet":
        return MaskDepthUNet((planes, 2 * planes, 4 * planes, 6 * planes), coords=coords, **common)
    return {"resnet18": ResNetMaskDepth, "separable": SeparableNet}[name](planes, **common)


def network_input(batch: Mapping[str, Tensor], inputs: str = "composite", levels: int = 0) -> Tensor:
    """What a network made for `inputs` is called with.

    Args:
        batch: `image` (B, 3, H, W), and for "both" `background` (B, 3, H, W), in [0, 1].
        levels: Round to so many equal steps of [0, 1], at least 2; 0 leaves the values as they are.

    Returns (B, 3, H, W) or, image first, (B, 6, H, W).
    """
    names = fields(inputs)
    seen = batch[names[0]] if len(names) == 1 else torch.cat([batch[name] for name in names], dim=1)
    if levels == 0:
        return seen
    if levels < 2:
        raise ValueError(f"levels must be 0 or at least 2, got {levels}")
    return (seen * (levels - 1)).round() / (levels - 1)


def fields(inputs: str) -> tuple[str, ...]:
    if inputs not in INPUTS:
        raise ValueError(f"inputs must be one of {', '.join(INPUTS)}, got {inputs!r}")
    return INPUTS[inputs]
