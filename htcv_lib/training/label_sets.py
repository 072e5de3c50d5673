"""Pseudo-labels for a whole set, so that a stage can be trained on them."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from htcv_lib.training.decomposition import LIGHT_LAST, floats
from htcv_lib.training.modes import in_mode
from htcv_lib.training.pseudo_labels import lighting_labels, occlusion_labels, residual_labels

MASKS = ("ssim", "residual")
WHITE = 255


class Sequences(Protocol):
    """A set of sequences, see `SequenceSet` in `htcv_lib.data`."""

    images: Tensor  # (N, 3, T, H, W) uint8
    originals: Tensor  # (N, 3, 1, H, W) uint8

    def __len__(self) -> int: ...

    def with_fields(self, **tensors: Tensor) -> Any: ...


@torch.no_grad()
def with_pseudo_labels(sequences: Sequences, mask: str = "ssim", model: nn.Module | None = None,
                       order: str = "light_first", threshold: float = 0.1, device: str | torch.device = "cpu",
                       batch_size: int = 8) -> Any:
    """The set with the fields pseudo_light, pseudo_shadow, pseudo_relit and pseudo_mask, all in 8 bits.

    Light, shadow and the relit picture are `lighting_labels` of views and clean picture. The mask is "ssim":
    `occlusion_labels` against those relit pictures; or "residual": `residual_labels` against the pictures that the
    heads of a trained `model` relight, which is what the final advances turned to.

    Args:
        model: Returns the layers original, light and shadow of (B, 3, T, H, W); for "residual" only.
        order: Of the relit pictures of `lighting_labels`; what a model relights has "light_last".
        threshold: Of `residual_labels`.

    Errors: ValueError for another mask, and for a residual without a model.
    """
    if mask not in MASKS or (mask == "residual") != (model is not None):
        raise ValueError(f"mask is ssim, or residual with a model; got {mask!r} with {type(model).__name__}")
    parts: list[dict[str, Tensor]] = []
    for start in range(0, len(sequences), batch_size):
        image, original = (field[start : start + batch_size].to(device).float() / WHITE
                           for field in (sequences.images, sequences.originals))
        labels = lighting_labels(image, original, order=order)
        if model is None:
            found = occlusion_labels(image, labels.relit)
        else:
            with in_mode(False, model):
                found = residual_labels(image, floats(model(image, heads=("original", "lighting"))).relit(LIGHT_LAST),
                                        threshold)
        parts.append({"pseudo_light": labels.light, "pseudo_shadow": labels.shadow, "pseudo_relit": labels.relit,
                      "pseudo_mask": found})
    return sequences.with_fields(**{name: torch.cat([in_bytes(part[name]) for part in parts]) for name in parts[0]})


def in_bytes(values: Tensor) -> Tensor:
    """[0, 1] as uint8; exact for multiples of 1/255."""
    return (values * WHITE).round().to(torch.uint8)
