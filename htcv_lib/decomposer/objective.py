"""What networks that decompose a sequence of views minimize: at once, or stage by stage.

An objective takes the network and a batch of named fields, all float32 in [0, 1]: image (B, 3, T, H, W), original
(B, 3, 1, H, W), and where a stage needs them the pseudo-labels pseudo_relit (B, 3, T, H, W) and pseudo_mask
(B, 1, T, H, W). It returns scalars: "loss" is minimized, the others are its weighted terms.

Sources: "Tackling Decomposition Learning" (base loss, pre-training), "The final advances to the Decomposer model"
(stages, pseudo-labels), and for what they leave open their code.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from htcv_lib.decomposer.layers import Decomposition, composed
from htcv_lib.decomposer.losses import (
    Terms,
    balanced_bce,
    base_loss,
    distance,
    floats,
    frames_loss,
    joint_loss,
    regularised_loss,
    rgb_loss,
    weight_penalty,
)
from htcv_lib.decomposer.set_losses import labelled_loss, matched_loss, unlabelled_loss
from htcv_lib.training.phase import Batch

LIGHT_LAST = "light_last"


def decomposition_objective(model: nn.Module, batch: Batch, metric: str = "mae", weight_decay_sum: float = 0.0,
                            soft: bool = False, order: str = LIGHT_LAST) -> Terms:
    """The base loss, all heads at once; see `base_loss`.

    Args:
        metric: "mse" (the first version's), "mae" or "ssim".
        weight_decay_sum: Factor of the sum of all squared weights, 0.01 in early code; the term "weights".
        soft: Mix by the mask. Otherwise the mask cuts at 0.5, as reported, and gets no gradient.
        order: "light_last" or "light_first", see `Decomposition.relit`.
    """
    pred = floats(model(batch["image"]))
    terms = base_loss(pred.original, pred.recompose(hard=not soft, order=order), batch["original"], batch["image"],
                      metric)
    return with_penalty(terms, model, weight_decay_sum)


def regularised_objective(model: nn.Module, batch: Batch, weight_decay_sum: float = 0.0, soft: bool = False,
                          order: str = LIGHT_LAST, **settings: Any) -> Terms:
    """The base loss with mask decay and a reward for occluders unlike the picture; `settings` of `regularised_loss`."""
    pred = floats(model(batch["image"]))
    terms = regularised_loss(pred.original, pred.recompose(hard=not soft, order=order), batch["original"],
                             batch["image"], pred.mask, pred.occlusion, **settings)
    return with_penalty(terms, model, weight_decay_sum)


def frames_objective(model: nn.Module, batch: Batch, target: str = "original", metric: str = "mse",
                     weight_decay_sum: float = 0.0) -> Terms:
    """A network that answers views with pictures (B, 3, T or 1, H, W).

    Args:
        target: "original": the mean of its pictures against the clean one (many-to-many, or one frame). "image": each
            picture against its view (an autoencoder).
        metric: As in `decomposition_objective`; the first report has "mse".
    """
    if target not in ("original", "image"):
        raise ValueError(f"target must be original or image, got {target!r}")
    return with_penalty(frames_loss(model(batch["image"]), batch[target], metric), model, weight_decay_sum)


def set_objective(model: nn.Module, batch: Batch, labels: bool = True, **weights: float) -> Terms:
    """The decomposition done well: soft, coloured, with priors; `weights` of `labelled_loss` or `unlabelled_loss`.

    Args:
        batch: Also irradiance (B, 3, T, H, W), mask and occlusion if `labels`.
        labels: Whether the components' labels are used, or the views and the clean picture alone.
    """
    return (labelled_loss if labels else unlabelled_loss)(floats(model(batch["image"])), batch, **weights)


def matched_objective(model: nn.Module, batch: Batch, **weights: float) -> Terms:
    """Every layer of the reports' own formula against its label; see `matched_loss`, also for `weights`."""
    return matched_loss(floats(model(batch["image"])), batch, **weights)


def original_objective(model: nn.Module, batch: Batch, metric: str = "mae") -> Terms:
    """Stage "original": the clean picture against the true one."""
    pred = floats(model(batch["image"], heads=("original",)))
    return {"loss": distance(metric)(pred.original, batch["original"])}


def lighting_objective(model: nn.Module, batch: Batch, metric: str = "mae", order: str = LIGHT_LAST,
                       target: str = "pseudo_relit") -> Terms:
    """Stage "lighting": the TRUE clean picture under the predicted shadow and light against the relit pseudo-label.

    Args:
        target: Field (B, 3, T, H, W) to reach.
    """
    pred = floats(model(batch["image"], heads=("lighting",)))
    return {"loss": distance(metric)(lit_picture(pred, batch, "true", order), batch[target])}


def mask_objective(model: nn.Module, batch: Batch, target: str = "pseudo_mask", weighted: bool = True) -> Terms:
    """Stage "mask": cross-entropy whose positive weight is counted in each batch, see `balanced_bce`.

    Args:
        target: Field (B, 1, T, H, W) in {0, 1} to reach; thresholded at 0.5.
        weighted: False leaves the positive weight out, to see what it does.
    """
    pred = floats(model(batch["image"], heads=("occlusion",)))
    loss = balanced_bce if weighted else F.binary_cross_entropy_with_logits
    return {"loss": loss(pred.mask_logits, (batch[target] > 0.5).float())}


def rgb_objective(model: nn.Module, batch: Batch, version: int = 1, source: str = "predicted", soft: bool = False,
                  threshold: float = 0.9, order: str = LIGHT_LAST, binary_weight: float = 0.0,
                  decay_weight: float = 0.0, decay: str = "sum", metric: str = "mae") -> Terms:
    """Stage "rgb": the views, recomposed with the predicted occluders; see `rgb_loss`.

    Args:
        version: What lies under the mask. 1: the relit pseudo-label. 2: the picture the trained heads relight.
        source: The clean picture of version 2: "predicted" by its head, as the report's text has it, or "true", as in
            its formula.
        soft: Mix by the mask. Otherwise the mask cuts, and learns only from the two weighted terms: without them it
            goes where the layers it shares with the colours carry it.
        threshold: Of the cut; 0.9 in the code of this stage, 0.5 everywhere else. Colours learn only above it, so the
            mask must have been trained before: where no pixel exceeds it, nothing is learned at all.
        order: Of version 2; its formula writes "light_first".
        binary_weight: Of the mask regularisation, `balanced_bce` against pseudo_mask; 0.01 in the code.
        decay_weight: Of the mask decay; `decay`: "sum", as reported, or "mean".
    """
    if version not in (1, 2) or source not in ("predicted", "true"):
        raise ValueError(f"version is 1 or 2 and source predicted or true, got {version!r} and {source!r}")
    drawn = ("original",) if version == 2 and source == "predicted" else ()
    lit = ("lighting",) if version == 2 else ()
    pred = floats(model(batch["image"], heads=(*drawn, *lit, "occlusion")))
    if version == 1:
        behind = batch["pseudo_relit"]
    else:
        behind = lit_picture(pred, batch, source, order)
    recomposed = composed(behind, pred.occlusion, pred.mask, not soft, threshold)
    return rgb_loss(recomposed, batch["image"], pred.mask, pred.mask_logits, batch.get("pseudo_mask"), binary_weight,
                    decay_weight, metric, decay)


def joint_objective(model: nn.Module, batch: Batch, order: str = LIGHT_LAST, source: str = "true",
                    **settings: Any) -> Terms:
    """Stage "joint": all heads together; `settings` of `joint_loss`.

    Args:
        source: The clean picture that is relit: "true", as in the code, or "predicted".
    """
    if source not in ("predicted", "true"):
        raise ValueError(f"source is predicted or true, got {source!r}")
    pred = floats(model(batch["image"]))
    relit = lit_picture(pred, batch, source, order)
    return joint_loss(relit, pred.mask, pred.original, batch["original"], batch["image"], **settings)


def lit_picture(pred: Decomposition, batch: Batch, source: str, order: str) -> Tensor:
    """The "predicted" or the "true" clean picture under the predicted shadow and light, (B, 3, T, H, W)."""
    return (pred._replace(original=batch["original"]) if source == "true" else pred).relit(order)


OBJECTIVES: Mapping[str, Callable[..., Terms]] = {
    "original": original_objective,
    "lighting": lighting_objective,
    "mask": mask_objective,
    "rgb": rgb_objective,
    "joint": joint_objective,
}


def stage_objective(stage: str, **settings: Any) -> Callable[[nn.Module, Batch], Terms]:
    """The objective of a stage by its name, (model, batch) -> terms, with its settings filled in.

    Args:
        stage: "original", "lighting", "mask", "rgb" or "joint", in the reports' order.
        settings: Keyword arguments of `<stage>_objective`.
    """
    if stage not in OBJECTIVES:
        raise ValueError(f"a stage is one of {', '.join(OBJECTIVES)}, got {stage!r}")
    return partial(OBJECTIVES[stage], **settings)


def with_penalty(terms: Terms, model: nn.Module, weight: float) -> Terms:
    """The terms, and the weighted sum of squares of all weights under "weights" if there is a weight."""
    if not weight:
        return terms
    penalty = weight * weight_penalty(model.parameters())
    return {**terms, "loss": terms["loss"] + penalty, "weights": penalty}
