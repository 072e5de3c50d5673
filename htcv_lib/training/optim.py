"""Optimizers and learning-rate schedules by name, so that a notebook can choose them by a parameter."""

import math
from collections.abc import Iterable
from functools import partial

from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau


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
