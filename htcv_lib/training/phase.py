"""A phase: an optimizer and the objective it minimizes, and one update of it; optimizers and schedules by name."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from htcv_lib.training.history import History

Batch = dict[str, Tensor]


@dataclass
class Phase:
    """An optimizer and the objective it minimizes. Most families need one, the GAN two.

    Args:
        name: Names the phase's columns in the history.
        objective: Batch in, dict of scalar tensors out; "loss" is minimized, the rest is recorded.
        optimizer: Over the parameters this phase, and no other, updates.
        repeat: Updates per step, each on the step's batch; or a rule that decides from what was
            measured (`History.last`), which costs a wait for the device at every step.
        accumulate: Batches per update; gradients are averaged. The last update of an epoch may have fewer.
        clip_norm: Largest norm of the gradient over all parameters together.
        scheduler: A torch scheduler, stepped after every update; ReduceLROnPlateau after every epoch.
        monitor: History column a ReduceLROnPlateau watches; by default this phase's training loss.
    """

    name: str
    objective: Callable[[Batch], dict[str, Tensor]]
    optimizer: torch.optim.Optimizer
    repeat: int | Callable[[History], int] = 1
    accumulate: int = 1
    clip_norm: float | None = None
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None
    monitor: str | None = None

    def __post_init__(self):
        if self.accumulate < 1:
            raise ValueError(f"{self.name}: accumulate must be at least 1, got {self.accumulate}")
        if self.accumulate > 1 and self.repeat != 1:
            raise ValueError(f"{self.name}: repeat several updates per batch, or accumulate batches; not both")

    @property
    def params(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]

    @property
    def plateau(self) -> bool:
        """Whether the scheduler is stepped with a measured value, once an epoch."""
        return isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)


def gradient_step(phase: Phase, batch: Batch, amp: bool = False) -> dict[str, Tensor]:
    """One forward, one backward, one update of this phase's parameters and no others.

    Args:
        amp: Compute the objective in bfloat16 where autocast says so.

    Returns the objective's terms and "grad_norm" (before clipping), detached scalars on the device.
    """
    phase.optimizer.zero_grad(set_to_none=True)
    terms = backward(phase, batch, amp)
    return terms | {"grad_norm": update(phase)}


def backward(phase: Phase, batch: Batch, amp: bool = False) -> dict[str, Tensor]:
    """Add the gradient of one batch, over `accumulate`, to the phase's parameters; returns detached terms."""
    with torch.autocast(device_of(batch).type, dtype=torch.bfloat16, enabled=amp):
        terms = phase.objective(batch)
    loss = terms["loss"] / phase.accumulate if phase.accumulate > 1 else terms["loss"]
    loss.backward(inputs=phase.params)
    return {name: value.detach() for name, value in terms.items()}


def update(phase: Phase, share: float = 1.0) -> Tensor:
    """Clip the gradients and step the optimizer and its schedule; returns the norm before clipping.

    Args:
        share: How much of `accumulate` was gathered; less than 1 only at the end of an epoch.
    """
    params = phase.params
    grads = [p.grad for p in params if p.grad is not None]
    if share != 1.0:
        torch._foreach_div_(grads, share)
    norm = nn.utils.get_total_norm(grads)
    if phase.clip_norm is not None:
        nn.utils.clip_grads_with_norm_(params, phase.clip_norm, norm)
    phase.optimizer.step()
    if phase.scheduler is not None and not phase.plateau:
        phase.scheduler.step()
    return norm


class Accumulator:
    """Lets a phase see batch after batch and updates it after every `accumulate` of them."""

    def __init__(self, phase: Phase):
        self.phase = phase
        self.gathered: list[dict[str, Tensor]] = []  # terms of the batches since the last update

    def add(self, batch: Batch, amp: bool) -> dict[str, Tensor] | None:
        """Take one batch; returns the terms (means over the gathered batches) if it led to an update."""
        if self.phase.accumulate == 1:
            return gradient_step(self.phase, batch, amp)
        if not self.gathered:
            self.phase.optimizer.zero_grad(set_to_none=True)
        self.gathered.append(backward(self.phase, batch, amp))
        return self.flush() if len(self.gathered) == self.phase.accumulate else None

    def flush(self) -> dict[str, Tensor] | None:
        """Update with what was gathered, if anything; at the end of an epoch it can be less than usual."""
        if not self.gathered:
            return None
        norm = update(self.phase, share=len(self.gathered) / self.phase.accumulate)
        terms = {name: torch.stack([t[name] for t in self.gathered]).mean() for name in self.gathered[0]}
        self.gathered = []
        return terms | {"grad_norm": norm}


def device_of(batch: Batch) -> torch.device:
    """Where the batch's first tensor is."""
    return next(value for value in batch.values() if isinstance(value, Tensor)).device


# Optimizers and learning-rate schedules by name, so that a notebook can choose them by a parameter.


def make_optimizer(name: str, params: Iterable[nn.Parameter], lr: float, weight_decay: float = 0.0) -> Optimizer:
    """ "adam" (Kingma & Ba, 2015) or "adamw" (Loshchilov & Hutter, 2019, decoupled weight decay).

    Errors: ValueError for another name, and for weight decay with "adam", which would be L2 regularization.
    """
    if name == "adamw":
        return AdamW(params, lr=lr, weight_decay=weight_decay)
    if name != "adam":
        raise ValueError(f"optimizer must be adam or adamw, got {name!r}")
    if weight_decay:
        raise ValueError("adam takes no weight decay here; use adamw")
    return Adam(params, lr=lr)


def make_schedule(name: str, optimizer: Optimizer, lr: float, steps: int) -> LRScheduler | None:
    """A learning-rate schedule, with the horizon counted in updates.

    Args:
        name: "constant": none.
            "plateau": a tenth of the rate after more than two epochs without a lower value; `fit` feeds it the phase's
            training loss, or the column named by `Phase.monitor`.
            "one_cycle": up to `lr` over three tenths of the updates, then down to almost 0, both along a cosine, while
            momentum (Adam's first beta) goes from 0.95 to 0.85 and back (Smith & Topin, 2018, arXiv:1708.07120).
            "linear_cycle": from a hundredth of `lr` straight up over a fifth of the updates, then straight down to a
            hundredth of where it began, momentum the other way round; the settings of the ERA V1 Session 18 code.
            "cosine": a linear rise over a twentieth of the updates, then half a cosine down to 0 (Loshchilov & Hutter,
            2017, arXiv:1608.03983, without restarts).
            "then_tenth": the optimizer's own rate for two thirds of the updates, then a tenth of it; the Session 15
            report trains 20 epochs with 0.0002 and 10 with 0.00002.
        lr: The largest learning rate.
        steps: Updates in the whole training.

    Errors: ValueError for another name, or no steps.
    """
    if steps < 1:
        raise ValueError(f"a schedule needs at least one step, got {steps}")
    cycle = partial(OneCycleLR, optimizer, max_lr=lr, total_steps=steps + 1)  # + 1: stepped after the last update
    schedules = {
        "constant": lambda: None,
        "plateau": lambda: ReduceLROnPlateau(optimizer, mode="min", factor=0.1, patience=2),
        "one_cycle": lambda: cycle(pct_start=0.3),
        "linear_cycle": lambda: cycle(pct_start=0.2, anneal_strategy="linear", div_factor=100, final_div_factor=100),
        "cosine": lambda: LambdaLR(optimizer, partial(_cosine, steps=steps, warmup=max(1, steps // 20))),
        "then_tenth": lambda: LambdaLR(optimizer, lambda update: 1.0 if update < round(2 / 3 * steps) else 0.1),
    }
    if name not in schedules:
        raise ValueError(f"schedule must be one of {', '.join(schedules)}, got {name!r}")
    return schedules[name]()


def _cosine(update: int, steps: int, warmup: int) -> float:
    """The factor of the rate: a linear rise, then half a cosine."""
    if update < warmup:
        return (update + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (update - warmup) / max(1, steps - warmup))))
