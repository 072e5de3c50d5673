"""What outlives a process: the whole state of a training in one file, averaged weights, weights from a file."""

import copy
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from htcv_lib.training.history import History
from htcv_lib.training.phase import Phase

# An exponential moving average of a model's weights (Polyak averaging).


class WeightAverage:
    r"""Averages parameters and floating-point buffers, so batch statistics belong to the averaged weights.

    .. math:: \bar\theta \leftarrow d \bar\theta + (1 - d) \theta, \quad d = \min(decay, (1 + n) / (10 + n))

    The early, smaller `d` (as in timm and TensorFlow) lets short trainings forget their start. Unlike
    `torch.optim.swa_utils.AveragedModel`, which does the same sums, an update never waits for the device.

    Args:
        model: The model that is trained; averaged weights are swapped into it by `applied`.
        decay: In [0, 1); 1 / (1 - decay) is about the number of updates remembered.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999):
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        self.model, self.decay, self.count = model, decay, 0
        self.average = {name: tensor.detach().clone() for name, tensor in tensors(model).items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the model's present weights; call after each step."""
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        self.count += 1
        live = tensors(self.model)
        floating = [name for name in live if live[name].is_floating_point()]
        get_ema_multi_avg_fn(decay)([self.average[n] for n in floating], [live[n] for n in floating], None)
        for name in live.keys() - set(floating):  # counters
            self.average[name].copy_(live[name])

    @torch.no_grad()
    def copy_to_model(self) -> None:
        """Put the averaged weights into the model, for good."""
        for name, tensor in tensors(self.model).items():
            tensor.copy_(self.average[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights inside the `with`, and its own again after it."""
        own = copy.deepcopy({name: tensor.detach() for name, tensor in tensors(self.model).items()})
        self.copy_to_model()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, tensor in tensors(self.model).items():
                    tensor.copy_(own[name])

    def state_dict(self) -> dict:
        return {"average": self.average, "count": self.count}

    def load_state_dict(self, state: dict) -> None:
        self.count = state["count"]
        with torch.no_grad():
            for name, tensor in self.average.items():
                tensor.copy_(state["average"][name])


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


# Everything a training needs to go on as if it had never stopped, in one file written atomically.

FORMAT = 1


def save_checkpoint(path: Path, epoch: int, step: int, history: History, phases: Sequence[Phase], batches: Iterable,
                    models: Mapping[str, nn.Module], average: WeightAverage | None) -> None:
    """Write the state between two epochs; a reader sees the old file or the new one, never half of one.

    Args:
        epoch, step: How many are finished.
        models: With the weights that are trained, not the averaged ones.
    """
    state = {
        "format": FORMAT,
        "epoch": epoch,
        "step": step,
        "history": history.state_dict(),
        "models": {name: model.state_dict() for name, model in models.items()},
        "optimizers": {phase.name: phase.optimizer.state_dict() for phase in phases},
        "schedulers": {phase.name: phase.scheduler.state_dict() for phase in phases if phase.scheduler},
        "average": average.state_dict() if average else None,
        "batches": batches.state_dict() if hasattr(batches, "state_dict") else None,
        "random": random_state(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    torch.save(state, unfinished)
    os.replace(unfinished, path)


def load_checkpoint(path: Path, history: History, phases: Sequence[Phase], batches: Iterable,
                    models: Mapping[str, nn.Module], average: WeightAverage | None) -> tuple[int, int]:
    """Put the saved state into the given objects; returns the finished epochs and steps.

    Errors: ValueError for a file that cannot be read or that belongs to another training.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for damaged files
        raise ValueError(f"checkpoint {path} cannot be read ({error}); delete it to start again") from error
    wanted = {
        "format": FORMAT,
        "models": sorted(models),
        "phases": sorted(phase.name for phase in phases),
        "schedulers": sorted(phase.name for phase in phases if phase.scheduler),
        "average": average is not None,
    }
    found = {
        "format": state.get("format"),
        "models": sorted(state["models"]),
        "phases": sorted(state["optimizers"]),
        "schedulers": sorted(state["schedulers"]),
        "average": state["average"] is not None,
    }
    for what in wanted:
        if wanted[what] != found[what]:
            raise ValueError(f"checkpoint {path} is of another training: {what} {found[what]}, not {wanted[what]}")
    try:
        for name, model in models.items():
            model.load_state_dict(state["models"][name])
        for phase in phases:
            phase.optimizer.load_state_dict(state["optimizers"][phase.name])
            if phase.scheduler:
                phase.scheduler.load_state_dict(state["schedulers"][phase.name])
    except (RuntimeError, ValueError) as error:  # other shapes or parameter groups
        raise ValueError(f"checkpoint {path} is of another training: {error}") from error
    if average:
        average.load_state_dict(state["average"])
    if state["batches"] is not None:
        batches.load_state_dict(state["batches"])
    history.load_state_dict(state["history"])
    restore_random_state(state["random"])
    return state["epoch"], state["step"]


def random_state() -> dict:
    """States of the global generators of Python, NumPy and torch, as tensors, numbers and strings."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: dict) -> None:
    """Continue the random streams where `random_state` saw them; CUDA's only on as many devices."""
    version, words, gauss_next = state["python"]
    random.setstate((version, tuple(words), gauss_next))
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


# Trained weights from a file.


def load_weights(model: nn.Module, path: str | Path) -> nn.Module:
    """Load a safetensors file into a model of the same shape, and put it into evaluation mode.

    Errors: FileNotFoundError; RuntimeError if names or shapes differ.
    """
    from safetensors.torch import load_file

    model.load_state_dict(load_file(path))
    return model.eval()
