"""Training in stages, and scores of what has been trained so far."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from htcv_lib.decomposer.layers import Layers
from htcv_lib.decomposer.objective import stage_objective
from htcv_lib.decomposer.scores import Predict, layer_correlation, score_predictions, views_ssim_map
from htcv_lib.image import LUMINANCE, grey, in_unit, linear
from htcv_lib.metrics.pictures import psnr_of
from htcv_lib.metrics.segmentation import mask_iou
from htcv_lib.training.distributed import averaged
from htcv_lib.training.evaluate import mean_scores
from htcv_lib.training.history import History
from htcv_lib.training.loop import fit
from htcv_lib.training.phase import Batch, Phase, make_optimizer, make_schedule

Freeze = Callable[[nn.Module, str], Any]  # leaves trainable what the stage of that name trains


@dataclass(frozen=True)
class Stage:
    """One stage of a chain.

    Args:
        name: Of `stage_objective` and of the part that `freeze` leaves trainable; names the history's columns.
        epochs: How many.
        lr: Of the optimizer, the largest one of a schedule.
        optimizer: "adam" (the reports') or "adamw".
        schedule: "plateau" (the reports': a tenth after more than `patience` epochs without a lower value of
            `monitor`), or another name of `make_schedule`.
        patience: In epochs; for the plateau.
        monitor: Column the plateau watches; None: the stage's training loss.
        clip_norm, accumulate, weight_decay: As in `Phase` and `make_optimizer`.
        settings: Of `stage_objective`.
    """

    name: str
    epochs: int
    lr: float = 1e-3
    optimizer: str = "adam"
    schedule: str = "plateau"
    patience: int = 10
    monitor: str | None = None
    clip_norm: float | None = None
    accumulate: int = 1
    weight_decay: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)


def train_stage(model: nn.Module, stage: Stage, batches: Iterable[Batch], freeze: Freeze,
                evaluate: Callable[[], Mapping[str, float]] | None = None,
                wrap: Callable[[nn.Module], nn.Module] | None = None, **more: Any) -> History:
    """Freeze what this stage does not train, train the rest, and leave the model so.

    Args:
        freeze: Called with the model and the stage's name before the optimizer is made, for example `freeze_for` of
            `heads`. What it froze must stay in evaluation mode though `fit` calls `train()`.
        evaluate: As in `fit`.
        wrap: Makes of the frozen model what the objective calls: `Group.wrap` on several processes.
        more: Further arguments of `fit`: seed, checkpoint, amp, progress, ema, evaluate_every.

    Errors: ValueError if nothing is left to train.
    """
    freeze(model, stage.name)
    params = [param for param in model.parameters() if param.requires_grad]
    if not params:
        raise ValueError(f"stage {stage.name!r} leaves nothing to train")
    optimizer = make_optimizer(stage.optimizer, params, stage.lr, stage.weight_decay)
    objective = partial(stage_objective(stage.name, **stage.settings), wrap(model) if wrap else model)
    phase = Phase(stage.name, averaged(objective), optimizer, accumulate=stage.accumulate, clip_norm=stage.clip_norm,
                  scheduler=make_stage_schedule(stage, optimizer, batches), monitor=stage.monitor)
    return fit([phase], batches, epochs=stage.epochs, evaluate=evaluate, models={"model": model}, **more)


def make_stage_schedule(stage: Stage, optimizer: torch.optim.Optimizer, batches: Iterable[Batch]):
    """The stage's learning-rate schedule, its horizon counted in updates."""
    if stage.schedule == "plateau":
        return ReduceLROnPlateau(optimizer, factor=0.1, patience=stage.patience)
    updates = stage.epochs * -(-len(batches) // stage.accumulate)
    return make_schedule(stage.schedule, optimizer, stage.lr, updates)


def hand_on(model: nn.Module, weights: Mapping[str, Tensor] | str | Path,
            parts: Sequence[str] | None = None) -> nn.Module:
    """Continue with the weights of an earlier stage: every tensor by name, none missing, none of another shape.

    Args:
        weights: A state dict, or a safetensors file as runs keep it.
        parts: Names of submodules, for example ("encoder",) to take the encoder of an autoencoder and leave the
            rest of the model, and of the weights, alone. None: everything.

    The modes and what is frozen stay. Errors: ValueError that says which names are missing, left over or of other
    shapes, before anything is changed; FileNotFoundError.
    """
    if isinstance(weights, str | Path):
        from safetensors.torch import load_file

        weights = load_file(weights)
    def chosen(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        lying = tuple(f"{part}." for part in parts or ())
        return {name: tensor for name, tensor in tensors.items() if parts is None or name.startswith(lying)}

    wanted, given = chosen(model.state_dict()), chosen(weights)
    if idle := [part for part in parts or () if not any(name.startswith(f"{part}.") for name in wanted)]:
        raise ValueError(f"the model has no weights in {', '.join(idle)}")
    shared = wanted.keys() & given.keys()
    problems = {"missing": sorted(wanted.keys() - given.keys()), "left over": sorted(given.keys() - wanted.keys()),
                "of other shapes": [f"{name} {tuple(given[name].shape)}, not {tuple(wanted[name].shape)}"
                                    for name in sorted(shared) if given[name].shape != wanted[name].shape]}
    if any(problems.values()):
        raise ValueError("these weights are of another network: " + "; ".join(
            f"{what} are {listed(names)}" for what, names in problems.items() if names))
    model.load_state_dict(given, strict=False)
    return model


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


# Scores of a network that is trained in stages: only of what has been trained, and of what its masks are like.

CLEAN = ("original_",)
LIT = (*CLEAN, "shadow_", "light_", "irradiance_")
MASKED = (*LIT, "mask_")
JUDGED = {"original": CLEAN, "lighting": LIT, "mask": MASKED, "joint": MASKED}  # of the stage rgb, everything


def scores_of_stage(stage: str, scores: Mapping[str, float]) -> dict[str, float]:
    """The scores of layers whose heads were trained once a stage is over.

    The joint stage trains no colours of occluders, which a recomposition would show.

    Args:
        stage: "original", "lighting", "mask", "rgb" or "joint", in the order of the chain.
        scores: As from `evaluate_decomposition`.
    """
    return {name: value for name, value in scores.items() if name.startswith(JUDGED.get(stage, ("",)))}


def describe_masks(pred: Layers, fields: Mapping[str, Tensor]) -> dict[str, float]:
    """What an occlusion branch has become; means over sequences.

    Args:
        pred: Of a whole set, mask (N, 1, T, H, W) and occlusion (N, 3, T, H, W), on the CPU.
        fields: The set's tensors in the same order: image (N, 3, T, H, W) and pseudo_mask (N, 1, T, H, W), uint8 or
            floats in [0, 1].

    Returns mask_share, the share of pixels whose mask exceeds one half; mask_label_iou, its overlap with the
    pseudo-label; and occlusion_copy_psnr in dB, the colours against the views over all pixels: an autoencoder copies
    what it sees.
    """
    image, label = (in_unit(fields[name].cpu()) for name in ("image", "pseudo_mask"))
    error = (pred.occlusion - image).double().square().flatten(1).mean(dim=1)
    scores = {"mask_share": (pred.mask > 0.5).double().flatten(1).mean(dim=1),
              "mask_label_iou": mask_iou(pred.mask, label), "occlusion_copy_psnr": psnr_of(error)}
    return mean_scores(scores, known=True)


def evaluate_views(model: Predict, batches: Iterable[Batch], amp: bool | None = None) -> dict[str, float]:
    """recomposition_psnr in dB and recomposition_ssim of a network that draws the views themselves, means over
    sequences."""
    def score(drawn: Tensor, batch: Batch) -> dict[str, Tensor]:
        error = (drawn - batch["image"]).double().square().flatten(1).mean(dim=1)
        similar = views_ssim_map(drawn, batch["image"]).flatten(1).mean(dim=1)
        return {"recomposition_psnr": psnr_of(error), "recomposition_ssim": similar}

    return mean_scores(score_predictions(score, model, batches, amp), known=True)


def shadow_likeness(pred: Layers, originals: Tensor) -> dict[str, float]:
    """shadow_picture_correlation: of predicted shadows with the luminance of the clean picture they fall on, over all
    pixels and views of a sequence, mean over sequences. A true shadow does not know what it falls on.

    Args:
        pred: Of a whole set, shadow (N, 1, T, H, W), on the CPU.
        originals: (N, 3, 1, H, W), uint8 or floats in [0, 1].
    """
    seen = grey(linear(in_unit(originals.cpu()).double()), LUMINANCE).expand_as(pred.shadow)
    return mean_scores({"shadow_picture_correlation":
                        layer_correlation(pred.shadow, seen, torch.ones_like(seen, dtype=torch.bool))}, known=True)
