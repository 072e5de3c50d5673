"""Trained weights from a file."""

from pathlib import Path

from torch import nn


def load_weights(model: nn.Module, path: str | Path) -> nn.Module:
    """Load a safetensors file into a model of the same shape, and put it into evaluation mode.

    Errors: FileNotFoundError; RuntimeError if names or shapes differ.
    """
    from safetensors.torch import load_file

    model.load_state_dict(load_file(path))
    return model.eval()
