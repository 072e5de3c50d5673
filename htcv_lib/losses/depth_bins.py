"""Depth as a class: one of equal bins of [0, 1]."""

import torch.nn.functional as F
from torch import Tensor

BINS = 64


def quantise_depth(depth: Tensor, bins: int = BINS) -> Tensor:
    """The bin of every depth: bin k holds [k / bins, (k + 1) / bins), and the last one 1 as well.

    Args:
        depth: (B, 1, H, W) in [0, 1].
        bins: The author's code has 255.

    Returns (B, H, W) int64 in [0, bins). The centre of bin k is (k + 0.5) / bins.
    """
    if depth.ndim != 4 or depth.shape[1] != 1:
        raise ValueError(f"depth must be (B, 1, H, W), got {tuple(depth.shape)}")
    return (depth[:, 0] * bins).floor().long().clamp(0, bins - 1)


def depth_bin_loss(logits: Tensor, depth: Tensor) -> Tensor:
    r"""Cross-entropy of the depth's bin against its one-hot encoding, mean over all pixels.

    .. math:: -\frac{1}{n} \sum_i \log p_i(k_i)

    A neighbouring bin costs as much as a distant one.

    Args:
        logits: (B, bins, H, W), before the softmax.
        depth: (B, 1, H, W) in [0, 1].

    Returns a scalar >= 0; 0 is certainty about the right bin, log(bins) is a uniform guess.
    """
    return F.cross_entropy(logits, quantise_depth(depth, logits.shape[1]))
