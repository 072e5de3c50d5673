"""How close a picture comes to the one it should be (PSNR, SSIM, LPIPS), how sharp it is, what its spectrum shows."""

import math
import warnings
from functools import lru_cache

import lpips
import torch
import torch.nn.functional as F
from pytorch_msssim import ssim
from safetensors.torch import load_file
from torch import Tensor

from htcv_lib.data.files import locate
from htcv_lib.data.manifest import load_manifest

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
# The package `lpips` brings the learned layers. The network below them, AlexNet trained on ImageNet, travels with the
# repository in half precision (`data_manifests/imagenet_backbones.yaml`), so no score waits for a download.

LEAST = 64  # pixels of the shorter side that AlexNet's five layers need to say anything


def lpips_distance(pred: Tensor, target: Tensor) -> Tensor:
    """LPIPS, version 0.1, on AlexNet, between pairs of pictures.

    Distances on another network are other numbers: the report on the neural renderer had SqueezeNet. Pictures whose
    shorter side is below `LEAST` are enlarged to it, bilinearly.

    Args:
        pred, target: (B, 3, H, W), or (B, 1, H, W) if grey, in [0, 1].

    Returns (B,); 0 is an identical picture.
    """
    network, device = lpips_network(str(target.device)), target.device.type
    with torch.no_grad(), torch.autocast(device, enabled=False):
        pair = torch.cat([pred, target]).float().expand(-1, 3, -1, -1)
        if (least := min(pair.shape[-2:])) < LEAST:
            size = [round(side * LEAST / least) for side in pair.shape[-2:]]
            pair = F.interpolate(pair, size=size, mode="bilinear", align_corners=False)
        return network(*pair.chunk(2), normalize=True).flatten()


@lru_cache
def lpips_network(device: str) -> lpips.LPIPS:
    """The network with its weights; the random numbers of the caller are left as they were."""
    (path,) = locate(load_manifest("imagenet_backbones/sample")).values()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), torch.device(device):
        warnings.simplefilter("ignore", UserWarning)  # torchvision would have `weights=None`
        network = lpips.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)
    features = {name.removeprefix("features."): value.float() for name, value in load_file(path).items()}
    for part in network.net.children():
        part.load_state_dict({name: features[name] for name in part.state_dict()})
    network.scaling_layer.to(device)  # its buffers are made on the CPU whatever the device
    return network.requires_grad_(False).eval()
