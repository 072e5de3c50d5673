"""A trained network as a fixed measuring instrument."""

from typing import TypeVar

from torch import nn

Model = TypeVar("Model", bound=nn.Module)


def frozen(model: Model) -> Model:
    """The same model in evaluation mode and without gradients of its own; gradients pass through it."""
    return model.eval().requires_grad_(False)
