"""What networks of several reports share: parameter counts and traced shapes, frozen networks, residual stages."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

# What a network is made of: parameter counts and the shapes that pass through its stages.


class LayerShape(NamedTuple):
    """One stage of a network, as seen in one forward pass."""

    name: str  # "encoder.0"
    kind: str  # class name of the stage
    in_shape: tuple[int, ...]  # of its first input, batch dimension included
    out_shape: tuple[int, ...]
    params: int  # trainable and frozen


def count_parameters(model: nn.Module, trainable_only: bool = False) -> int:
    """Number of scalar parameters; a parameter used twice counts once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


def trace_shapes(model: nn.Module, input_shape: Sequence[int]) -> list[LayerShape]:
    """Run zeros through the model and note each direct stage, in the order of execution.

    Args:
        model: Stages are its direct children; those of a `ModuleList` or `ModuleDict` count one by one.
        input_shape: (B, C, H, W), or whatever the model takes.

    The model's training mode, buffers and gradients stay as they were.
    """
    found: list[LayerShape] = []

    def note(name: str):
        def hook(module: nn.Module, args: tuple, output) -> None:
            in_shape, out_shape = tuple(first_tensor(args).shape), tuple(first_tensor(output).shape)
            found.append(
                LayerShape(name, type(module).__name__, in_shape, out_shape, count_parameters(module))
            )

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in stages(model)]
    modes = {module: module.training for module in model.modules()}
    place = next(model.parameters(), torch.empty(0))
    try:
        model.eval()  # batch statistics must not move
        with torch.no_grad():
            model(torch.zeros(*input_shape, device=place.device, dtype=place.dtype))
    finally:
        for module, training in modes.items():
            module.training = training
        for handle in handles:
            handle.remove()
    return found


def stages(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Named direct children; containers that are never called themselves are opened."""
    for name, child in model.named_children():
        if isinstance(child, (nn.ModuleList, nn.ModuleDict)):
            yield from stages(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def first_tensor(value) -> Tensor:
    """The value itself, or the first tensor inside nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (Tensor, tuple, list, dict)):
            return first_tensor(item)
    raise TypeError(f"no tensor in {type(value).__name__}")


# A trained network as a fixed measuring instrument.

Model = TypeVar("Model", bound=nn.Module)


def frozen(model: Model) -> Model:
    """The same model in evaluation mode and without gradients of its own; gradients pass through it."""
    return model.eval().requires_grad_(False)


# ResNet-34 (He et al., 2016, arXiv:1512.03385) for images of 32x32.
#
# Unlike the paper's: a 3x3 stem of stride 1 and no max-pooling after it, so that four stages see 32, 16, 8
# and 4 pixels a side. The blocks are torchvision's, and so is the initialisation.

BLOCKS = (3, 4, 6, 3)


def stage(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    """`blocks` basic blocks, the first with the stride: (B, in, H, W) -> (B, out, H / stride, W / stride)."""
    shortcut = None
    if stride != 1 or in_channels != out_channels:
        shortcut = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False),
            nn.BatchNorm2d(out_channels),
        )
    first = BasicBlock(in_channels, out_channels, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels) for _ in range(blocks - 1)))
