"""What the reports ask of an occlusion mask, and of the weights of the network."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.losses.distances import wide

REDUCTIONS = ("sum", "mean")


def balanced_bce(logits: Tensor, target: Tensor) -> Tensor:
    r"""Binary cross-entropy in which the two classes of the batch weigh the same (second report, binary mask).

    .. math:: -\frac{1}{n} \sum_i r\, y_i \log p_i + (1 - y_i) \log(1 - p_i), \quad r = n_0 / n_1

    `r`, the positive weight, is that of the batch at hand, see `positive_weight`. It moves the best prediction: a pixel
    that is occluded in a share q of all like it is best called occluded with r q / (r q + 1 - q), one half where q is
    the share of the whole batch.

    Args:
        logits: (B, 1, T, H, W), before the sigmoid.
        target: The same shape, in {0, 1}.

    Returns a scalar >= 0; 0 is a perfect mask.
    """
    if logits.shape != target.shape:
        raise ValueError(f"logits and target differ in shape: {tuple(logits.shape)}, {tuple(target.shape)}")
    logits, target = wide(logits), target.to(wide(logits).dtype)
    return F.binary_cross_entropy_with_logits(logits, target, pos_weight=positive_weight(target))


def positive_weight(target: Tensor) -> Tensor:
    """Number of 0 over number of 1 in a batch, a scalar; 1 where one of the two is missing.

    The quotient would be infinite without positives, and a NaN in the loss; 0 without negatives, so that nothing would
    be learned from the batch. No gradient; any shape, in {0, 1}.
    """
    positives = target.detach().sum()
    negatives = target.numel() - positives
    both = (positives > 0) & (negatives > 0)
    return torch.where(both, negatives / positives.clamp_min(1), torch.ones_like(positives))


def mask_decay(mask: Tensor, weight: float, reduction: str = "sum") -> Tensor:
    r"""Mask decay of the second report, :math:`\lambda_m \sum_i m_i^2`.

    Args:
        mask: (B, 1, T, H, W) in [0, 1].
        weight: Lambda. The reports' code has 1e-4, 1e-5, 1e-10 and 1e-15. The other losses are means and this is a sum,
            so a weight belongs to a batch size and a resolution: 16 sequences of 10 views at 256 pixels have 1e7 mask
            pixels, where a full mask costs 1000 at 1e-4 and 1e-8 at 1e-15.
        reduction: "sum", or "mean" for a weight that means the same at any size.

    Returns a scalar >= 0; 0 is an empty mask.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")
    squares = wide(mask).square()
    return weight * (squares.sum() if reduction == "sum" else squares.mean())


def weight_penalty(params: Iterable[Tensor]) -> Tensor:
    r"""Sum of the squares of all weights, :math:`\sum \theta^2`, the reports' weight decay before its factor.

    Under Adam this is not the decoupled decay of AdamW (Loshchilov & Hutter, 2019, arXiv:1711.05101): its gradient is
    scaled with the rest.

    Args:
        params: Tensors of any shapes, for example `model.parameters()`.

    Returns a scalar >= 0; 0 without parameters.
    """
    squares = [wide(param).square().sum() for param in params]
    return torch.stack(squares).sum() if squares else torch.zeros(())
