"""One training on several processes: the same curve as one process with the same global batch.

`fit` is used as it is, in each process, with that process's part of every batch (`ShardedBatches` of `htcv_lib.data`).
DistributedDataParallel averages the gradients during `backward`; `averaged` does the same to the objective's terms,
so that every process writes the history of the global batch. Started by `torchrun`:

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
