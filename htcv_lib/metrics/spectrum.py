"""What a picture's spectrum says of the network that drew it."""

import torch
from torch import Tensor


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
