"""Uniform random numbers of a batch of pictures: what one picture gets never depends on the others."""

from collections.abc import Sequence

import torch
from torch import Tensor

from htcv_lib.data.batches import stream_seed


class Draws:
    """Hands out the columns of a table of uniform numbers, each once and in order.

    Args:
        numbers: (B, K) in [0, 1), one row per picture.

    Errors: IndexError when all K columns are used.
    """

    def __init__(self, numbers: Tensor):
        self.numbers = numbers
        self.used = 0

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(B,) uniform in [low, high)."""
        if self.used == self.numbers.shape[1]:
            raise IndexError(f"only {self.used} numbers were drawn per picture")
        column = self.numbers[:, self.used]
        self.used += 1
        return low + (high - low) * column

    def log_uniform(self, low: float, high: float) -> Tensor:
        """(B,) with a uniform logarithm in [low, high), both positive."""
        return low * (high / low) ** self.uniform()

    def choice(self, count: int) -> Tensor:
        """(B,) int64, each of 0 ... count - 1 equally often."""
        return (self.uniform() * count).long().clamp_(max=count - 1)

    def chance(self, probability: float) -> Tensor:
        """(B,) bool, true with this probability."""
        return self.uniform() < probability


def picture_generator(seed: int, index: int, purpose: str) -> torch.Generator:
    """The CPU generator of one picture; the same wherever and beside whichever others it is made."""
    return torch.Generator().manual_seed(stream_seed(seed, index, purpose))


def picture_draws(generators: Sequence[torch.Generator], columns: int, device: str | torch.device = "cpu") -> Draws:
    """`columns` uniform numbers from each picture's generator, float32 on a device."""
    return Draws(torch.stack([torch.rand(columns, generator=each) for each in generators]).to(device))
