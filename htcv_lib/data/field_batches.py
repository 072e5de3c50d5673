"""Batches of pictures with several fields of real numbers, cut from a set that lives on the device."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from htcv_lib.data.augment import Augmentation
from htcv_lib.data.batches import TensorSet, stream_seed


class FieldBatches:
    """Each `iter()` is one epoch of dict batches on the device; every field is a float, unlike in `Batches`.

    The order of an epoch depends on seed and epoch only, as there, and `state_dict` is the same.

    Args:
        dataset: Has `tensors()`: fields (N, C, H, W), uint8 (which becomes [0, 1]) or floating point.
        augment: A piece of `depth_augmentation`, applied to whole batches on the device.
        drop_last: Leave out a last batch that is smaller than the others.

    Yields dicts: every field float32 (B, C, H, W), and `index` (B,) int64, the positions in the set.
    Errors: ValueError if no batch can be cut.
    """

    def __init__(self, dataset: TensorSet, batch_size: int, shuffle: bool = False,
                 augment: Augmentation | None = None, seed: int = 0, device: str | torch.device = "cpu",
                 drop_last: bool = False):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.augment = augment
        self.seed = seed
        self.device = torch.device(device)
        self.drop_last = drop_last
        self.epoch = 0  # epochs begun
        self.fields = {name: tensor.to(self.device) for name, tensor in dataset.tensors().items()}
        self.size = len(self.fields["image"])
        if batch_size < 1 or len(self) == 0:
            raise ValueError(f"no batch of {batch_size} can be cut from {self.size} items")

    def __len__(self) -> int:
        """Batches per epoch."""
        return self.size // self.batch_size if self.drop_last else -(-self.size // self.batch_size)

    def state_dict(self) -> dict[str, Any]:
        """Where in its stream of epochs this is; load it and the next `iter()` draws what would have come."""
        return {"seed": self.seed, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seed, self.epoch = int(state["seed"]), int(state["epoch"])

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self._epoch(epoch)

    def _epoch(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        order = torch.arange(self.size)
        if self.shuffle:
            generator = torch.Generator().manual_seed(stream_seed(self.seed, epoch, "order"))
            order = torch.randperm(self.size, generator=generator)
        order = order.to(self.device)
        generator = torch.Generator(self.device).manual_seed(stream_seed(self.seed, epoch, "augment"))
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            index = order[start : start + self.batch_size]
            batch = {name: as_float(tensor[index]) for name, tensor in self.fields.items()} | {"index": index}
            yield batch if self.augment is None else self.augment(batch, generator)


def as_float(tensor: Tensor) -> Tensor:
    """float32; uint8 divided by 255."""
    return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor.float()
