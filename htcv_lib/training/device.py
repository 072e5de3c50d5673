"""Where and how a network computes: seeds, threads, memory, layout, precision, training or evaluation mode."""

import ctypes
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


def autocast(device: torch.device, amp: bool | None) -> torch.autocast:
    """bfloat16 where asked; None means on CUDA only."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" if amp is None else amp)


# Prepare a process for training: seeds, threads, memory and the device.

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def prepare(seed: int, threads: int | None = None) -> str:
    """Seed everything, set the process up for speed, and say where to train.

    On CPU, freed memory is kept by the process: page faults otherwise cost more than the arithmetic. On CUDA, cudnn
    measures its kernels, so the last bits of a run are not repeatable there. Products of float32 stay exact: pictures
    are rendered and scored with them, and networks train in bfloat16.

    Args:
        threads: CPU threads of a tensor operation; None leaves torch's choice.

    Returns "cuda" or "cpu".
    """
    seed_everything(seed)
    if threads is not None:
        torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
        return "cuda"
    keep_freed_memory()
    return "cpu"


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def keep_freed_memory() -> bool:
    """Tell glibc not to hand big freed blocks back to the kernel; False where there is no glibc."""
    try:
        libc = ctypes.CDLL(None)
        return bool(libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)) and bool(libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
    except (AttributeError, OSError, TypeError):
        return False


def place(model: nn.Module, device: str | torch.device) -> nn.Module:
    """Move a model to the device, in the memory layout in which 2-D convolutions are fastest.

    Channels last: bf16 tensor cores want it, and on CPU the U-Net trains 15 % faster (64 px, AVX-512). The
    layout of the weights decides that of the activations, so images need no conversion.
    """
    return model.to(device=device, memory_format=torch.channels_last)


# Training or evaluation mode for a while, and then the mode before it.


@contextmanager
def in_mode(training: bool, *models: nn.Module | None) -> Iterator[None]:
    """Put the models into training or evaluation mode inside the `with`; None stands for no model."""
    before = [(model, model.training) for model in models if model is not None]
    try:
        for model, mode in before:
            if mode != training:
                model.train(training)
        yield
    finally:
        for model, mode in before:
            if mode != training:
                model.train(mode)


# Where a network lies, and in which memory layout, when some of its convolutions run over time as well.


def place_sequences(model: nn.Module, device: str | torch.device) -> nn.Module:
    """Move a model to the device, the weights of 2-D and of 3-D convolutions channels last.

    `place` does the first and refuses the second. On CPU the Decomposer trains about a quarter faster so (48 px, 24
    channels). The layout of the weights decides that of the activations, so sequences need no conversion.
    """
    model = model.to(device)
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for param in model.parameters():
        if param.ndim in layouts:
            param.data = param.data.contiguous(memory_format=layouts[param.ndim])
    return model
