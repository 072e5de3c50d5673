"""31 real triplets that participants of the report's course made, from three data sets: a test, not a training set.

Here white is far: the ground at the lower edge is dark, the sky and the ends of rooms are bright, and most pasted
animals and people are darker than what is behind them. The maps come from DenseDepth (Alhashim and Wonka, 2018,
arXiv:1812.11941), each stretched to its own range: they have no unit, only an order, and near the frame an artefact of
the network. Compare a prediction with them after `metrics.scale_and_shift`.
"""

from fnmatch import fnmatchcase
from pathlib import PurePosixPath

import numpy as np
import torch

from htcv_lib.data.archive import read_members
from htcv_lib.data.fetch import fetch
from htcv_lib.data.manifest import DataError, Manifest, load_manifest
from htcv_lib.data.scene_view import Size
from htcv_lib.data.triplet_set import TripletSet
from htcv_lib.data.triplets import decode_triplet

PARTS = ("fg_bg", "fg_bg_mask", "depthmap")  # folders of image, mask and depth


def load_depthmask_sample(size: Size = 80, dataset: str | Manifest = "depthmask_sample/sample") -> TripletSet:
    """All 31 triplets, five of set "a" (sides 220 px), sixteen of "b" (192 px), ten of "c" (132 px), in this order.

    Args:
        size: Side in pixels, or (H, W); pictures are squashed to it, antialiased bilinear.
        dataset: The copy at 96 px in the repository, or "depthmask_sample", the files themselves (in `HTCV_DATA`).

    Shapes:
        images: (31, 3, H, W) uint8
        masks:  (31, 1, H, W) in [0, 1]; binary at 128 before resizing
        depth:  (31, 1, H, W) in [0, 1], 0 near and 1 far, without unit
        names:  31, as "a/26682"; `sets`: 31 letters
    """
    manifest = load_manifest(dataset)
    rules = {name: split.rule["match"] for name, split in manifest.splits.items()}
    members = {}
    for path in fetch(manifest).values():
        members |= dict(read_members(path, lambda name: PurePosixPath(name).parent.name in PARTS))
    rows, names, sets = [], [], []
    for split, pattern in rules.items():
        letter = split.removeprefix("set_")
        found = [name for name in sorted(members) if fnmatchcase(name, pattern)]
        for image in manifest.split(split).select(found, manifest.name):
            try:
                rows.append(decode_triplet([members[name] for name in partners(image, members)], size))
            except (OSError, ValueError) as error:
                raise DataError(f"{manifest.name}: {image} cannot be decoded: {error}") from error
            names.append(f"{letter}/{number(image)}")
            sets.append(letter)
    images, masks, depth = (torch.from_numpy(np.stack(part)) for part in zip(*rows, strict=True))
    return TripletSet(images, masks, depth, names, sets)


def number(member: str) -> str:
    """What the three files of a triplet share: "fg_bg_26682.jpg" and "depth_26682.jpg" -> "26682"."""
    return PurePosixPath(member).stem.rsplit("_", 1)[-1]


def partners(image: str, members: dict[str, bytes]) -> list[str]:
    """Member names of the image, its mask and its depth; DataError naming what is missing."""
    root, wanted = PurePosixPath(image).parent.parent, number(image)
    chosen = []
    for part in PARTS:
        found = [name for name in members if PurePosixPath(name).parent == root / part and number(name) == wanted]
        if len(found) != 1:
            raise DataError(f"{image}: expected one partner in {root / part}, found {len(found)}")
        chosen += found
    return chosen
