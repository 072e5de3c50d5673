"""Training or evaluation mode for a while, and then the mode before it."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


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
