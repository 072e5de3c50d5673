"""The networks of the chapter: the report's U-Net, and the library's with an ImageNet encoder."""

import os
import socket
import urllib.request
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from htcv_lib.data.files import check, find
from htcv_lib.data.manifest import load_manifest

# U-Net (Ronneberger et al., 2015, arXiv:1505.04597) as the ERA V1 Session 18 report built it.
#
# Unlike the paper: padded convolutions; PReLU before batch normalization; the deepest stage keeps the
# width of the one above it; each decoder stage ends at half the width of its skip. The report's code
# also had dropout with probability 0, which is left out.


class ConvBlock(nn.Sequential):
    """Twice a 3x3 convolution, PReLU and batch normalization, in this order.

    Shapes: (B, in_channels, H, W) -> (B, out_channels, H, W)
    """

    def __init__(self, in_channels: int, mid_channels: int, out_channels: int):
        super().__init__(
            nn.Conv2d(in_channels, mid_channels, kernel_size=3, padding=1),
            nn.PReLU(),
            nn.BatchNorm2d(mid_channels),
            nn.Conv2d(mid_channels, out_channels, kernel_size=3, padding=1),
            nn.PReLU(),
            nn.BatchNorm2d(out_channels),
        )


def halving(kind: str, channels: int) -> nn.Module:
    """(B, channels, H, W) -> (B, channels, H/2, W/2), by "maxpool" or a "strided" convolution."""
    if kind == "maxpool":
        return nn.MaxPool2d(2)
    if kind == "strided":
        return nn.Conv2d(channels, channels, kernel_size=3, stride=2, padding=1)
    raise ValueError(f'down must be "maxpool" or "strided", got {kind!r}')


def doubling(kind: str, channels: int) -> nn.Module:
    """(B, channels, H, W) -> (B, channels, 2H, 2W), by a "transposed" convolution or bilinear "upsample"."""
    if kind == "transposed":
        return nn.ConvTranspose2d(channels, channels, kernel_size=3, stride=2, padding=1, output_padding=1)
    if kind == "upsample":
        return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    raise ValueError(f'up must be "transposed" or "upsample", got {kind!r}')


class UNet(nn.Module):
    """Encoder-decoder with skip connections; the report's net for the default widths.

    Args:
        widths: Channels at each resolution, finest first; `len(widths) - 1` halvings.
        num_classes: Channels of the logits.
        down: "maxpool", or "strided" (3x3 convolution with stride 2).
        up: "transposed" (3x3 convolution, stride 2), or "upsample" (bilinear, aligned corners).
        in_channels: Channels of the image.

    Shapes:
        image:  (B, in_channels, H, W) in [0, 1], H and W multiples of `2 ** (len(widths) - 1)`
        return: (B, num_classes, H, W) logits
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128, 256, 256),
        num_classes: int = 3,
        down: Literal["maxpool", "strided"] = "maxpool",
        up: Literal["transposed", "upsample"] = "transposed",
        in_channels: int = 3,
    ):
        super().__init__()
        self.stride = 2 ** (len(widths) - 1)
        skips = list(reversed(widths[:-1]))  # channels of the skips, coarsest first
        channels = [widths[-1], *(width // 2 for width in skips)]  # what enters and leaves each decoder stage

        self.encoder = nn.ModuleList(
            ConvBlock(previous, width, width) for previous, width in pairwise([in_channels, *widths])
        )
        self.down = nn.ModuleList(halving(down, width) for width in widths[:-1])
        self.up = nn.ModuleList(doubling(up, width) for width in channels[:-1])
        self.decoder = nn.ModuleList(
            ConvBlock(coarse + skip, skip, fine)
            for (coarse, fine), skip in zip(pairwise(channels), skips, strict=True)
        )
        self.head = nn.Conv2d(channels[-1], num_classes, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[-2] % self.stride or image.shape[-1] % self.stride:
            raise ValueError(f"H and W must be multiples of {self.stride}, got {tuple(image.shape)}")
        skips = []
        x = self.encoder[0](image)  # (B, widths[0], H, W)
        for down, block in zip(self.down, self.encoder[1:], strict=True):
            skips.append(x)
            x = block(down(x))  # (B, widths[i], H / 2^i, W / 2^i)
        for up, block in zip(self.up, self.decoder, strict=True):
            x = block(torch.cat([up(x), skips.pop()], dim=1))
        return self.head(x)


# Baseline U-Nets with ImageNet encoders, from segmentation_models_pytorch.

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
BACKBONES = {"timm-tf_efficientnet_lite0": "efficientnet-lite0.safetensors"}


class WeightsUnavailable(RuntimeError):
    """Pretrained weights are neither in the local cache nor downloadable."""

    def __init__(self, encoder: str, weights: str):
        super().__init__(
            f"{weights} weights of {encoder} are not here: `htcv data fetch imagenet_backbones`" if encoder in BACKBONES
            else f"{weights} weights of {encoder} are not in the local cache and cannot be downloaded. "
            f"With network access: "
            f"python -c \"from htcv_lib.pets_unet import smp_unet; smp_unet('{encoder}', '{weights}')\" "
            f"(then copy the folder $HF_HOME, by default ~/.cache/huggingface, if it was another machine)"
        )


def smp_unet(encoder: str = "resnet34", weights: str | None = "imagenet", num_classes: int = 3) -> nn.Sequential:
    """The library's U-Net behind ImageNet normalization, so that it takes the same images as ours.

    Args:
        encoder: A name the library knows, for example "resnet34". The weights of `BACKBONES` are those of the manifest
            `imagenet_backbones` where it has them here; others come from the library's hub.
        weights: "imagenet", or None for random weights.

    Shapes: image (B, 3, H, W) in [0, 1], H and W multiples of 32 -> (B, num_classes, H, W) logits.

    Errors: WeightsUnavailable, with the command that fetches them.
    """
    from safetensors.torch import load_file
    from segmentation_models_pytorch import Unet  # takes seconds, and few need it
    from torchvision.transforms import Normalize

    own = weights == "imagenet" and encoder in BACKBONES and find(load_manifest("imagenet_backbones").file(
        BACKBONES[encoder]))
    if weights is not None and not own:
        require_weights(encoder, weights)
    net = Unet(encoder_name=encoder, encoder_weights=None if own else weights, in_channels=3, classes=num_classes)
    if own:
        net.encoder.load_state_dict(load_file(check(load_manifest("imagenet_backbones").file(own[1].name), own[1])))
    lite = "_lite" in encoder  # these have seen (x - 0.5) / 0.5
    return nn.Sequential(Normalize((0.5,) * 3, (0.5,) * 3) if lite else Normalize(IMAGENET_MEAN, IMAGENET_STD), net)


def require_weights(encoder: str, weights: str) -> None:
    """Download the weights unless they are cached; fail at once where the hub cannot be reached."""
    from huggingface_hub import hf_hub_download
    from segmentation_models_pytorch.encoders import encoders

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


def build_network(parameters: Mapping[str, Any]) -> UNet:
    """The network of a run, freshly initialised, from the parameters in its record."""
    return UNet(widths=parameters["widths"], down=parameters["down"], up=parameters["up"])
