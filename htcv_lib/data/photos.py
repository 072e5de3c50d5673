"""Your own photographs: a folder of pictures, no masks."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from htcv_lib.data.manifest import DataError
from htcv_lib.data.pets import PET_CLASSES
from htcv_lib.data.sets import SegmentationSet

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def load_photos(folder: str | Path, size: int) -> SegmentationSet:
    """Every picture of a folder, sorted by name, squashed to `size` x `size` as the pet photographs are.

    Pictures of any size, aspect ratio and mode are taken, upright as their EXIF data say; transparent parts
    become white. Other files are ignored.

    Shapes:
        images: (N, 3, size, size) uint8; `masks` is None
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of photographs")
    paths = sorted(path for path in folder.iterdir()
                   if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    if not paths:
        raise DataError(f"{folder}: no photographs in it ({', '.join(SUFFIXES)})")
    images = np.stack([squashed_photo(path, size) for path in paths])
    return SegmentationSet(torch.from_numpy(images), None, [path.name for path in paths], PET_CLASSES)


def squashed_photo(path: Path, size: int) -> np.ndarray:
    """One picture file as (3, size, size) uint8."""
    try:
        with Image.open(path) as photo:
            photo.draft("RGB", (2 * size, 2 * size))
            photo = ImageOps.exif_transpose(photo)
            if photo.has_transparency_data:
                photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo.convert("RGBA"))
            photo = photo.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a picture: {error}") from error
    return np.asarray(photo).transpose(2, 0, 1)
