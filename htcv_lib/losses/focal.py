"""Focal losses for depth: pixels that are almost right count little (Lin et al., 2017, arXiv:1708.02002).

The report has the heading "Focal loss for Depth" and nothing under it, and none of the author's code says which was
meant. Lin's loss is for classes; there are two ways to depth.
"""

import torch.nn.functional as F
from torch import Tensor

from htcv_lib.losses.depth_bins import quantise_depth
from htcv_lib.losses.soft_mask import bce_map


def focal_depth_loss(pred: Tensor, depth: Tensor, gamma: float = 2.0) -> Tensor:
    r"""Cross-entropy of a value in [0, 1], weighted by a power of its error; mean over all pixels.

    .. math:: -\frac{1}{n} \sum_i |x_i - y_i|^\gamma \left(y_i \log x_i + (1 - y_i) \log(1 - x_i)\right)

    Where the truth is 0 or 1 this is the focal loss; between them it is its extension to continuous targets by
    Li et al. (2020, arXiv:2006.04388, "quality focal loss").

    Args:
        pred, depth: (B, 1, H, W) in [0, 1].
        gamma: 0 is the plain cross-entropy; 2 is Lin's and Li's best.

    Returns a scalar >= 0; 0 is equality (if gamma > 0).
    """
    return ((pred - depth).abs() ** gamma * bce_map(pred, depth)).mean()


def focal_bin_loss(logits: Tensor, depth: Tensor, gamma: float = 2.0) -> Tensor:
    r"""Focal loss of the depth's bin, mean over all pixels.

    .. math:: -\frac{1}{n} \sum_i (1 - p_i(k_i))^\gamma \log p_i(k_i)

    Args:
        logits: (B, bins, H, W), before the softmax.
        depth: (B, 1, H, W) in [0, 1].
        gamma: 0 is the cross-entropy, `depth_bin_loss`.

    Returns a scalar >= 0; 0 is certainty about the right bin.
    """
    log_prob = -F.cross_entropy(logits, quantise_depth(depth, logits.shape[1]), reduction="none")  # (B, H, W)
    return -((1 - log_prob.exp()) ** gamma * log_prob).mean()
