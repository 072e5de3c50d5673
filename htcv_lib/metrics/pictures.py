"""How close a picture comes to the one it should be, how sharp it is, and what its spectrum shows."""

import math

import torch
from pytorch_msssim import ssim
from torch import Tensor

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
