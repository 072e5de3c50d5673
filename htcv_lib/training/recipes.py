"""Optimizers and schedules by name, so that a notebook can choose them by a parameter."""

from collections.abc import Iterable

import torch
from torch import nn

from htcv_lib.training.schedules import cosine_schedule, one_cycle, plateau


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
