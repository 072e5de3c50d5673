"""Who belongs to which split, decided by the name alone.

A picture is in the same split wherever it turns up, as a wall or as a cut-out, in a pack or in its sample.
"""

import hashlib
from collections.abc import Iterable
from pathlib import PurePosixPath

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
