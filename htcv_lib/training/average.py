"""An exponential moving average of a model's weights (Polyak averaging)."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


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
