"""A phase: an optimizer and the objective it minimizes, and one update of it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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
