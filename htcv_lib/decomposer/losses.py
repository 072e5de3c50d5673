"""The losses of the reports on decomposition, as their code has them, and the distances they choose by name."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.losses.similarity import WINDOW, similarity_maps

Distance = Callable[[Tensor, Tensor], Tensor]  # (pred, target) of one shape -> scalar >= 0; 0 is equality


def distance(name: str) -> Distance:
    """The distance of that name between pictures (B, C, H, W) or views (B, C, T, H, W) in [0, 1].

    "mae": mean absolute error, of the report's later trainings. "mse": mean squared error, of its first one.
    "ssim": 1 - SSIM (Wang et al., 2004), in [0, 2], each view a picture of its own, Gaussian windows of 11 pixels that
    stay inside it. The report's library takes windows of 11 views and pixels where there is a dimension of views.

    Returns a function (pred, target) -> scalar, a mean over everything, computed in float32 or wider. It refuses
    tensors of different shapes with ValueError: broadcasting would compare every view with every other.
    """
    if name not in DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(DISTANCES)}, got {name!r}")
    return DISTANCES[name]


def mae(pred: Tensor, target: Tensor) -> Tensor:
    pred, target = pair(pred, target)
    return (pred - target).abs().mean()


def mse(pred: Tensor, target: Tensor) -> Tensor:
    pred, target = pair(pred, target)
    return (pred - target).square().mean()


def dissimilarity(pred: Tensor, target: Tensor) -> Tensor:
    pred, target = (as_pictures(values) for values in pair(pred, target))
    return 1 - similarity_maps(pred, target, WINDOW, "inside")[0].mean()


def charbonnier(pred: Tensor, target: Tensor, epsilon: float = 1e-3, weight: Tensor | None = None) -> Tensor:
    r"""Charbonnier's penalty, an absolute error that is smooth at 0 (Charbonnier et al., 1994,
    doi:10.1109/ICIP.1994.413553; for pictures Lai et al., 2017, arXiv:1704.03915, with this epsilon).

    .. math:: \frac{\sum_i w_i \left(\sqrt{(x_i - y_i)^2 + \epsilon^2} - \epsilon\right)}{\sum_i w_i}

    Epsilon is taken off, unlike in the papers, so that equality costs 0.

    Args:
        pred, target: Of one shape, any range.
        weight: >= 0, of a shape that broadcasts to theirs, for example a mask (B, 1, T, H, W). All 0: the loss is 0.

    Returns a scalar >= 0.
    """
    pred, target = pair(pred, target)
    values = ((pred - target).square() + epsilon**2).sqrt() - epsilon
    if weight is None:
        return values.mean()
    weight = weight.to(values.dtype).expand_as(values)
    return (values * weight).sum() / weight.sum().clamp_min(torch.finfo(values.dtype).tiny)


def pair(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float32 or wider, if they have one shape."""
    if pred.shape != target.shape:
        raise ValueError(f"pred and target differ in shape: {tuple(pred.shape)}, {tuple(target.shape)}")
    return wide(pred), wide(target)


def wide(values: Tensor) -> Tensor:
    """At least float32: a loss must not be summed in bfloat16."""
    return values if values.dtype == torch.float64 else values.float()


def floats(pred: Any) -> Any:
    """A tensor or a NamedTuple of tensors, at least float32; a field that is None stays so."""
    if isinstance(pred, Tensor):
        return wide(pred)
    return pred._replace(**{name: wide(value) for name, value in pred._asdict().items() if value is not None})


def as_pictures(values: Tensor) -> Tensor:
    """Views as pictures of a batch: (B, C, T, H, W) -> (B * T, C, H, W); pictures stay as they are."""
    return values.transpose(1, 2).flatten(0, 1) if values.ndim == 5 else values


DISTANCES: dict[str, Distance] = {"mae": mae, "mse": mse, "ssim": dissimilarity}


# What the reports ask of an occlusion mask, and of the weights of the network.

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


# The reports' losses. Originals are (B, 3, 1, H, W), views (B, 3, T, H, W), masks (B, 1, T, H, W), all in [0, 1]. Sums
# return the total under "loss" and each weighted term by name. A mask that only chooses between two colours at a
# threshold gets no gradient from the recomposition, whatever the loss.

Terms = dict[str, Tensor]
THRESHOLD = 0.5  # a mask below it shows the lit picture


def frames_loss(frames: Tensor, target: Tensor, metric: str = "mse") -> Terms:
    """Loss of a network that answers a sequence with a sequence.

    Args:
        frames: (B, 3, T, H, W), the network's pictures.
        target: (B, 3, T, H, W), the views themselves: the pre-training as an autoencoder. Or (B, 3, 1, H, W), the clean
            picture, which the mean of the frames is compared with: the first report's reconstruction. Then what the
            single frames show is left open, one may carry everything.
        metric: Of `distance`.

    Returns "loss" alone.
    """
    if target.shape[2] == 1:
        frames = wide(frames).mean(dim=2, keepdim=True)
    return {"loss": distance(metric)(frames, target)}


def base_loss(original: Tensor, recomposed: Tensor, true_original: Tensor, image: Tensor, metric: str = "mae") -> Terms:
    r"""The base, or decomposition, loss: :math:`d(\hat o, o) + d(\hat x, x)`.

    The weight decay that the reports add is `weight_penalty`, or the optimizer's.

    Args:
        original, true_original: (B, 3, 1, H, W).
        recomposed, image: (B, 3, T, H, W), the views put together from the predicted layers, and as they are.
        metric: Of `distance`: "mse" in the first version, "mae" later.

    Returns "loss" and its terms "original" and "recomposition", each >= 0.
    """
    compare = distance(metric)
    return total(original=compare(original, true_original), recomposition=compare(recomposed, image))


def regularised_loss(original: Tensor, recomposed: Tensor, true_original: Tensor, image: Tensor, mask: Tensor,
                     occlusion: Tensor, metric: str = "mae", original_weight: float = 1.0,
                     recomposition_weight: float = 1.0, decay_weight: float = 1e-4, occlusion_weight: float = 1e-3,
                     decay: str = "sum") -> Terms:
    r"""The base loss with a price on masked pixels and a reward for colours that differ from the picture there.

    .. math:: \lambda_o d(\hat o, o) + \lambda_x d(\hat x, x) + \lambda_m \sum m^2
        - \lambda_c \lVert m \hat o - m c \rVert_2

    The norm is one over the whole batch, so the reward grows with the root of its pixels and, like the decay, belongs
    to a batch size and a resolution. It can exceed everything else: the loss may be negative.

    Args:
        mask: (B, 1, T, H, W), soft; occlusion: (B, 3, T, H, W), the colour `c`.
        decay: Reduction of `mask_decay`.
        Others: As `base_loss`; the default weights are the reports'.

    Returns "loss" and its terms "original", "recomposition", "mask_decay" (>= 0) and "occlusion" (<= 0).
    """
    compare = distance(metric)
    difference = wide(mask) * (wide(original) - wide(occlusion))
    return total(
        original=original_weight * compare(original, true_original),
        recomposition=recomposition_weight * compare(recomposed, image),
        mask_decay=mask_decay(mask, decay_weight, decay),
        occlusion=-occlusion_weight * torch.linalg.vector_norm(difference),
    )


def rgb_loss(recomposed: Tensor, image: Tensor, mask: Tensor, logits: Tensor | None = None,
             pseudo_mask: Tensor | None = None, binary_weight: float = 0.0, decay_weight: float = 0.0,
             metric: str = "mae", decay: str = "sum") -> Terms:
    r"""The stage for the occluders' colours: :math:`d(\hat x, x) + \lambda_b\,\mathrm{BCE} + \lambda_m \sum m^2`.

    Without the last two this is the report's run "without regularisation", with one of them the mask regularisation
    (0.01 in its code) or the mask decay.

    Args:
        recomposed, image: (B, 3, T, H, W); what lies under the mask is the pseudo-label's relit picture in the report's
            version 1, that of the trained heads in version 2. The code's threshold in this stage is 0.9.
        mask: (B, 1, T, H, W), soft.
        logits, pseudo_mask: (B, 1, T, H, W), needed for `binary_weight` above 0; see `balanced_bce`.
        decay: Reduction of `mask_decay`.

    Returns "loss" and its terms "recomposition", "binary" and "mask_decay", the last two only with a weight.
    """
    terms = {"recomposition": distance(metric)(recomposed, image)}
    if binary_weight:
        if logits is None or pseudo_mask is None:
            raise ValueError("the mask regularisation needs logits and a pseudo mask")
        terms["binary"] = binary_weight * balanced_bce(logits, pseudo_mask)
    if decay_weight:
        terms["mask_decay"] = mask_decay(mask, decay_weight, decay)
    return total(**terms)


def joint_loss(relit: Tensor, mask: Tensor, original: Tensor, true_original: Tensor, image: Tensor,
               recomposition_weight: float = 1.0, original_weight: float = 0.7, decay_weight: float = 1e-15,
               metric: str = "mae", decay: str = "sum") -> Terms:
    r"""The last stage, all heads together.

    .. math:: \lambda_x d(\mathrm{where}(m < 0.5, \hat x_{lit}, x), x) + \lambda_o d(\hat o, o) + \lambda_m \sum m^2

    Under the mask the view is compared with itself: a masked pixel costs nothing, and the predicted colours are not
    used. A mask that covers everything makes the first term 0, but no gradient leads there, see above.

    Args:
        relit: (B, 3, T, H, W), the lit picture without occluders; mask: (B, 1, T, H, W).
        Others: As `base_loss`; the default weights are the reports'.

    Returns "loss" and its terms "recomposition", "original" and "mask_decay".
    """
    image = wide(image)
    seen = torch.where(mask < THRESHOLD, wide(relit), image)
    compare = distance(metric)
    return total(
        recomposition=recomposition_weight * compare(seen, image),
        original=original_weight * compare(original, true_original),
        mask_decay=mask_decay(mask, decay_weight, decay),
    )


def total(**terms: Tensor) -> Terms:
    """The sum under "loss", and its terms."""
    return {"loss": torch.stack(list(terms.values())).sum(), **terms}
