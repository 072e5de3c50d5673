"""How close a picture comes to the one it should be (PSNR, SSIM, LPIPS), how sharp it is, what its spectrum shows."""

import hashlib
import math
import warnings
from functools import lru_cache
from pathlib import Path

import lpips
import torch
from pytorch_msssim import ssim
from torch import Tensor
from torchvision.models import AlexNet_Weights, SqueezeNet1_1_Weights, VGG16_Weights

# How close a picture comes to the one it should be, and how sharp it is.

WINDOW = 11


def psnr_of(mse: float | Tensor) -> float | Tensor:
    """Peak signal-to-noise ratio in dB of a mean squared error between images in [0, 1]; infinite at 0."""
    if isinstance(mse, Tensor):
        return -10 * torch.log10(mse)
    return -10 * math.log10(mse) if mse > 0 else math.inf


def image_ssim(pred: Tensor, image: Tensor) -> Tensor:
    """Structural similarity of each image (Wang et al., 2004), by the package pytorch-msssim.

    Gaussian window of 11 pixels, sigma 1.5, no padding, range 1, mean over channels.

    Args:
        pred, image: (B, C, H, W) in [0, 1], H and W at least 11.

    Returns (B,), at most 1; 1 is an identical image.
    """
    if min(image.shape[-2:]) < WINDOW:
        raise ValueError(f"the window needs images of at least {WINDOW} pixels, got {tuple(image.shape)}")
    return ssim(pred, image, data_range=1.0, size_average=False, win_size=WINDOW)


def gradient_energy(image: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels, down plus across: (B, C, H, W) -> (B,).

    The energy of a prediction over that of its target says how sharp it is: below 1 is blurred.
    """
    down, across = image.diff(dim=-2), image.diff(dim=-1)
    return down.square().flatten(1).mean(dim=1) + across.square().flatten(1).mean(dim=1)


def bits_per_dim(nats: float | Tensor, dims: int) -> float | Tensor:
    """Negative log-likelihood of an image, in nats, as bits for each of its `dims` values."""
    return nats / (dims * math.log(2))


# What a picture's spectrum says of the network that drew it.


def checkerboard_energy(image: Tensor) -> Tensor:
    """Share of a picture's variation that repeats every second pixel, along rows or columns: (B,) in [0, 1].

    Layers that double the resolution unevenly leave a pattern of this period (Odena et al., 2016,
    doi:10.23915/distill.00003). Sharp edges have some of it too, so set it against that of the true picture.

    Args:
        image: (B, C, H, W), H and W even.

    A picture of one colour has no variation: NaN.
    """
    height, width = image.shape[-2:]
    if height % 2 or width % 2:
        raise ValueError(f"height and width must be even, got {height} x {width}")
    power = torch.fft.fft2(image.double()).abs().square().sum(1)  # (B, H, W)
    power[:, 0, 0] = 0
    alternating = power[:, height // 2].sum(1) + power[:, :, width // 2].sum(1) - power[:, height // 2, width // 2]
    total = power.sum((1, 2))
    flat = total <= 1e-12 * image[0].numel() ** 2
    return torch.where(flat, torch.nan, alternating / total.clamp_min(1e-300))


# LPIPS, a distance of pictures learned from what people see (Zhang et al., 2018, arXiv:1801.03924).
#
# The package `lpips` brings the learned layers; the network below them is torchvision's, trained on ImageNet, and must
# be on this machine already: nothing is downloaded while a score is computed.

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
