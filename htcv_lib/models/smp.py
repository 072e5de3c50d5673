"""Baseline U-Nets with ImageNet encoders, from segmentation_models_pytorch."""

import os
import socket
import urllib.request
from urllib.parse import urlsplit

import segmentation_models_pytorch as smp
import torch
from huggingface_hub import hf_hub_download
from segmentation_models_pytorch.encoders import encoders
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class WeightsUnavailable(RuntimeError):
    """Pretrained weights are neither in the local cache nor downloadable."""

    def __init__(self, encoder: str, weights: str):
        super().__init__(
            f"{weights} weights of {encoder} are not in the local cache and cannot be downloaded. "
            f"With network access: "
            f"python -c \"from htcv_lib.models import smp_unet; smp_unet('{encoder}', '{weights}')\" "
            f"(then copy the folder $HF_HOME, by default ~/.cache/huggingface, if it was another machine)"
        )


class Normalize(nn.Module):
    """Subtract the mean and divide by the deviation of each channel. (B, 3, H, W) -> the same."""

    def __init__(self, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std


def smp_unet(
    encoder: str = "resnet34", weights: str | None = "imagenet", num_classes: int = 3
) -> nn.Sequential:
    """The library's U-Net behind ImageNet normalization, so that it takes the same images as ours.

    Args:
        encoder: A name the library knows, for example "resnet34".
        weights: "imagenet", or None for random weights.

    Shapes: image (B, 3, H, W) in [0, 1], H and W multiples of 32 -> (B, num_classes, H, W) logits.

    Errors: WeightsUnavailable, with the command that fetches them.
    """
    if weights is not None:
        require_weights(encoder, weights)
    net = smp.Unet(encoder_name=encoder, encoder_weights=weights, in_channels=3, classes=num_classes)
    return nn.Sequential(Normalize(), net)


def require_weights(encoder: str, weights: str) -> None:
    """Download the weights unless they are cached; fail at once where the hub cannot be reached."""
    settings = encoders[encoder]["pretrained_settings"][weights]
    file = {"repo_id": settings["repo_id"], "revision": settings["revision"], "filename": "model.safetensors"}
    try:
        hf_hub_download(**file, local_files_only=True)
        return
    except OSError:
        pass
    try:
        check_hub()
        hf_hub_download(**file)
    except OSError as error:
        raise WeightsUnavailable(encoder, weights) from error


def check_hub(timeout: float = 5.0) -> None:
    """Raise OSError where the hub's host does not answer; behind a proxy only the download can tell."""
    if urllib.request.getproxies():
        return
    url = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    with socket.create_connection((url.hostname, url.port or 443), timeout=timeout):
        pass
