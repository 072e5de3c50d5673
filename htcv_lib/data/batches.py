"""Sets in memory, batches cut from them on the device, and how long a training waits for these."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from htcv_lib.data.augment import Augmentation, Batch, stream_seed
from htcv_lib.image import in_unit

# Sets in memory.


@dataclass(frozen=True)
class DataSet:
    """A split in memory: fields of one length, of which batches are cut.

    Subclasses name them. Tensors, lists and mappings of tensors have an entry an item, and are cut and moved together;
    tuples and whatever else there is hold for the whole set.
    """

    classes_in: ClassVar[frozenset[str]] = frozenset()  # fields of a batch that hold classes, not numbers

    def tensors(self) -> dict[str, Tensor]:
        """What a batch is cut from, by field name; what is unknown is not there."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(next(iter(self.tensors().values())))

    def subset(self, indices: Sequence[int]) -> Self:
        """The items at these positions, in this order."""
        where = torch.as_tensor(indices, dtype=torch.int64, device=next(iter(self.tensors().values())).device)
        return self._changed(lambda tensor: tensor[where], lambda entries: [entries[i] for i in where.tolist()])

    def to(self, device: str | torch.device) -> Self:
        """The same set with its tensors on a device."""
        return self._changed(lambda tensor: tensor.to(device), list)

    def _changed(self, tensor: Callable[[Tensor], Tensor], entries: Callable[[list], list]) -> Self:
        changed = {}
        for name, value in ((each.name, getattr(self, each.name)) for each in fields(self)):
            if isinstance(value, Tensor):
                changed[name] = tensor(value)
            elif isinstance(value, Mapping):
                changed[name] = {key: tensor(part) for key, part in value.items()}
            elif isinstance(value, list) and value:
                changed[name] = entries(value)
        return replace(self, **changed)


@dataclass(frozen=True)
class SegmentationSet(DataSet):
    """Images with one class per pixel; photographs without masks have `masks=None`."""

    classes_in = frozenset({"mask"})

    images: Tensor  # (N, 3, H, W) uint8
    masks: Tensor | None  # (N, H, W) uint8, index into `classes`
    names: list[str]
    classes: tuple[str, ...]

    def tensors(self) -> dict[str, Tensor]:
        """What a batch is cut from, by field name."""
        return {"image": self.images} | ({} if self.masks is None else {"mask": self.masks})


@dataclass(frozen=True)
class ImageSet(DataSet):
    """Images with one class each."""

    classes_in = frozenset({"label"})

    images: Tensor  # (N, C, H, W) uint8
    labels: Tensor  # (N,) uint8, index into `classes`
    classes: tuple[str, ...]

    def tensors(self) -> dict[str, Tensor]:
        """What a batch is cut from, by field name."""
        return {"image": self.images, "label": self.labels}


# Batches cut from a set that lives on the device as uint8.


class Batches:
    """Each `iter()` is one epoch of dict batches on the device.

    The order of an epoch depends on seed and epoch only: not on the augmentation, the device or how the
    epochs before ended. So runs with the same seed see the same order, and `state_dict` is small.

    Args:
        dataset: Its `tensors()` are fields (N, ...), one of them `image`, uint8 or floating point.
        augment: A piece of `htcv_lib.data.augment`, or of `depth_augmentation`, for whole batches on the device.
        drop_last: Leave out a last batch that is smaller than the others.

    Yields dicts: fields of classes int64, all others float32, uint8 divided by 255; `index` (B,) int64, the positions
    in the set.
    Errors: ValueError if no batch can be cut.
    """

    def __init__(self, dataset: DataSet, batch_size: int, shuffle: bool = False,
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
        return values.long() if name in self.dataset.classes_in else in_unit(values)

    def _generator(self, device: str | torch.device, epoch: int, purpose: str) -> torch.Generator:
        return torch.Generator(device=device).manual_seed(stream_seed(self.seed, epoch, purpose))


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
