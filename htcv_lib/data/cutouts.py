"""Pets cut out of their photographs along the trimap, in squares that they fill."""

import io
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from htcv_lib.data.archive import read_members
from htcv_lib.data.decoded import cached_arrays
from htcv_lib.data.fetch import fetch
from htcv_lib.data.identity_splits import of_split
from htcv_lib.data.manifest import DataError, Manifest, load_manifest

CUT_SIDE = 0.12  # of the box's side may touch the photograph's left, right or upper border
CUT_FOOT = 0.5  # and of its lower one
VERSION = 1


class Cutouts(NamedTuple):
    """A bank of cut-outs of one split."""

    pictures: Tensor  # (N, 4, S, S) uint8: colour and alpha, the pet's box stretched to the square
    aspects: Tensor  # (N,) float32, width over height of the box
    names: list[str]


def load_cutouts(dataset: str | Manifest, split: str, size: int = 96) -> Cutouts:
    """The cut-out pets of one split by identity.

    Args:
        dataset: "oxford_pets_630", "oxford_pets", either with "/sample", or a manifest of the same layout. The
            official split plays no role here.
        split: "train", "val" or "test" of `identity_split`.
        size: Side of the squares in pixels.

    Pets that the photograph's border cuts off at a side are left out, so that most stand whole.
    Errors: DataError if the split has none.
    """
    manifest = load_manifest(dataset)
    paths = fetch(manifest)

    def make() -> dict[str, np.ndarray]:
        made = list(cutouts_of((pair for path in paths.values() for pair in pairs(path, split)), size))
        if not made:
            raise DataError(f"{manifest.name}: no pet of split {split} can be cut out")
        names, pictures, aspects = zip(*sorted(made, key=lambda item: item[0]), strict=True)
        return {"pictures": np.stack(pictures), "aspects": np.array(aspects, np.float32), "names": np.array(names)}

    of_split((), split)  # complains about an unknown split
    key = {"kind": "cutouts", "data": manifest.digest, "split": split, "size": size, "cut": VERSION}
    arrays = cached_arrays(key, make)
    return Cutouts(torch.from_numpy(arrays["pictures"]), torch.from_numpy(arrays["aspects"]), arrays["names"].tolist())


def pairs(archive, split: str) -> Iterator[tuple[str, bytes, bytes]]:
    """Name, photograph and trimap, encoded, of each pair of a split in an archive of the official layout."""
    waiting: dict[str, dict[str, bytes]] = {}
    for member, content in read_members(archive, lambda name: name.endswith(".jpg") or "/trimaps/" in name):
        name = member.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        if name.startswith(".") or not of_split([name], split):
            continue
        waiting.setdefault(name, {})["photo" if member.endswith(".jpg") else "trimap"] = content
        if len(waiting[name]) == 2:
            found = waiting.pop(name)
            yield name, found["photo"], found["trimap"]


def cutouts_of(encoded: Iterable[tuple[str, bytes, bytes]], size: int) -> Iterator[tuple[str, np.ndarray, float]]:
    """Name, (4, size, size) uint8 and aspect of each pair whose pet can stand by itself."""
    for name, photo, trimap in encoded:
        values = np.asarray(Image.open(io.BytesIO(trimap)))
        colour = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB").resize(values.shape[::-1]))
        if (cut := cut_out(colour, values, size)) is not None:
            yield name, *cut


def cut_out(colour: np.ndarray, trimap: np.ndarray, size: int) -> tuple[np.ndarray, float] | None:
    """One pet as (4, size, size) uint8 and the width over height of its box; None if a border cuts it off.

    Args:
        colour: (H, W, 3) uint8.
        trimap: (H, W), 1 pet, 2 background, 3 border.

    In the border, alpha falls from 1 at the pet to 0 at the background by the distances to both, 0.5 midway; twice as
    steep, so that half the border is feather. The border's colours are partly the old background's, so they and all
    beyond come from the pet's inside: the mean of what is near.
    """
    inside = trimap == 1
    if inside.sum() < 200:
        return None
    to_pet = ndimage.distance_transform_edt(~inside)
    to_rest = ndimage.distance_transform_edt(trimap != 2) if (trimap == 2).any() else np.ones_like(to_pet)
    alpha = np.clip(2 * to_rest / np.maximum(to_pet + to_rest, 1e-6) - 0.5, 0, 1)
    where = np.argwhere(alpha > 0)
    top, left = where.min(0)
    bottom, right = where.max(0) + 1
    across, down = right - left, bottom - top
    if (max(inside[0].sum() / across, inside[:, 0].sum() / down, inside[:, -1].sum() / down) > CUT_SIDE
            or inside[-1].sum() / across > CUT_FOOT):
        return None
    weight = inside.astype(np.float32)
    known = colour * weight[..., None]
    for sigma in (1.5, 4.0, 12.0):  # the finest scale that has something to say
        share = ndimage.gaussian_filter(weight, sigma)
        near = np.stack([ndimage.gaussian_filter(known[..., c], sigma) for c in range(3)], axis=-1)
        heard = (share > 0.02) & (weight == 0)
        known[heard], weight[heard] = near[heard] / share[heard, None], 1
    known[weight == 0] = colour[inside].mean(0)
    picture = np.concatenate([known, 255 * alpha[..., None]], axis=-1)[top:bottom, left:right]
    bands = [Image.fromarray(np.ascontiguousarray(picture[..., c].astype(np.float32))).resize(
        (size, size), Image.Resampling.BILINEAR) for c in range(4)]
    stretched = np.stack([np.asarray(band) for band in bands])
    return stretched.round().clip(0, 255).astype(np.uint8), float(across / down)
