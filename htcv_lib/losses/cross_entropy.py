"""Cross-entropy per pixel."""

import torch.nn.functional as F
from torch import Tensor


def cross_entropy_loss(logits: Tensor, target: Tensor) -> Tensor:
    r"""Negative log-probability of the true class, mean over all pixels.

    .. math:: -\frac{1}{n} \sum_i \log p_i(y_i)

    Args:
        logits: (B, C, H, W), before the softmax.
        target: (B, H, W) int64 class indices.

    Returns a scalar >= 0; 0 is certainty about the right class, log C is a uniform guess.
    """
    return F.cross_entropy(logits, target)
