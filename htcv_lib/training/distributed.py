"""One training on several processes: the same curve as one process with the same global batch.

`fit` is used as it is, in each process, with that process's part of every batch. DistributedDataParallel averages the
gradients during `backward`; `averaged` does the same to the objective's terms, so that every process writes the history
of the global batch. Started by `torchrun`:

    with process_group() as group:
        wrapped = group.wrap(model)
        phase = Phase("net", averaged(partial(frames_objective, wrapped)), optimizer)
        fit([phase], ShardedBatches(batches, group.rank, group.world), epochs=5, models={"net": model})

A checkpoint needs a path of its own for each process. Measured: equal curves in float64; in float32 the sums are in
another order, which tiny networks with group normalization amplify to 1e-4 within a few steps.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from htcv_lib.training.phase import Batch

Objective = Callable[[Batch], dict[str, Tensor]]


@dataclass(frozen=True)
class Group:
    """The processes of a training: which one this is, of how many, and its device."""

    rank: int
    world: int
    device: torch.device

    def wrap(self, model: nn.Module, unused: bool = False) -> nn.Module:
        """The model as the objective must call it so that gradients are exchanged; alone, the model itself.

        Freeze first: what is frozen later would be waited for. Weights are those of process 0 in all of them, and the
        wrapped model shares them; optimizer, checkpoint and freezing work on the model.

        Args:
            unused: Whether there are parameters that do not always get a gradient; costs a look at the graph.
        """
        if self.world == 1:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=devices, find_unused_parameters=unused)


@contextmanager
def process_group(rank: int | None = None, world: int | None = None,
                  rendezvous: str | None = None) -> Iterator[Group]:
    """Join the other processes inside the `with`, and leave them after it.

    Args:
        rank, world: Which of how many processes; by default what `torchrun` says, without it one process alone.
        rendezvous: Where they meet, for example "tcp://10.0.0.1:29500", or a new file all of them see; by default as
            `torchrun` says.

    NCCL with a GPU for each process, else gloo.
    """
    rank = int(os.environ.get("RANK", 0)) if rank is None else rank
    world = int(os.environ.get("WORLD_SIZE", 1)) if world is None else world
    if not 0 <= rank < world:
        raise ValueError(f"rank must be one of 0 to {world - 1}, got {rank}")
    local = int(os.environ.get("LOCAL_RANK", rank))
    on_gpu = torch.cuda.device_count() > local
    device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    if world == 1:
        yield Group(0, 1, device)
        return
    dist.init_process_group("nccl" if on_gpu else "gloo", init_method=rendezvous or "env://", rank=rank,
                            world_size=world)
    try:
        yield Group(rank, world, device)
    finally:
        dist.destroy_process_group()


def averaged(objective: Objective) -> Objective:
    """The objective with its terms averaged over the processes; the gradient stays that of the own part.

    For a loss that is a mean over sequences this is the loss of the global batch. One whose weights are counted in the
    batch (`balanced_bce`), or that sums over it, sees each part by itself. One process alone: nothing changes.
    """

    def over_processes(batch: Batch) -> dict[str, Tensor]:
        terms = objective(batch)
        if not (dist.is_initialized() and dist.get_world_size() > 1):
            return terms
        values = torch.stack([value.detach().float() for value in terms.values()])
        dist.all_reduce(values)
        values /= dist.get_world_size()
        return {name: value + (mean - value.detach())
                for (name, value), mean in zip(terms.items(), values, strict=True)}

    return over_processes


# A global batch cut into equal parts, one for each process that trains the same network.


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
