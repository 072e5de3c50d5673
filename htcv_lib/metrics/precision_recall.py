"""How well a soft mask ranks its pixels, whatever the threshold."""

import math

import torch
from torch import Tensor


def average_precision(score: Tensor, target: Tensor) -> Tensor:
    r"""Area under the steps of the precision-recall curve, :math:`\sum_k (R_k - R_{k-1}) P_k`, of each sequence.

    The definition of scikit-learn: one step per distinct score, no interpolation. A score that knows nothing gets the
    share of positives.

    Args:
        score: (B, ...), higher is more positive; values that are equal share a step.
        target: The same shape, bool, or positive above one half.

    Returns (B,) float64 in [0, 1]; NaN where nothing is positive.
    """
    if score.shape != target.shape:
        raise ValueError(f"score and target differ in shape: {tuple(score.shape)}, {tuple(target.shape)}")
    positive = target if target.dtype == torch.bool else target > 0.5
    rows = [one_average(*row) for row in zip(score.detach().flatten(1), positive.flatten(1), strict=True)]
    return torch.stack(rows) if rows else torch.zeros(0, dtype=torch.float64)


def one_average(score: Tensor, positive: Tensor) -> Tensor:
    """`average_precision` of one row, (N,) and (N,) bool -> scalar."""
    ranked, order = score.sort(descending=True)
    found = positive[order].double().cumsum(0)  # true positives among the first k
    last = torch.ones_like(positive)
    last[:-1] = ranked[1:] != ranked[:-1]  # the last of equal scores ends a step
    hits = found[last]
    precision = hits / (last.nonzero()[:, 0] + 1)
    step = hits.diff(prepend=hits.new_zeros(1)) / found[-1]
    return torch.where(found[-1] > 0, (step * precision).sum(), math.nan)
