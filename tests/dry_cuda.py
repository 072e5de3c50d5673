"""CUDA without a GPU: tensors on "cuda" have a shape and a type but no values; those on the CPU are real.

Mixed devices are refused, as on a GPU. What would make the processor wait for the device is noted with its place, and
goes on with made-up values. There is no backward pass: every gradient is zero.
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

LIBRARY = Path(__file__).parents[1] / "htcv_lib"
TRAINING = {"train_epoch", "lr_range_test"}  # functions whose steps should never wait
FAKE = FakeTensorMode(allow_non_fake_inputs=True)  # one for all: the library keeps some tensors
aten = torch.ops.aten


class Wait(NamedTuple):
    """Where the processor waits for the device; a copy from memory that is not pinned is one, too."""

    training: bool  # inside an epoch
    place: str  # "module.function" of the library, or the cell of a notebook
    what: str  # the operation


class Generator(torch.Generator):
    """A generator of the processor that says it is one of the device."""

    place = torch.device("cpu")

    def __new__(cls, device: str | torch.device = "cpu"):
        made = super().__new__(cls)
        made.place = torch.device(device)
        return made

    def __init__(self, device: str | torch.device = "cpu"):
        """Nothing: `__new__` knows."""

    @property
    def device(self) -> torch.device:
        return self.place


def no_backward(loss: Tensor, *ignored, inputs: list[Tensor] | None = None) -> None:
    """Gradients of zero: autograd wants a driver."""
    for leaf in inputs or []:
        leaf.grad = torch.zeros_like(leaf)


STAND_INS = {
    "torch.Generator": Generator,
    "torch.Tensor.backward": no_backward,
    "torch._subclasses.fake_tensor.FakeTensorMode.avoid_device_init": True,
    "torch.cuda.is_available": lambda: True,
    "torch.cuda.is_bf16_supported": lambda *ignored: True,
    "torch.cuda.device_count": lambda: 0,
    "torch.cuda.get_device_name": lambda *ignored: "no GPU",
    "torch.cuda.max_memory_allocated": lambda *ignored: 0,
    "torch.cuda.amp.common.amp_definitely_not_available": lambda: False,
}


class DryCuda(TorchDispatchMode):
    """Inside the `with`, "cuda" is a device; `waits` are those seen."""

    def __init__(self):
        super().__init__()
        self.waits: set[Wait] = set()

    def __enter__(self):
        self.around = ExitStack()
        for name, stand_in in STAND_INS.items():
            self.around.enter_context(patch(name, stand_in))
        self.around.enter_context(FAKE)
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.around.close()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        there = any(isinstance(each, FakeTensor) for each in leaves)
        wanted = next((each.type for each in leaves if isinstance(each, torch.device)), "cuda" if there else "cpu")
        if any(isinstance(each, torch.Generator) and each.device.type != wanted for each in leaves):
            raise RuntimeError(f"{func}: the generator is not one of {wanted}")
        if not there and wanted == "cpu":
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        if func is aten._to_copy.default and not kwargs.get("non_blocking") and there != (wanted == "cuda"):
            self.note(f"copy to {wanted}")
            if there:
                with unset_fake_temporarily():
                    return made_up(args[0]).to(kwargs.get("dtype"))
        if func is aten.copy_.default and isinstance(args[0], FakeTensor) != isinstance(args[1], FakeTensor):
            self.note(f"copy to {args[0].device.type}")
            if not isinstance(args[0], FakeTensor):
                return args[0]
        try:
            return func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException):
            self.note(func.overloadpacket.__name__)
        with unset_fake_temporarily():
            found = func(*tree_map_only(FakeTensor, made_up, args), **tree_map_only(FakeTensor, made_up, kwargs))
        return tree_map_only(Tensor, lambda each: torch.empty_like(each, device="cuda"), found)

    def note(self, what: str) -> None:
        """Remember a wait, at the innermost line that is the library's or a notebook's."""
        frame, place, training = sys._getframe(2), "", False
        while frame is not None:
            code = frame.f_code
            if not place and code.co_filename.startswith(str(LIBRARY)):
                module = Path(code.co_filename).relative_to(LIBRARY).with_suffix("")
                place = f"{'.'.join(module.parts)}.{code.co_qualname.split('.<')[0]}"
            elif not place and code.co_filename.startswith("cell "):
                place = code.co_filename
            training |= code.co_name in TRAINING
            frame = frame.f_back
        self.waits.add(Wait(training, place, what))


def made_up(tensor: Tensor) -> Tensor:
    """Values on the CPU in the shape of a tensor of the device: numbers in [0, 1), 0 and 1, or a truth."""
    if tensor.dtype.is_floating_point:
        return torch.rand(tensor.shape, dtype=tensor.dtype)
    drawn = torch.randint(0, 2, tensor.shape).to(tensor.dtype)
    return drawn if tensor.ndim or tensor.dtype != torch.bool else torch.tensor(True)
