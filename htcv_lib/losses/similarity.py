"""Structural similarity as a loss, at one scale and at several."""

import torch.nn.functional as F
from torch import Tensor

from htcv_lib.image import WINDOW, similarity_maps

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al., 2003, finest first


def ssim_loss(pred: Tensor, target: Tensor, window: int = WINDOW) -> Tensor:
    r"""Structural dissimilarity (Wang et al., 2004, doi:10.1109/TIP.2003.819861), mean over all pixels.

    .. math:: \frac{1}{2n} \sum_i \left(1 - \frac{(2 \mu_x \mu_y + c_1)(2 \sigma_{xy} + c_2)}
        {(\mu_x^2 + \mu_y^2 + c_1)(\sigma_x^2 + \sigma_y^2 + c_2)}\right)

    The convention is kornia's, whose loss the report used: half of 1 - SSIM, and images mirrored at their borders
    (b c | a b c, the outermost pixel not repeated), so that the map has their size and no pixel goes without a
    window of its own. At 64 pixels, windows that stay inside would leave out 29 % of the centres. The metric,
    `image_ssim`, does leave them out.

    Args:
        pred, target: (B, C, H, W) in [0, 1], H and W larger than half a window.
        window: Side of the Gaussian window in pixels, odd; its sigma is 1.5.

    Returns a scalar in [0, 1]; 0 is equality, 1/2 is no correlation.
    """
    return (1 - similarity_maps(pred, target, window, "mirror")[0].mean()) / 2


def ms_ssim_loss(pred: Tensor, target: Tensor, window: int = 21, scales: int | None = None) -> Tensor:
    r"""Structural dissimilarity over several scales (Wang et al., 2003, doi:10.1109/ACSSC.2003.1292216).

    .. math:: \frac{1}{2}\left(1 - \hat s_M^{w_M} \prod_{k < M} \hat c_k^{w_k}\right), \quad \hat v = \frac{1 + v}{2}

    `c_k` is the contrast and structure factor at scale k, `s_M` the whole similarity at the coarsest, each a mean
    over the windows inside the picture; every scale halves the one before. As in the author's code, v is moved
    from [-1, 1] to [0, 1], so that no root of a negative number is drawn, and half of the rest is the loss. Unlike
    there, means are taken in each picture and channel rather than over the batch, and the coarsest factor counts
    once; the code multiplied it in four times.

    Args:
        pred, target: (B, C, H, W) in [0, 1].
        window: Side of the Gaussian window in pixels, odd; its sigma is 1.5.
        scales: From 1 to 5. None: as many as a whole window fits into, which takes sides of `window * 2**(scales-1)`:
            five from 336 pixels, two at 64 to 80, with their weights scaled to sum to 1. A number: so many, with
            smaller windows where the picture has become too small, as in the author's code, which used five.

    Returns a scalar in [0, 1/2]; 0 is equality.
    """
    side = min(pred.shape[-2:])
    if scales is None:
        scales = sum(side // 2**k >= window for k in range(len(SCALE_WEIGHTS)))
    if not 1 <= scales <= len(SCALE_WEIGHTS) or side >> (scales - 1) < 1:
        raise ValueError(f"a window of {window} pixels and {scales} scales do not fit {tuple(pred.shape)}")
    weights = [weight / sum(SCALE_WEIGHTS[:scales]) for weight in SCALE_WEIGHTS[:scales]]
    x, y, product = pred, target, 1.0
    for scale, weight in enumerate(weights):
        if scale:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        side = min(x.shape[-2:])
        whole, contrast = similarity_maps(x, y, min(window, side - 1 + side % 2), "inside")
        factor = (whole if scale == scales - 1 else contrast).mean(dim=(-2, -1))  # (B, C)
        product = product * ((1 + factor) / 2) ** weight
    return (1 - product.mean()) / 2
