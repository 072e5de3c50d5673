"""Sequences from a physical renderer with known clean picture, mask and irradiance: for validation and testing only.

Blender's path tracer made them, with the parameter ranges of the public generator of SIDAR (Kwiatkowski et al., 2024,
arXiv:2305.12036): a glossy painting under one to four coloured lights, behind up to three solids of any material. They
follow no formula of any model here. `data_manifests/render_sequences.py` makes more of them.
"""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import torch
from torch import Tensor

from htcv_lib.data.archive import read_members, split_members
from htcv_lib.data.fetch import fetch
from htcv_lib.data.linear_light import area_average, shrunk, to_levels, to_linear, to_srgb
from htcv_lib.data.manifest import DataError, Manifest, load_manifest
from htcv_lib.data.pictures import decode_picture
from htcv_lib.data.scene_view import Size
from htcv_lib.data.sequence_set import SequenceSet

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
    views = torch.stack([decode_picture(files[str(t)]) for t in range(VIEWS)], dim=1)  # (3, T, H, W) uint8
    masks = torch.stack([decode_picture(files[f"{t}-m"], "L") for t in range(VIEWS)], dim=1).float() / 255
    irradiance = torch.stack([decode_picture(files[f"{t}-irradiance"]) for t in range(VIEWS)], dim=1)
    occlusions = occluder_light(to_linear(views), masks, size)
    return {
        "images": shrunk(views, size),
        "originals": shrunk(decode_picture(files["gt"])[:, None], size),
        "masks": to_levels(area_average(masks, size)),
        "occlusions": to_levels(to_srgb(occlusions)),
        "irradiances": (STORED * area_average(to_linear(irradiance), size)).half(),
    }


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

