"""Optimizers and learning-rate schedules by name, so that a notebook can choose them by a parameter."""

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau

# Learning-rate schedules, with the horizon counted in updates.


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


# Optimizers and schedules by name, so that a notebook can choose them by a parameter.


def make_optimizer(name: str, params: Iterable[nn.Parameter], lr: float,
                   weight_decay: float = 0.0) -> torch.optim.Optimizer:
    """ "adam" (Kingma & Ba, 2015) or "adamw" (Loshchilov & Hutter, 2019, decoupled weight decay).

    Errors: ValueError for another name, and for weight decay with "adam", which would be L2 regularization.
    """
    if name == "adamw":
        return torch.optim.AdamW(params, lr=lr, weight_decay=weight_decay)
    if name != "adam":
        raise ValueError(f"optimizer must be adam or adamw, got {name!r}")
    if weight_decay:
        raise ValueError("adam takes no weight decay here; use adamw")
    return torch.optim.Adam(params, lr=lr)


def make_schedule(name: str, optimizer: torch.optim.Optimizer, lr: float, steps: int):
    """ "plateau" (patience 2 epochs on the training loss), "one_cycle", "cosine" or "constant" (None).

    Args:
        lr: The largest learning rate.
        steps: Updates in the whole training.
    """
    if name == "plateau":
        return plateau(optimizer, patience=2)
    if name == "one_cycle":
        return one_cycle(optimizer, max_lr=lr, steps=steps)
    if name == "cosine":
        return cosine_schedule(optimizer, steps=steps, warmup=max(1, steps // 20))
    if name == "constant":
        return None
    raise ValueError(f"schedule must be plateau, one_cycle, cosine or constant, got {name!r}")


# The learning-rate schedule of the label VAEs as the report had it.


def linear_cycle(optimizer: Optimizer, max_lr: float, steps: int) -> OneCycleLR:
    """From a hundredth of `max_lr` straight up to it over a fifth of the updates, then straight down to a hundredth of
    where it began, with momentum the other way round (Smith & Topin, 2018, with the settings of the ERA V1 Session 18
    code)."""
    return OneCycleLR(optimizer, max_lr=max_lr, total_steps=steps + 1, pct_start=0.2, anneal_strategy="linear",
                      div_factor=100, final_div_factor=100)  # + 1: stepped after the last update


# The report's two learning rates: one for most of the training, a tenth of it for the end.


def then_tenth(optimizer: Optimizer, steps: int, share: float = 2 / 3) -> LambdaLR:
    """The optimizer's rate for the first `share` of so many updates, then a tenth of it.

    The Session 15 report trains 20 epochs with 0.0002 and 10 with 0.00002.
    """
    if steps < 1 or not 0 < share <= 1:
        raise ValueError(f"need steps >= 1 and share in (0, 1], got {steps} and {share}")
    return LambdaLR(optimizer, lambda update: 1.0 if update < round(share * steps) else 0.1)
