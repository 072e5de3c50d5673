"""Sets in memory, batches cut from them on the device, and how long a training waits for these."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from htcv_lib.data.augment import Augmentation, Batch, stream_seed
from htcv_lib.image import in_unit

# A split in memory: uint8 tensors and names.


@dataclass(frozen=True)
class SegmentationSet:
    """Images with one class per pixel; photographs without masks have `masks=None`."""

    images: Tensor  # (N, 3, H, W) uint8
    masks: Tensor | None  # (N, H, W) uint8, index into `classes`
    names: list[str]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: Sequence[int]) -> "SegmentationSet":
        """The items at these positions, in this order."""
        where = torch.as_tensor(indices, dtype=torch.int64, device=self.images.device)
        masks = None if self.masks is None else self.masks[where]
        names = [self.names[i] for i in where.tolist()]
        return replace(self, images=self.images[where], masks=masks, names=names)

    def to(self, device: str | torch.device) -> "SegmentationSet":
        """The same set with its tensors on a device."""
        masks = None if self.masks is None else self.masks.to(device)
        return replace(self, images=self.images.to(device), masks=masks)

    def tensors(self) -> dict[str, Tensor]:
        """What a batch is cut from, by field name."""
        return {"image": self.images} | ({} if self.masks is None else {"mask": self.masks})


@dataclass(frozen=True)
class ImageSet:
    """Images with one class each."""

    images: Tensor  # (N, C, H, W) uint8
    labels: Tensor  # (N,) uint8, index into `classes`
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: Sequence[int]) -> "ImageSet":
        """The items at these positions, in this order."""
        where = torch.as_tensor(indices, dtype=torch.int64, device=self.images.device)
        return replace(self, images=self.images[where], labels=self.labels[where])

    def to(self, device: str | torch.device) -> "ImageSet":
        """The same set with its tensors on a device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """What a batch is cut from, by field name."""
        return {"image": self.images, "label": self.labels}


# Batches cut from a set that lives on the device as uint8.


class TensorSet(Protocol):
    """Anything with tensors of one length; `image` is uint8, the other fields hold classes."""

    def tensors(self) -> dict[str, Tensor]: ...


class Batches:
    """Each `iter()` is one epoch of dict batches on the device.

    The order of an epoch depends on seed and epoch only: not on the augmentation, the device or how the
    epochs before ended. So runs with the same seed see the same order, and `state_dict` is small.

    Args:
        dataset: Has `tensors()`: `image` (N, C, H, W) uint8, and `mask` (N, H, W) or `label` (N,).
        augment: A piece of `htcv_lib.data.augment`, applied to whole batches on the device.
        drop_last: Leave out a last batch that is smaller than the others.

    Yields dicts: `image` float32 (B, C, H, W) in [0, 1]; `mask`, `label` int64; `index` (B,) int64, the
    positions in the set.
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
            order = torch.randperm(self.size, generator=self._generator("cpu", epoch, "order"))
        order = order.to(self.device)
        generator = self._generator(self.device, epoch, "augment")
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            index = order[start : start + self.batch_size]
            batch = {"index": index} | {name: self._number(name, field[index]) for name, field in self.fields.items()}
            yield batch if self.augment is None else self.augment(batch, generator)

    def _number(self, name: str, values: Tensor) -> Tensor:
        """The values of a field as a network takes them."""
        return values.float().div_(255) if name == "image" else values.long()

    def _generator(self, device: str | torch.device, epoch: int, purpose: str) -> torch.Generator:
        return torch.Generator(device=device).manual_seed(stream_seed(self.seed, epoch, purpose))


# Batches of pictures with several fields of real numbers, cut from a set that lives on the device.


class FieldBatches(Batches):
    """`Batches` whose fields are all real numbers: masks and depth, where those have classes.

    The order of an epoch is the same as there. Arguments are the same as well; the set has `tensors()`, fields
    (N, C, H, W), uint8 (which becomes [0, 1]) or floating point, one of them `image`, and `augment` is a piece of
    `depth_augmentation`.

    Yields dicts: every field float32 (B, C, H, W), and `index` (B,) int64, the positions in the set.
    Errors: ValueError if no batch can be cut.
    """

    def _number(self, name: str, values: Tensor) -> Tensor:
        return in_unit(values)


# How long a training waits for its data.


class TimedBatches:
    """The same batches, with a note of the time until each is there.

    On a GPU, work that was only queued by then counts as the step's, not as waiting.
    """

    def __init__(self, batches: Iterable[Batch]):
        self.batches = batches
        self.waited_s = 0.0

    def __len__(self) -> int:
        return len(self.batches)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batches, name)

    def __iter__(self) -> Iterator[Batch]:
        stream = iter(self.batches)
        while True:
            begin = time.perf_counter()
            try:
                batch = next(stream)
            except StopIteration:
                return
            self.waited_s += time.perf_counter() - begin
            yield batch

    def share(self, train_s: float) -> float:
        """Of a training of so many seconds, the part spent waiting, in [0, 1]."""
        if train_s <= 0:
            raise ValueError(f"a training takes more than {train_s} s")
        return min(1.0, self.waited_s / train_s)
