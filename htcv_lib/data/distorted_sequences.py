"""Pools of generated sequences of distorted views with their truth, in memory.

Clean pictures and what covers the solids belong to one split of `identity_split`; none of them is in the rendered test
sequences.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from htcv_lib.data.decoded import cached_arrays
from htcv_lib.data.linear_light import to_levels
from htcv_lib.data.lit_sequences import LitSequence, LitSequences
from htcv_lib.data.manifest import Manifest, load_manifest
from htcv_lib.data.matched_sequences import MatchedSequence, MatchedSequences
from htcv_lib.data.room_textures import Textures, load_textures
from htcv_lib.data.sequence_set import SequenceSet

VERSION = 1  # raise it when the same seed gives other sequences
KINDS = ("physical", "matched", "matched_light_first")
BLOCK = 64  # sequences kept together, so that a longer pool reads what a shorter one left


def load_sequences(kind: str, split: str, count: int, size: int, views: int = 10, seed: int = 0,
                   textures: str | Sequence[str | Manifest] = ("base_images", "oxford_pets_images_1470"),
                   device: str | torch.device = "cpu") -> SequenceSet:
    """The first `count` sequences of a kind, split and seed, made on a device, kept in the cache, returned on the CPU.

    Args:
        kind: "physical", with the true `irradiances`: what `LitSequences` makes; "matched" and
            "matched_light_first", with the true `shadows` and `lights`: what `MatchedSequences` makes in either order.
        split: "train", "val" or "test"; no two splits share a picture.
        size: Side of the views in pixels.
        views: T. With more views, the first ones stay as they are.
        textures: Manifests of `load_textures`; with "base_images/sample" nothing but the repository is needed.

    Names are those of the clean pictures, which return in other sequences; a mirrored picture has the same name.
    Errors: ValueError for another kind or split, or if nothing is asked for.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if min(count, views) < 1:
        raise ValueError(f"at least one sequence and one view are needed, got {count} and {views}")
    given = [textures] if isinstance(textures, (str, Manifest)) else list(textures)
    manifests = [load_manifest(each) for each in given]
    bank = load_textures(manifests, split, size)
    make = _maker(kind, bank, views, seed, device)
    key = {"kind": f"sequences {kind}", "data": [each.digest for each in manifests], "split": split, "size": size,
           "views": views, "seed": seed, "generator": VERSION, "device": torch.device(device).type}
    blocks = []
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        blocks.append(cached_arrays({**key, "start": start, "stop": stop}, lambda a=start, b=stop: _block(make, a, b)))
    fields = {name: torch.from_numpy(np.concatenate([block[name] for block in blocks])) for name in blocks[0]}
    names = [bank.names[i] for i in fields.pop("chosen").tolist()]
    return SequenceSet(**fields, names=names)


def _maker(kind: str, bank: Textures, views: int, seed: int,
           device: str | torch.device) -> Callable[[int], LitSequence | MatchedSequence]:
    if kind == "physical":
        return LitSequences(bank, views, seed, device=device).sequence
    order = "light_first" if kind == "matched_light_first" else "light_last"
    return MatchedSequences(bank, order, views, seed, device).sequence


def _block(make: Callable[[int], LitSequence | MatchedSequence], start: int, stop: int) -> dict[str, np.ndarray]:
    """Arrays of the sequences start ... stop - 1 by attribute of a `SequenceSet`, and `chosen`, (N,) int64."""
    rows = [_stored(make(index)) for index in range(start, stop)]
    return {name: np.stack([row[name].cpu().numpy() for row in rows]) for name in rows[0]}


def _stored(made: LitSequence | MatchedSequence) -> dict[str, Tensor]:
    """One sequence as kept: pictures and masks in 8 bits, light as float16."""
    levels = {"images": made.image, "originals": made.original, "masks": made.mask, "occlusions": made.occlusion}
    light = ({"irradiances": made.irradiance} if isinstance(made, LitSequence)
             else {"shadows": made.shadow, "lights": made.light})
    return ({name: to_levels(field) for name, field in levels.items()}
            | {name: field.half() for name, field in light.items()} | {"chosen": torch.tensor(made.chosen)})
