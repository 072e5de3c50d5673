"""Learning-rate schedules, with the horizon counted in updates."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau


def cosine_schedule(optimizer: Optimizer, steps: int, warmup: int = 0) -> LambdaLR:
    """A linear rise over `warmup` updates, then half a cosine down to 0 at update `steps`
    (Loshchilov & Hutter, 2017, arXiv:1608.03983, without restarts)."""
    if not 0 <= warmup < steps:
        raise ValueError(f"warmup must be in [0, steps), got {warmup} of {steps}")

    def factor(update: int) -> float:
        if update < warmup:
            return (update + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (update - warmup) / (steps - warmup))))

    return LambdaLR(optimizer, factor)


def one_cycle(optimizer: Optimizer, max_lr: float, steps: int, rise: float = 0.3) -> OneCycleLR:
    """Up to `max_lr` over the share `rise` of the updates, then down to almost 0, both along a cosine, while momentum
    (Adam's first beta) goes from 0.95 to 0.85 and back (Smith & Topin, 2018, arXiv:1708.07120)."""
    return OneCycleLR(optimizer, max_lr=max_lr, total_steps=steps + 1, pct_start=rise)  # + 1: stepped after the last


def plateau(optimizer: Optimizer, factor: float = 0.1, patience: int = 2) -> ReduceLROnPlateau:
    """Multiply the rate by `factor` after more than `patience` epochs without a lower value; `fit` feeds it the
    phase's training loss, or the column named by `Phase.monitor`."""
    return ReduceLROnPlateau(optimizer, mode="min", factor=factor, patience=patience)
