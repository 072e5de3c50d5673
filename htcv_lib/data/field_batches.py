"""Batches of pictures with several fields of real numbers, cut from a set that lives on the device."""

import torch
from torch import Tensor

from htcv_lib.data.batches import Batches


class FieldBatches(Batches):
    """`Batches` whose fields are all real numbers: masks and depth, where those have classes.

    The order of an epoch is the same as there. Arguments are the same as well; the set has `tensors()`, fields
    (N, C, H, W), uint8 (which becomes [0, 1]) or floating point, one of them `image`, and `augment` is a piece of
    `depth_augmentation`.

    Yields dicts: every field float32 (B, C, H, W), and `index` (B,) int64, the positions in the set.
    Errors: ValueError if no batch can be cut.
    """

    def _number(self, name: str, values: Tensor) -> Tensor:
        return as_float(values)


def as_float(tensor: Tensor) -> Tensor:
    """float32; uint8 divided by 255."""
    return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor.float()
