"""What is watched while a network learns to decompose, and what its history says afterwards."""

import math
from collections.abc import Iterable

import numpy as np
from torch import nn

from htcv_lib.training.collapse import Verdict
from htcv_lib.training.decomposition import LIGHT_LAST
from htcv_lib.training.decomposition_scores import evaluate_decomposition, evaluate_objective
from htcv_lib.training.history import History
from htcv_lib.training.phase import Batch

WATCHED = ("original_psnr", "recomposition_psnr", "mask_iou")


def watch_decomposition(objective, model: nn.Module, batches: Iterable[Batch], order: str = LIGHT_LAST,
                        hard: bool = True) -> dict[str, float]:
    """The objective's terms on sequences that are not trained on, and the scores of `WATCHED`.

    Args:
        objective: (model, batch) -> terms.
        order, hard: As in `evaluate_decomposition`.
    """
    scores = evaluate_decomposition(model, batches, order, hard)
    return evaluate_objective(objective, model, batches) | {name: scores[name] for name in WATCHED if name in scores}


def describe_training(history: History, verdict: Verdict, epochs: int, phase: str = "decomposer") -> dict[str, float]:
    """How a training went, as numbers for a record.

    Args:
        verdict: Of `collapse_verdict`.
        epochs: Planned; a training that stopped has fewer.
        phase: Whose columns are read.

    Returns collapsed and, with a collapse, recovered (0 or 1), collapse_epoch, and loss_rise and val_loss_rise, the
    last losses over the lowest before it; loss_fall, the first epoch's training loss over the lowest before a collapse;
    grad_norm_max, the largest mean of an epoch; steadiness, the standard deviation of the change of the logarithm of
    the training loss from epoch to epoch over the second half (absent below 4 epochs or for a loss that is not above
    0); early_psnr, the clean picture's on validation sequences once a quarter of the planned epochs is over; val_loss,
    the last one. Training losses count without "weights", the penalty on the size of weights.
    """
    found = {"collapsed": float(verdict.collapsed), "val_loss": verdict.last}
    losses = np.array([row[f"train/{phase}/loss"] - row.get(f"train/{phase}/weights", 0.0) for row in history.rows])
    healthy = losses[[row["epoch"] < (verdict.epoch or math.inf) for row in history.rows]] if len(losses) else losses
    if len(healthy):
        found["loss_fall"] = float(losses[0] / healthy.min())
    if verdict.collapsed:
        found |= {"collapse_epoch": float(verdict.epoch), "recovered": float(bool(verdict.recovered)),
                  "val_loss_rise": verdict.last / verdict.best}
        if len(healthy):
            found["loss_rise"] = float(losses[-1] / healthy.min())
    found["grad_norm_max"] = max((row[f"train/{phase}/grad_norm"] for row in history.rows), default=math.nan)
    if len(losses) >= 4 and (losses > 0).all():
        found["steadiness"] = float(np.diff(np.log(losses[len(losses) // 2 :])).std())
    quarter = math.ceil(epochs / 4)
    early = [row["val/original_psnr"] for row in history.rows if row["epoch"] >= quarter and "val/original_psnr" in row]
    return found | ({"early_psnr": early[0]} if early else {})
