"""What networks that decompose a sequence say of a set, and their scores: of each sequence, and as means."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from htcv_lib.metrics.decomposition_scores import score_decomposition, score_original
from htcv_lib.metrics.flatness import constancy, contrast
from htcv_lib.metrics.leakage import Leakage, leakage_matrix
from htcv_lib.training.decomposition import LIGHT_LAST, floats
from htcv_lib.training.modes import in_mode
from htcv_lib.training.phase import Batch
from htcv_lib.training.segmentation import autocast

Predict = Callable[[Tensor], Any]  # image (B, 3, T, H, W) -> layers, or pictures (B, 3, T or 1, H, W)


def predictions(predict: Predict, batches: Iterable[Batch], amp: bool | None) -> Iterator[tuple[Batch, Any]]:
    """Batch and prediction, float32 and without a graph, one after the other; networks predict in evaluation mode.

    Errors: ValueError if there are no batches.
    """
    model = predict if isinstance(predict, nn.Module) else None
    count = 0
    for batch in batches:
        with torch.no_grad(), in_mode(False, model), autocast(batch["image"].device, amp):
            pred = predict(batch["image"])
        count += 1
        yield batch, pred.float() if isinstance(pred, Tensor) else floats(pred)
    if not count:
        raise ValueError("no batches to predict on")


def predict_decomposition(model: Predict, batches: Iterable[Batch], amp: bool | None = None) -> Any:
    """The layers of every sequence in the order of the batches: what the model returns, its fields (N, ...) float32 on
    the CPU, one that is None stays so. Pictures (B, 3, T, H, W) of other networks become one tensor in the same way.

    Args:
        amp: bfloat16 autocast; by default on CUDA only.
    """
    parts = [to_cpu(pred) for _, pred in predictions(model, batches, amp)]
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    fields = zip(*parts, strict=True)
    return type(parts[0])(*(None if field[0] is None else torch.cat(field) for field in fields))


def score_sequences(model: Predict, batches: Iterable[Batch], order: str = LIGHT_LAST, hard: bool = True,
                    amp: bool | None = None) -> dict[str, Tensor]:
    """`score_decomposition` of every sequence: (N,) float64 on the CPU each, NaN where a sequence has no such score.

    Args:
        batches: Of the whole truth that is known, in order.
        order, hard: Of the composition; `hard=False` for networks trained with soft masks.
    """
    return gathered(score_decomposition(pred, batch, order, hard) for batch, pred in predictions(model, batches, amp))


def evaluate_decomposition(model: Predict, batches: Iterable[Batch], order: str = LIGHT_LAST, hard: bool = True,
                           amp: bool | None = None) -> dict[str, float]:
    """Means over sequences of `score_sequences`; see `mean_scores`."""
    return mean_scores(score_sequences(model, batches, order, hard, amp))


def evaluate_original(predict: Predict, batches: Iterable[Batch], amp: bool | None = None) -> dict[str, float]:
    """original_psnr in dB and original_ssim, means over sequences, of whatever finds a clean picture.

    Args:
        predict: A baseline, a function or network that returns pictures, or one that returns layers. Of several
            pictures (B, 3, T, H, W) the mean counts, as in the first report.
    """
    return mean_scores(gathered(
        score_original((pred if isinstance(pred, Tensor) else pred.original).mean(dim=2, keepdim=True),
                       batch["original"])
        for batch, pred in predictions(predict, batches, amp)))


def leakage_of(model: Predict, batches: Iterable[Batch], order: str = LIGHT_LAST, true_order: str | None = None,
               hard: bool = True, amp: bool | None = None) -> Leakage:
    """Leakage over a whole set, see `leakage_matrix`: `.entries()` for a record, from which `leakage_table` of
    `htcv_lib.figures` makes the matrix.

    Args:
        hard: Cut the mask at one half, as such networks compose; `hard=False` for networks trained with soft masks.
    """
    total = None
    for batch, pred in predictions(model, batches, amp):
        if hard:
            pred = pred._replace(mask=(pred.mask > 0.5).to(pred.mask.dtype))
        found = leakage_matrix(pred, batch, order, true_order)
        total = found if total is None else total + found
    return Leakage(total.true, total.predicted, total.products.cpu(), total.overlaps.cpu())


def constancy_of(model: Predict, batches: Iterable[Batch], amp: bool | None = None) -> dict[str, float]:
    """How constant predictions are, means over sequences: `constancy`, and relative_contrast.

    That is the contrast of the predicted clean pictures (of all pictures, for networks that return several) over that
    of the true ones, of the whole set: 1 is right, 0 is grey.
    """
    rows, made, true = [], 0.0, 0.0
    for batch, pred in predictions(model, batches, amp):
        rows.append(constancy(pred))
        made += float(contrast(pred if isinstance(pred, Tensor) else pred.original).mean(dim=(1, 2)).sum())
        true += float(contrast(batch["original"]).mean(dim=(1, 2)).sum())
    return mean_scores(gathered(rows)) | {"relative_contrast": made / true if true > 0 else math.nan}


def evaluate_objective(objective: Callable[[nn.Module, Batch], Mapping[str, Tensor]], model: nn.Module,
                       batches: Iterable[Batch], amp: bool | None = None) -> dict[str, float]:
    """"loss" and the other terms of an objective on a set that is not trained on: means over sequences.

    A term that sums over its batch depends on the batch size, as in training.
    """
    totals, count = {}, 0
    with torch.no_grad(), in_mode(False, model):
        for batch in batches:
            size = len(batch["image"])
            with autocast(batch["image"].device, amp):
                terms = objective(model, batch)
            for name, value in terms.items():
                totals[name] = totals.get(name, 0) + value.double() * size
            count += size
    if not count:
        raise ValueError("no batches to evaluate")
    return {name: float(value) / count for name, value in totals.items()}


def mean_scores(scores: Mapping[str, Tensor]) -> dict[str, float]:
    """The mean of each score (N,) over the sequences that have it; a score that none has is absent.

    A PSNR is the mean of the sequences' decibels, infinite with one perfect picture.
    """
    return {name: float(values.nanmean()) for name, values in scores.items() if not bool(values.isnan().all())}


def gathered(rows: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Scores (B,) of several batches as (N,) on the CPU."""
    rows = [{name: values.cpu() for name, values in row.items()} for row in rows]
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def to_cpu(pred: Any) -> Any:
    """A tensor or a NamedTuple of tensors on the CPU."""
    if isinstance(pred, Tensor):
        return pred.cpu()
    return pred._replace(**{name: value.cpu() for name, value in pred._asdict().items() if value is not None})
