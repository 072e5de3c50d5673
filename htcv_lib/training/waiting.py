"""How long a training waits for its data."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from htcv_lib.training.phase import Batch


class TimedBatches:
    """The same batches, with a note of the time until each is there.

    On a GPU, work that was only queued by then counts as the step's, not as waiting.
    """

    def __init__(self, batches: Iterable[Batch]):
        self.batches = batches
        self.waited_s = 0.0

    def __len__(self) -> int:
        return len(self.batches)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batches, name)

    def __iter__(self) -> Iterator[Batch]:
        stream = iter(self.batches)
        while True:
            begin = time.perf_counter()
            try:
                batch = next(stream)
            except StopIteration:
                return
            self.waited_s += time.perf_counter() - begin
            yield batch

    def share(self, train_s: float) -> float:
        """Of a training of so many seconds, the part spent waiting, in [0, 1]."""
        if train_s <= 0:
            raise ValueError(f"a training takes more than {train_s} s")
        return min(1.0, self.waited_s / train_s)
