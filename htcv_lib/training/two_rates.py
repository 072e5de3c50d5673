"""The report's two learning rates: one for most of the training, a tenth of it for the end."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def then_tenth(optimizer: Optimizer, steps: int, share: float = 2 / 3) -> LambdaLR:
    """The optimizer's rate for the first `share` of so many updates, then a tenth of it.

    The Session 15 report trains 20 epochs with 0.0002 and 10 with 0.00002.
    """
    if steps < 1 or not 0 < share <= 1:
        raise ValueError(f"need steps >= 1 and share in (0, 1], got {steps} and {share}")
    return LambdaLR(optimizer, lambda update: 1.0 if update < round(share * steps) else 0.1)
