"""Real pictures as textures, split by identity: no picture of a test is seen in training."""

import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from htcv_lib.data.files import cached_arrays, fetch, read_members
from htcv_lib.data.manifest import DataError, Manifest, load_manifest

# Who belongs to which split, decided by the name alone.
#
# A picture is in the same split wherever it turns up, as a wall or as a cut-out, in a pack or in its sample.

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


def identity_split(name: str) -> str:
    """"train", "val" or "test" for the name of a picture; its folder and suffix do not count."""
    digest = hashlib.blake2b(PurePosixPath(name).stem.encode(), digest_size=8).digest()
    place = int.from_bytes(digest, "big") / 2**64  # uniform in [0, 1)
    for split, share in SHARES.items():
        if place < share:
            return split
        place -= share
    return split


def of_split(names: Iterable[str], split: str) -> list[str]:
    """The names that belong to a split, in their order.

    Errors: ValueError for a split other than "train", "val" and "test".
    """
    if split not in SHARES:
        raise ValueError(f"split must be one of {', '.join(SHARES)}, got {split!r}")
    return [name for name in names if identity_split(name) == split]


# Real pictures as textures of walls and grounds, split by identity.

NEVER = "monet/used_in_rendered_sequences.txt"  # paintings kept for the tests of another chapter
GROUNDS = ("monet/", "kodak/")  # what may lie on the floor; pets' photographs are for walls only
SUFFIXES = (".jpg", ".png", ".webp")


class Textures(NamedTuple):
    """A bank of textures of one split; the first `grounds` of them may lie on the floor."""

    pictures: Tensor  # (N, 3, S, S) uint8
    grounds: int
    names: list[str]


def load_textures(datasets: str | Sequence[str | Manifest], split: str, size: int = 96) -> Textures:
    """The middle square of every picture of one split by identity.

    Args:
        datasets: Manifests of archives of pictures, such as "base_images" (or "base_images/sample") and
            "oxford_pets_images_1470". The same picture in several counts once, as in the first.
        split: "train", "val" or "test" of `identity_split`, by the same names as the cut-outs': a pet on the wall is
            never a cut-out of another split.
        size: Side in pixels.

    The 80 paintings that an archive's `used_in_rendered_sequences.txt` names are never taken.
    Errors: DataError if the split has no picture for the ground.
    """
    manifests = [load_manifest(each) for each in ([datasets] if isinstance(datasets, (str, Manifest)) else datasets)]
    paths = [path for manifest in manifests for path in fetch(manifest).values()]
    of_split((), split)  # complains about an unknown split

    def wanted(name: str) -> bool:
        return name.endswith(SUFFIXES) and bool(of_split([name], split))

    def make() -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        kept_out, known = set(), set()
        for path in paths:
            for _, content in read_members(path, NEVER.__eq__):
                kept_out |= {f"monet/{name}" for name in content.decode().split()}
            for name, content in read_members(path, wanted):
                stem = name.rsplit("/", 1)[-1]
                if name not in kept_out and stem not in known and not stem.startswith("."):
                    known.add(stem)
                    found[name] = square(content, size)
        names = sorted(found, key=lambda name: (not name.startswith(GROUNDS), name))
        if not names or not names[0].startswith(GROUNDS):
            raise DataError(f"{', '.join(each.name for each in manifests)}: no texture for the ground in split {split}")
        return {"pictures": np.stack([found[name] for name in names]), "names": np.array(names)}

    key = {"kind": "textures", "data": [each.digest for each in manifests], "split": split, "size": size}
    arrays = cached_arrays(key, make)
    names = arrays["names"].tolist()
    return Textures(torch.from_numpy(arrays["pictures"]), sum(name.startswith(GROUNDS) for name in names), names)


def square(content: bytes, size: int) -> np.ndarray:
    """The middle square of an encoded picture as (3, size, size) uint8."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return np.asarray(image).transpose(2, 0, 1)
