"""Everything a training needs to go on as if it had never stopped, in one file written atomically."""

import os
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from htcv_lib.training.average import WeightAverage
from htcv_lib.training.history import History
from htcv_lib.training.phase import Phase

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
