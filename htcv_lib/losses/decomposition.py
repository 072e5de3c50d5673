"""The losses of the reports on decomposition, as their code has them.

Shapes: originals (B, 3, 1, H, W), views (B, 3, T, H, W), masks (B, 1, T, H, W), all in [0, 1]. Sums return the total
under "loss" and each weighted term by name. A mask that only chooses between two colours at a threshold gets no
gradient from the recomposition, whatever the loss.
"""

import torch
from torch import Tensor

from htcv_lib.losses.distances import distance, wide
from htcv_lib.losses.mask_terms import balanced_bce, mask_decay

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
