"""Collapses looked for honestly: a written rule, constancy measured every epoch, the weights from before."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from htcv_lib.decomposer.objective import LIGHT_LAST
from htcv_lib.decomposer.scores import evaluate_decomposition, evaluate_objective
from htcv_lib.training.history import History
from htcv_lib.training.phase import Batch

Measures = Mapping[str, float]
State = dict[str, dict[str, Tensor]]  # model -> its state, on the CPU


@dataclass(frozen=True)
class CollapseRule:
    """What counts as a collapse. Fix it before the runs.

    An evaluation is bad if the watched loss is not finite, or exceeds `factor` times the best one before it and that
    one by more than `margin`; or, where a contrast was measured, if that is below `flat` after it had been above twice
    that. A collapse is `lasting` bad evaluations in a row, or the last one of the training alone; it begins with the
    first of them. So is a training that stopped because its loss became infinite or NaN. The training recovered if its
    last evaluation is not bad and its loss at most `healed` times the best one before the collapse.

    A loss whose best is not above 0 is judged by the contrast alone. A network that has been constant from the first
    evaluation on never learned: that is no collapse.
    """

    factor: float = 2.0
    margin: float = 0.01  # in the unit of the loss, for losses whose best is near 0
    flat: float = 0.1  # contrast of the prediction over that of the truth
    lasting: int = 2
    healed: float = 1.2

    def __post_init__(self):
        sensible = self.factor > 1 and self.margin >= 0 and self.healed >= 1 and self.lasting >= 1 and 0 < self.flat < 1
        if not sensible:
            raise ValueError("factor > 1, margin >= 0, healed >= 1, lasting >= 1 and flat in (0, 1) are needed, "
                             f"got {self}")


@dataclass(frozen=True)
class Verdict:
    """What the rule says of one training.

    Attributes:
        collapsed: Whether it collapsed.
        epoch: In which (from 1); the first collapse counts. None without one.
        cause: "loss", "contrast" or "not finite".
        recovered: Whether it came back; None without a collapse.
        best_epoch, best: Where the watched loss was lowest before the collapse (in the whole training without one).
        last: The watched loss of the last evaluation; NaN or infinite where the training stopped for that.
    """

    collapsed: bool
    epoch: int | None
    cause: str | None
    recovered: bool | None
    best_epoch: int | None
    best: float
    last: float


def collapse_verdict(rows: Sequence[Measures], loss: str = "val/loss", contrast: str = "val/relative_contrast",
                     rule: CollapseRule | None = None, events: Sequence[Mapping] = ()) -> Verdict:
    """The rule applied to a training.

    Args:
        rows: One dict an epoch, as `History.rows`; those without `loss` (no evaluation) are skipped.
        loss, contrast: Columns; rows need no contrast.
        events: `History.events`; "non-finite loss" is a collapse from which there was no return.
    """
    rule = rule or CollapseRule()
    rows = [row for row in rows if loss in row]
    causes = bad_evaluations(rows, loss, contrast, rule)
    start = first_lasting(causes, rule.lasting)
    stopped = next((event for event in events if event["event"] == "non-finite loss"), None)
    healthy = rows if start is None else rows[:start]
    best = min((row for row in healthy if math.isfinite(row[loss])), key=lambda row: row[loss], default=None)
    best_epoch, lowest = (None, math.nan) if best is None else (int(best["epoch"]), float(best[loss]))
    last = math.nan if stopped or not rows else float(rows[-1][loss])
    if start is None and stopped is None:
        return Verdict(False, None, None, None, best_epoch, lowest, last)
    epoch, cause = (stopped["epoch"], "not finite") if start is None else (int(rows[start]["epoch"]), causes[start])
    recovered = stopped is None and causes[-1] is None and last <= rule.healed * lowest
    return Verdict(True, epoch, cause, recovered, best_epoch, lowest, last)


def bad_evaluations(rows: Sequence[Measures], loss: str, contrast: str, rule: CollapseRule) -> list[str | None]:
    """For each row why it is bad, or None."""
    causes, best, seen = [], math.inf, False
    for row in rows:
        value, sharp = float(row[loss]), float(row.get(contrast, math.nan))
        flat = seen and sharp < rule.flat  # False for a NaN: not measured
        if not math.isfinite(value):
            causes.append("not finite")
        elif best > 0 and value > rule.factor * best and value > best + rule.margin:
            causes.append("loss")
        else:
            causes.append("contrast" if flat else None)
        best = min(best, value) if math.isfinite(value) else best
        seen = seen or sharp > 2 * rule.flat
    return causes


def first_lasting(causes: Sequence[str | None], lasting: int) -> int | None:
    """Where the first run of `lasting` bad evaluations begins, or of fewer that last to the end; None without one."""
    length = 0
    for place, cause in enumerate([*causes, None]):
        if cause is not None:
            length += 1
            continue
        if length >= lasting or (length and place == len(causes)):
            return place - length
        length = 0
    return None


class CollapseWatch:
    """The `evaluate` of a `fit` that looks for a collapse and keeps the weights from before it.

    After every epoch it returns the metrics and the measures, and copies the models to the CPU whenever the watched
    loss is lower than ever. Once the rule sees a collapse, the copy of that moment is `before` and stays, whatever
    follows. With an `ema` in `fit` the copies hold the averaged weights, which are those that were evaluated.

    Args:
        evaluate: Returns metrics, among them `loss`.
        models: By name.
        measure: Returns further measures, for example a partial of `constancy_of`.
        loss: Metric that is watched, lower is better.
        contrast: Measure or metric with the contrast of the prediction over that of the truth; need not be there.
        keep: File that holds the copies as well, so that a training that was stopped and resumed still has them;
            beside the checkpoint of `fit`. Without it the watch of a resumed training knows only what came after.

    Attributes: rows (one dict a call, with "epoch" counted in calls), best and before (model -> state, or None).
    """

    def __init__(self, evaluate: Callable[[], Measures], models: Mapping[str, nn.Module],
                 measure: Callable[[], Measures] | None = None, loss: str = "loss",
                 contrast: str = "relative_contrast", rule: CollapseRule | None = None,
                 keep: str | Path | None = None):
        self.evaluate, self.models, self.measure = evaluate, dict(models), measure
        self.loss, self.contrast, self.rule = loss, contrast, rule or CollapseRule()
        self.keep = None if keep is None else Path(keep)
        self.rows: list[dict[str, float]] = []
        self.best: State | None = None
        self.before: State | None = None
        if self.keep is not None and self.keep.exists():
            state = torch.load(self.keep, map_location="cpu", weights_only=True)
            self.rows, self.best, self.before = state["rows"], state["best"], state["before"]

    def __call__(self) -> dict[str, float]:
        found = {**self.evaluate(), **(self.measure() if self.measure else {})}
        if self.loss not in found:
            raise ValueError(f"the watched {self.loss!r} is not among {', '.join(found)}")
        value = float(found[self.loss])
        lowest = min((row[self.loss] for row in self.rows if math.isfinite(row[self.loss])), default=math.inf)
        self.rows.append({"epoch": len(self.rows) + 1}
                         | {name: float(found[name]) for name in (self.loss, self.contrast) if name in found})
        if self.before is None and self._begun():
            self.before = self.best
        if value < lowest:
            self.best = {name: copied(model) for name, model in self.models.items()}
        self._save()
        return found

    def verdict(self, history: History) -> Verdict:
        """What the rule says of the training whose history this is, also of one that `NonFiniteLoss` ended."""
        return collapse_verdict(history.rows, f"val/{self.loss}", f"val/{self.contrast}", self.rule, history.events)

    def best_before(self) -> State | None:
        """The weights with the lowest watched loss before the collapse, or of the whole training without one."""
        return self.best if self.before is None else self.before

    def _begun(self) -> bool:
        """Whether a collapse has lasted long enough, without the rule for the last evaluation."""
        causes = bad_evaluations(self.rows, self.loss, self.contrast, self.rule)
        return len(causes) >= self.rule.lasting and all(causes[-self.rule.lasting:])

    def _save(self) -> None:
        if self.keep is None:
            return
        self.keep.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.keep.with_name(self.keep.name + ".tmp")
        torch.save({"rows": self.rows, "best": self.best, "before": self.before}, unfinished)
        os.replace(unfinished, self.keep)


def copied(model: nn.Module) -> dict[str, Tensor]:
    """The model's state on the CPU, apart from the model."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in model.state_dict().items()}


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
