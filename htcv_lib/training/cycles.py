"""The learning-rate schedule of the label VAEs as the report had it."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR


def linear_cycle(optimizer: Optimizer, max_lr: float, steps: int) -> OneCycleLR:
    """From a hundredth of `max_lr` straight up to it over a fifth of the updates, then straight down to a hundredth of
    where it began, with momentum the other way round (Smith & Topin, 2018, with the settings of the ERA V1 Session 18
    code)."""
    return OneCycleLR(optimizer, max_lr=max_lr, total_steps=steps + 1, pct_start=0.2, anneal_strategy="linear",
                      div_factor=100, final_div_factor=100)  # + 1: stepped after the last update
