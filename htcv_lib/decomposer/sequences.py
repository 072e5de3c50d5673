"""Sequences of views in memory with what is known of their layers: generated, and physically rendered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from htcv_lib.data.batches import DataSet
from htcv_lib.data.files import cached_arrays, fetch, read_members, split_members
from htcv_lib.data.manifest import DataError, Manifest, load_manifest
from htcv_lib.data.textures import load_textures
from htcv_lib.decomposer.paintings.lit import LitSequence, LitSequences
from htcv_lib.decomposer.paintings.matched import MatchedSequence, MatchedSequences
from htcv_lib.image import Size, area_average, decode_picture, in_unit, linear, shrunk, srgb, to_levels

# T views per sequence, channels before time; `Batches` cuts the batches. Different collections know different
# layers: a field that nobody knows is None, and no batch has it.

FIELDS = {  # attribute of the set -> name in a batch
    "images": "image", "originals": "original", "masks": "mask", "occlusions": "occlusion",
    "shadows": "shadow", "lights": "light", "irradiances": "irradiance",
}


@dataclass(frozen=True)
class SequenceSet(DataSet):
    """Distorted views, the clean picture behind them, and their layers as far as they are known.

    Pictures and masks are kept in 8 bits, factors of light as float16: `Batches` makes float32 of both.

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


# Pools of generated sequences of distorted views with their truth, in memory.
#
# Clean pictures and what covers the solids belong to one split of `identity_split`; none of them is in the rendered
# test sequences.

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
    order = "light_first" if kind == "matched_light_first" else "light_last"
    maker = (LitSequences(bank, views, seed, device=device) if kind == "physical"
             else MatchedSequences(bank, order, views, seed, device))
    key = {"kind": f"sequences {kind}", "data": [each.digest for each in manifests], "split": split, "size": size,
           "views": views, "seed": seed, "generator": VERSION, "device": torch.device(device).type}
    blocks = []
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        blocks.append(cached_arrays({**key, "start": start, "stop": stop}, partial(_block, maker, start, stop)))
    fields = {name: torch.from_numpy(np.concatenate([block[name] for block in blocks])) for name in blocks[0]}
    names = [bank.names[i] for i in fields.pop("chosen").tolist()]
    return SequenceSet(**fields, names=names)


def _block(maker: LitSequences | MatchedSequences, start: int, stop: int) -> dict[str, np.ndarray]:
    """Arrays of the sequences start ... stop - 1 by attribute of a `SequenceSet`, and `chosen`, (N,) int64."""
    rows = [_stored(maker.sequence(index)) for index in range(start, stop)]
    return {name: np.stack([row[name].cpu().numpy() for row in rows]) for name in rows[0]}


def _stored(made: LitSequence | MatchedSequence) -> dict[str, Tensor]:
    """One sequence as kept: pictures and masks in 8 bits, light as float16."""
    row = {f"{name}s": to_levels(getattr(made, name)) for name in ("image", "original", "mask", "occlusion")}
    light = ("irradiance",) if isinstance(made, LitSequence) else ("shadow", "light")
    row |= {f"{name}s": getattr(made, name).half() for name in light}
    return row | {"chosen": torch.tensor(made.chosen)}


# Sequences from a physical renderer with known clean picture, mask and irradiance: for validation and testing only.
#
# Blender's path tracer made them, with the parameter ranges of the public generator of SIDAR (Kwiatkowski et al., 2024,
# arXiv:2305.12036): a glossy painting under one to four coloured lights, behind up to three solids of any material.
# They follow no formula of any model here. `data_manifests/render_sequences.py` makes more of them.

VIEWS = 10
STORED = 8.0  # irradiance that is stored as white


def load_rendered(split: str, size: Size = 64, name: str | Manifest = "rendered_sequences") -> SequenceSet:
    """One split, everything averaged over areas in linear light.

    Args:
        split: "val" (19 sequences) or "test" (40); of the sample 2 and 4.
        size: Side in pixels, or (H, W), at most that of the stored pictures: 128 px, in the sample 64 px.
        name: "rendered_sequences" (in `HTCV_DATA`), or "rendered_sequences/sample" in the repository.

    Returns a set with images, originals, masks, occlusions, irradiances and names ("000" to "067"), T = 10:
        masks: share of the pixel in which a solid is seen, whatever its opacity.
        occlusions: mean light of that share, as sRGB; 0 where no solid is seen.
        irradiances: of a matte white plane in place of the painting, with the solids casting shadows, but invisible;
            stored in 8 bits and clipped at 8.
            Where a painting were matte and no solid is seen: image = srgb(clip(linear(original) * irradiance)). The
            paintings are glossy and partly metallic, so that images differ from this.

    Errors: DataError for another split and for pictures that are missing or cannot be decoded; ValueError for a size
    above the stored one.
    """
    manifest, members = _members(name, split)
    rows = []
    for folder, files in members.items():
        try:
            rows.append(decode_sequence(files, size))
        except (OSError, KeyError) as error:
            raise DataError(f"{manifest.name}: sequence {folder} cannot be decoded: {error}") from error
    fields = {key: torch.stack([row[key] for row in rows]) for key in rows[0]}
    return SequenceSet(**fields, names=list(members))


def rendered_info(split: str, name: str | Manifest = "rendered_sequences") -> list[dict[str, Any]]:
    """What was rendered, a dict for each sequence of the split, in the set's order.

    Keys: `name`; `image`, the painting's file; `seed`; `views`, ten dicts with the materials of the `solids` and
    `light_scale`, the factor on the published energies of the lights.
    """
    _, members = _members(name, split, only_info=True)
    return [{"name": folder, **json.loads(files["info"])} for folder, files in members.items()]


def decode_sequence(files: Mapping[str, bytes], size: Size) -> dict[str, Tensor]:
    """The fields of a `SequenceSet` for one sequence, from its encoded files by stem ("gt", "0", "0-m" ...)."""
    def frames(stem: str, mode: str = "RGB") -> Tensor:
        return torch.stack([decode_picture(files[stem.format(t)], mode) for t in range(VIEWS)], dim=1)

    row = reduced(frames("{}"), decode_picture(files["gt"]), frames("{}-m", "L"), size)
    irradiance = STORED * area_average(linear(frames("{}-irradiance")), size)
    return row | {"irradiances": irradiance.half()}


def reduced(views: Tensor, original: Tensor, masks: Tensor | None, size: Size) -> dict[str, Tensor]:
    """Fields of a `SequenceSet` for one sequence at another size, averaged over areas in linear light.

    Args:
        views: (3, T, H, W); original: (3, H, W); masks: (1, T, h, w) of solids, white on black, or None; all uint8.

    Returns images, originals, and with masks also masks and occlusions.
    """
    row = {"images": shrunk(views, size), "originals": shrunk(original[:, None], size)}
    if masks is not None:
        covered = in_unit(masks)
        row["masks"] = to_levels(area_average(covered, size))
        row["occlusions"] = to_levels(srgb(occluder_light(linear(views), covered, size).clamp(0, 1)))
    return row


def occluder_light(light: Tensor, mask: Tensor, size: Size) -> Tensor:
    """Mean light (3, T, H', W') of the part of each new pixel in which a solid is seen, 0 where none is.

    Args:
        light: (3, T, H, W) linear, what is seen.
        mask: (1, T, h, w) in [0, 1]; it may have more pixels than the picture, then each of those weighs by its share.
    """
    share = area_average(mask, tuple(light.shape[-2:]))
    seen = area_average(share, size)
    return torch.where(seen > 0, area_average(light * share, size) / seen.clamp(min=1e-6), 0)


def _members(name: str | Manifest, split: str, only_info: bool = False) -> tuple[Manifest, dict[str, dict[str, bytes]]]:
    """Folder -> stem -> encoded file, for the folders of the split in their order."""
    manifest = load_manifest(name)
    manifest.split(split)  # complains about an unknown one before anything is read
    paths = fetch(manifest)
    members = {str(PurePosixPath(member).parent): {} for member in split_members(manifest, paths, split)}

    def wanted(member: str) -> bool:
        place = PurePosixPath(member)
        return str(place.parent) in members and (place.stem == "info" or not only_info)

    for path in paths.values():
        for member, content in read_members(path, wanted):
            members[str(PurePosixPath(member).parent)][PurePosixPath(member).stem] = content
    return manifest, members
