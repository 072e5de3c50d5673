"""What is known of layers before anything is seen: priors that break the ambiguity of a decomposition.

Maps are (B, C, T, H, W), or pictures (B, C, H, W). Every prior is a mean, so its weight means the same at any size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.losses.distances import as_pictures, wide
from htcv_lib.losses.soft_mask import bce_map

LEAST_GRADIENT = 1e-6  # a flat layer has no scale to be brought to that of the other


def smoothness(values: Tensor, guide: Tensor | None = None, edge: float = 10.0) -> Tensor:
    r"""Total variation (Rudin et al., 1992, doi:10.1016/0167-2789(92)90242-F), along columns plus along rows.

    .. math:: \frac{1}{n} \sum_i w_i |\partial v_i|, \quad w_i = e^{-\beta \overline{|\partial g_i|}}

    Args:
        values: (B, C, T, H, W), H and W at least 2.
        guide: (B, G, T or 1, H, W). Where it has edges, `values` may have some too (Godard et al., 2017,
            arXiv:1609.03677, with beta 1): right for a mask, whose edges are the view's, wrong for a shadow, which
            would be invited to copy the painting. None: w is 1.
        edge: Beta; at 10, a step of 0.1 lowers the price to 37 %.

    Returns a scalar >= 0; 0 is a constant map.
    """
    return sum(directional_variation(values, guide, edge, dim) for dim in (-2, -1))


def sparsity(values: Tensor) -> Tensor:
    """Mean absolute value, any shape, a scalar >= 0: most values should be exactly 0."""
    return wide(values).abs().mean()


def exclusion(first: Tensor, second: Tensor, scales: int = 3) -> Tensor:
    r"""Edges of two layers at the same place, after the exclusion loss of Zhang et al. (2018, arXiv:1806.05376).

    .. math:: \frac{1}{2K} \sum_{k, \partial}
        \overline{\tanh(\lambda_1 |\partial a^k|) \tanh(\lambda_2 |\partial b^k|)},
        \quad \lambda_1^2 = \lambda_2^{-2} = \overline{|\partial b^k|} \, / \, \overline{|\partial a^k|}

    Both layers are halved from scale to scale. Lambda brings the two to one scale, so that a layer cannot evade the
    price by becoming faint; no gradient flows through it. Unlike the paper: means in place of Frobenius norms, so
    that the value lies below 1 at any size, and means of 2 x 2 pixels in place of bilinear sampling.

    Args:
        first, second: (B, C, T, H, W), one of the channel counts may be 1; H and W at least `2 ** scales`.

    Returns a scalar in [0, 1); 0 where no edge of one lies on an edge of the other.
    """
    if min(*first.shape[-2:], *second.shape[-2:]) < 2**scales:
        raise ValueError(f"{scales} scales need sides of at least {2**scales}, got {tuple(first.shape)}")
    first, second, shared = as_pictures(wide(first)), as_pictures(wide(second)), []
    for scale in range(scales):
        if scale:
            first, second = F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)
        for dim in (-2, -1):
            a, b = first.diff(dim=dim).abs(), second.diff(dim=dim).abs()
            ratio = b.detach().mean().clamp_min(LEAST_GRADIENT) / a.detach().mean().clamp_min(LEAST_GRADIENT)
            shared.append((torch.tanh(ratio.sqrt() * a) * torch.tanh(b / ratio.sqrt())).mean())
    return torch.stack(shared).mean()


def mask_prior(mask: Tensor, entropy_weight: float = 0.01, area_weight: float = 0.15) -> dict[str, Tensor]:
    r"""A mask should be decided and small: binary entropy (in nats, at most 0.69) and area, both means.

    .. math:: -\frac{\lambda_e}{n} \sum_i m_i \ln m_i + (1 - m_i) \ln(1 - m_i) + \frac{\lambda_a}{n} \sum_i m_i

    Beside a mean absolute error of the recomposition the area's weight is a threshold: a pixel is worth masking where
    that lowers its error by more.

    Args:
        mask: (B, 1, T, H, W) in [0, 1].

    Returns the total under "loss", and the weighted terms "entropy" and "area" that sum to it. 0 is an empty mask.
    """
    mask = wide(mask)
    entropy, area = entropy_weight * bce_map(mask, mask).mean(), area_weight * mask.mean()
    return {"loss": entropy + area, "entropy": entropy, "area": area}


def directional_variation(values: Tensor, guide: Tensor | None, edge: float, dim: int) -> Tensor:
    """Mean difference of neighbours along one dimension, less where the guide has an edge."""
    steps = wide(values).diff(dim=dim).abs()
    if guide is not None:
        steps = steps * torch.exp(-edge * wide(guide).diff(dim=dim).abs().mean(dim=1, keepdim=True))
    return steps.mean()
