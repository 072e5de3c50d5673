"""LPIPS, a distance of pictures learned from what people see (Zhang et al., 2018, arXiv:1801.03924).

The package `lpips` brings the learned layers; the network below them is torchvision's, trained on ImageNet, and must
be on this machine already: nothing is downloaded while a score is computed.
"""

import hashlib
import warnings
from functools import lru_cache
from pathlib import Path

import lpips
import torch
from torch import Tensor
from torchvision.models import AlexNet_Weights, SqueezeNet1_1_Weights, VGG16_Weights

BACKBONES = {
    "squeeze": ("squeezenet1_1", SqueezeNet1_1_Weights.IMAGENET1K_V1),
    "alex": ("alexnet", AlexNet_Weights.IMAGENET1K_V1),
    "vgg": ("vgg16", VGG16_Weights.IMAGENET1K_V1),
}


class BackboneUnavailable(RuntimeError):
    """The ImageNet weights below LPIPS are not on this machine, or are damaged."""

    def __init__(self, net: str, path: Path, problem: str):
        name = BACKBONES[net][0]
        super().__init__(
            f"LPIPS ({net}) needs the ImageNet weights of torchvision's {name}, and {path} {problem}. "
            f"With network access: "
            f"python -c \"from torchvision.models import {name}; {name}(weights='IMAGENET1K_V1')\" "
            f"(then copy the file, if it was another machine)"
        )


def lpips_distance(pred: Tensor, target: Tensor, net: str = "squeeze") -> Tensor:
    """LPIPS, version 0.1, between pairs of pictures.

    Args:
        pred, target: (B, 3, H, W) in [0, 1], H and W at least 32.
        net: "squeeze" (as the report on the neural renderer), "alex" or "vgg"; their distances differ.

    Returns (B,); 0 is an identical picture.

    Errors: BackboneUnavailable, with the command that fetches the weights.
    """
    backbone_weights(net)
    network = load_network(net, str(target.device))
    with torch.no_grad(), torch.autocast(target.device.type, enabled=False):
        return network(pred.float(), target.float(), normalize=True).flatten()


def backbone_weights(net: str = "squeeze") -> str:
    """Which weights `lpips_distance` rests on, for captions: "squeezenet1_1-b8a52dc0, IMAGENET1K_V1".

    Errors: BackboneUnavailable; ValueError for a network LPIPS does not know.
    """
    path = backbone_file(net)
    if not path.is_file():
        raise BackboneUnavailable(net, path, "is not there")
    if not has_its_digest(path, path.stat().st_mtime_ns):
        raise BackboneUnavailable(net, path, "is damaged")
    return f"{path.stem}, {BACKBONES[net][1].name}"


def backbone_file(net: str) -> Path:
    """Where torchvision keeps the weights: under $TORCH_HOME, by default ~/.cache/torch."""
    if net not in BACKBONES:
        raise ValueError(f"net is one of {', '.join(BACKBONES)}, got {net!r}")
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(BACKBONES[net][1].url).name


@lru_cache
def has_its_digest(path: Path, modified: int) -> bool:
    """Does the file's SHA-256 start with the digits at the end of its name?"""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(path.stem.rsplit("-", 1)[1])


@lru_cache
def load_network(net: str, device: str) -> lpips.LPIPS:
    """The network with its weights; the random numbers of the caller are left as they were."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the package still says `pretrained=True`
        network = lpips.LPIPS(net=net, version="0.1", verbose=False)
    return network.requires_grad_(False).to(device)
