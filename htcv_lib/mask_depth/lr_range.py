"""The learning-rate range test (Smith, 2017, arXiv:1506.01186): one short training with a rate that grows."""

import copy
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from htcv_lib.training.device import in_mode
from htcv_lib.training.phase import Batch

DIVERGED = 4.0  # times the smallest loss


class SuggestedLR(NamedTuple):
    """What a range test is read for."""

    steepest: float  # where the smoothed loss falls fastest over log(lr); NaN if it never falls
    minimum: float  # where the smoothed loss is smallest, the author's choice; at the edge of divergence
    minimum_tenth: float  # a tenth of that


def lr_range_test(model: nn.Module, objective: Callable[[Batch], Mapping[str, Tensor]], batches: Iterable[Batch],
                  lr_min: float = 1e-6, lr_max: float = 1.0, steps: int = 100, smoothing: float = 0.05,
                  optimizer: Callable[[list[nn.Parameter], float], torch.optim.Optimizer] = torch.optim.Adam,
                  ) -> dict[str, list[float]]:
    r"""Train with :math:`lr_k = lr_{min} (lr_{max} / lr_{min})^{k / (steps - 1)}` and note the loss at every step.

    The model ends as it began: parameters, buffers, gradients and mode; so do the global generators of Python, NumPy
    and torch, and the batches' place in their stream if they have `state_dict` and `load_state_dict`. The test stops
    when the smoothed loss exceeds 4 times its minimum (for a negative minimum m, when it exceeds m + 3 |m|), and when
    a loss is not finite; that one is not noted.

    Args:
        objective: Batch in, dict of scalars out, as a `Phase` has it; "loss" is minimized.
        batches: Dicts of tensors; iterated again when they end.
        lr_min, lr_max: The range, 0 < lr_min < lr_max.
        steps: Updates if the test is not stopped; at least 2.
        smoothing: Weight of the newest loss in the average that starts at the first, in (0, 1]; 1 does not smooth. The
            average lags by about 1 / smoothing steps, which shifts what is read from it to larger rates.
        optimizer: Makes one from parameters and a rate, for example `partial(torch.optim.SGD, momentum=0.9)`.

    Returns columns of one length: "lr", "loss" (of the batch, before the update with this rate) and "smoothed".

    Errors: ValueError for an impossible range, for batches that yield nothing, and for a first loss that is not finite.
    """
    if not 0 < lr_min < lr_max or steps < 2 or not 0 < smoothing <= 1:
        raise ValueError(f"need 0 < lr_min < lr_max, steps >= 2 and smoothing in (0, 1], got {lr_min}, {lr_max}, "
                         f"{steps}, {smoothing}")
    result: dict[str, list[float]] = {"lr": [], "loss": [], "smoothed": []}
    with unchanged(model, batches), in_mode(True, model):
        params = [p for p in model.parameters() if p.requires_grad]
        stepper = optimizer(params, lr_min)
        stream = endless(batches)
        for step in range(steps):
            lr = lr_min * (lr_max / lr_min) ** (step / (steps - 1))
            for group in stepper.param_groups:
                group["lr"] = lr
            loss = objective(next(stream))["loss"]
            value = float(loss.detach())
            if not math.isfinite(value):
                break
            average = value if step == 0 else smoothing * value + (1 - smoothing) * result["smoothed"][-1]
            for name, number in zip(result, (lr, value, average), strict=True):
                result[name].append(number)
            best = min(result["smoothed"])
            if average > best + (DIVERGED - 1) * abs(best):
                break
            stepper.zero_grad(set_to_none=True)
            loss.backward(inputs=params)
            stepper.step()
    if not result["lr"]:
        raise ValueError("the loss is not finite before the first update")
    return result


def suggested_lr(result: Mapping[str, Sequence[float]]) -> SuggestedLR:
    """Read a range test's smoothed curve in the usual ways; none of them replaces a look at the figure.

    Args:
        result: "lr" and "smoothed" of `lr_range_test`, at least 2 steps.
    """
    lr, loss = np.asarray(result["lr"], dtype=float), np.asarray(result["smoothed"], dtype=float)
    if len(lr) < 2:
        raise ValueError(f"a suggestion needs at least 2 steps, got {len(lr)}")
    slope = np.gradient(loss, np.log(lr))
    steepest = float(lr[slope.argmin()]) if slope.min() < 0 else math.nan
    minimum = float(lr[loss.argmin()])
    return SuggestedLR(steepest, minimum, minimum / 10)


@contextmanager
def unchanged(model: nn.Module, batches: Iterable[Batch]) -> Iterator[None]:
    """Put everything a training changes back to what it was."""
    tensors = [*model.parameters(), *model.buffers()]
    before = [tensor.detach().clone() for tensor in tensors]
    grads = [p.grad for p in model.parameters()]
    place = copy.deepcopy(batches.state_dict()) if hasattr(batches, "state_dict") else None
    python, numpy = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if place is not None:
            batches.load_state_dict(place)
        with torch.no_grad():
            for tensor, kept in zip([*model.parameters(), *model.buffers()], before, strict=True):
                tensor.copy_(kept)
        for p, grad in zip(model.parameters(), grads, strict=True):
            p.grad = grad


def endless(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Epoch after epoch."""
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise ValueError("batches yielded nothing")
