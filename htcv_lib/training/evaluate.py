"""The scoring loop that every report shares."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from htcv_lib.training.device import autocast, in_mode
from htcv_lib.training.phase import Batch, device_of


def score_batches(score: Callable[[Batch], Mapping[str, Tensor]], batches: Iterable[Batch],
                  *models: nn.Module | None, amp: bool | None = None) -> dict[str, Tensor]:
    """What a function says of every image of a set, in the order of the batches, without gradients.

    Args:
        score: From a batch to values by name: (B, ...), one an image, or a scalar that holds for each of them, such as
            a mean loss. The same names every time.
        models: In evaluation mode meanwhile; None stands for no model.
        amp: bfloat16 autocast; by default on CUDA only.

    Returns (N, ...) on the CPU for each name; floating point below 64 bits becomes float32.
    Errors: ValueError if there are no batches.
    """
    found: dict[str, list[Tensor]] = {}
    with torch.no_grad(), in_mode(False, *models):
        for batch in batches:
            with autocast(device_of(batch), amp):
                values = score(batch)
            for name, value in values.items():
                value = value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
                found.setdefault(name, []).append(value.expand(batch_size(batch)) if value.ndim == 0 else value)
    if not found:
        raise ValueError("no batches to evaluate")
    return {name: torch.cat(parts).cpu() for name, parts in found.items()}


def mean_scores(scores: Mapping[str, Tensor], known: bool = False) -> dict[str, float]:
    """The mean of each score (N,), in float64; NaN, of a network that diverged, stays NaN.

    Args:
        known: NaN says that an image has no such score: the mean is over those that have it, and a score that none has
            is left out.
    """
    if not known:
        return {name: float(values.double().mean()) for name, values in scores.items()}
    return {name: float(values.double().nanmean()) for name, values in scores.items() if not values.isnan().all()}


def batch_size(batch: Batch) -> int:
    """How many images a batch holds."""
    return len(next(iter(batch.values())))
