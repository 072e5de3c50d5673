"""Sequences of views of one picture, with what is known of their layers, in memory; `FieldBatches` cuts the batches.

T views per sequence, channels before time. Different collections know different layers: a field that nobody knows is
None, and no batch has it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

FIELDS = {  # attribute of the set -> name in a batch
    "images": "image", "originals": "original", "masks": "mask", "occlusions": "occlusion",
    "shadows": "shadow", "lights": "light", "irradiances": "irradiance",
}


@dataclass(frozen=True)
class SequenceSet:
    """Distorted views, the clean picture behind them, and their layers as far as they are known.

    Pictures and masks are kept in 8 bits, factors of light as float16: `FieldBatches` makes float32 of both.

    Errors: ValueError for fields or names of another number of sequences, and for a pseudo-label that has the name of
    a field.
    """

    images: Tensor  # (N, 3, T, H, W) uint8, sRGB, as seen
    originals: Tensor | None = None  # (N, 3, 1, H, W) uint8, sRGB, the clean picture
    masks: Tensor | None = None  # (N, 1, T, H, W) uint8, share of the pixel in which a solid is seen; > 127 is occluded
    occlusions: Tensor | None = None  # (N, 3, T, H, W) uint8, sRGB, the colour seen there, 0 elsewhere
    shadows: Tensor | None = None  # (N, 1, T, H, W) float16 in [0, 1], multiplied; 1 is unshadowed
    lights: Tensor | None = None  # (N, 1, T, H, W) float16 in [0, 1], added
    irradiances: Tensor | None = None  # (N, 3, T, H, W) float16 >= 0, linear; 1 is the light of the clean picture
    pseudo: Mapping[str, Tensor] = field(default_factory=dict)  # by name in a batch, each (N, ...), uint8 or float16
    names: Sequence[str] = ()  # N, or none

    def __post_init__(self):
        if taken := sorted(set(self.pseudo) & {"index", *FIELDS.values()}):
            raise ValueError(f"pseudo-labels cannot have the names of fields: {', '.join(taken)}")
        wrong = {name: len(tensor) for name, tensor in self.tensors().items() if len(tensor) != len(self)}
        if self.names and len(self.names) != len(self):
            wrong["names"] = len(self.names)
        if wrong:
            raise ValueError(f"there are {len(self)} sequences, but found {wrong}")
        object.__setattr__(self, "names", list(self.names))
        object.__setattr__(self, "pseudo", dict(self.pseudo))

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: Sequence[int]) -> "SequenceSet":
        """The sequences at these positions, in this order."""
        where = torch.as_tensor(indices, dtype=torch.int64, device=self.images.device)
        names = [self.names[i] for i in where.tolist()] if self.names else []
        return self._each(lambda tensor: tensor[where], names=names)

    def to(self, device: str | torch.device) -> "SequenceSet":
        """The same set with its tensors on a device."""
        return self._each(lambda tensor: tensor.to(device))

    def with_fields(self, **tensors: Tensor) -> "SequenceSet":
        """The same set with pseudo-labels added or replaced, by their names in a batch, on the set's device.

        Args:
            tensors: Each (N, ...); floating point is kept as float16, uint8 (which a batch makes [0, 1]) as it is.

        Errors: ValueError for a name of a field ("shadow" is the true one), another length or other integers.
        """
        added = {}
        for name, tensor in tensors.items():
            if not (tensor.is_floating_point() or tensor.dtype == torch.uint8):
                raise ValueError(f"{name} must be floating point or uint8, got {tensor.dtype}")
            kind = torch.float16 if tensor.is_floating_point() else torch.uint8
            added[name] = tensor.detach().to(self.images.device, kind)
        return replace(self, pseudo={**self.pseudo, **added})

    def tensors(self) -> dict[str, Tensor]:
        """What a batch is cut from, by field name; what is unknown is not there."""
        known = {name: getattr(self, attribute) for attribute, name in FIELDS.items()}
        return {name: tensor for name, tensor in known.items() if tensor is not None} | dict(self.pseudo)

    def _each(self, change, **others) -> "SequenceSet":
        known = {name: getattr(self, name) for name in FIELDS}
        changed = {name: change(tensor) for name, tensor in known.items() if tensor is not None}
        return replace(self, **changed, pseudo={name: change(tensor) for name, tensor in self.pseudo.items()}, **others)
