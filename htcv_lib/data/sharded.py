"""A global batch cut into equal parts, one for each process that trains the same network."""

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor


class BatchStream(Protocol):
    """Each `iter()` is one epoch of dict batches; `Batches` and its relatives."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[dict[str, Tensor]]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class ShardedBatches:
    """One process's part of every global batch; put together in the order of ranks, the parts are that batch.

    Every process cuts the same global batches (same set, seed and batch size) and keeps rows
    `rank * B / world` to `(rank + 1) * B / world` of each. A loss that is a mean over the batch then has, averaged over
    the processes, the value and gradient of one process with the global batch. That is not so for what depends on the
    batch in another way: batch normalization, a weight counted from the batch.

    Args:
        batches: The global batches.
        rank, world: Which of how many processes this is.

    Yields dicts as `batches`, with B / world rows in each field.
    Errors: ValueError for a rank outside `range(world)`, and where a batch (the last, smaller one too) cannot be cut
    into equal parts: at once if `batches` tells its sizes, else when that batch comes.
    """

    def __init__(self, batches: BatchStream, rank: int, world: int):
        if not 0 <= rank < world:
            raise ValueError(f"rank must be one of 0 to {world - 1}, got {rank}")
        self.batches, self.rank, self.world = batches, rank, world
        for size in _known_sizes(batches):
            self._part(size)

    def __len__(self) -> int:
        """Batches per epoch, the same for each process."""
        return len(self.batches)

    def state_dict(self) -> dict[str, Any]:
        """That of the global batches: any number of processes can go on from it."""
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.batches.load_state_dict(state)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return self._parts(iter(self.batches))  # begins the epoch now, as the global batches do

    def _parts(self, epoch: Iterator[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
        for batch in epoch:
            part = self._part(len(next(iter(batch.values()))))
            yield {name: tensor[part] for name, tensor in batch.items()}

    def _part(self, size: int) -> slice:
        if size % self.world:
            raise ValueError(f"a batch of {size} cannot be cut into {self.world} equal parts: choose another batch "
                             "size, or leave out a last, smaller batch (drop_last)")
        share = size // self.world
        return slice(self.rank * share, (self.rank + 1) * share)


def _known_sizes(batches: BatchStream) -> list[int]:
    """The sizes of batches to come, as far as they can be told before the first."""
    size, total = getattr(batches, "batch_size", None), getattr(batches, "size", None)
    if size is None or not isinstance(total, int):
        return [] if size is None else [size]
    rest = 0 if getattr(batches, "drop_last", False) else total % size
    return [min(size, total), *([rest] if rest else [])]
