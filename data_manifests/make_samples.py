"""Make the bundled samples from the data packs: `HTCV_DATA=... python data_manifests/make_samples.py`.

Deterministic: a second run writes the same bytes (same Pillow and zlib). Prints the files' sizes and
checksums, which go into the manifests.
"""

import argparse
import gzip
import hashlib
import io
import tarfile
from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from safetensors.torch import load_file, save_file

from htcv_lib.data.files import locate, read_members
from htcv_lib.data.manifest import load_manifest
from htcv_lib.data.textures import NEVER, of_split
from htcv_lib.image import area_average, decode_picture, linear, shrunk, srgb, to_levels
from htcv_lib.mask_depth.triplets import OBJECT, PARTS, number
from htcv_lib.vae.data import TILE, decode_mosaics, read_idx

BILINEAR = Image.Resampling.BILINEAR
SHORT_SIDE = 96  # pixels of a sample's pet photograph
COUNTS = {"trainval": 220, "test": 100}  # pets
MNIST_COUNTS = {"train": 2000, "t10k": 1000}
TRIPLET_SIDE = 96  # pixels of a sample's composite and depth
CIFAR_SHAPES = {"train": (25, 40), "test": (25, 20)}  # rows, columns of a mosaic
TEXTURES = {"monet": {"train": 15, "val": 4, "test": 5}, "kodak": {"train": 4, "val": 1, "test": 1}}  # by identity
SEQUENCE_SIDE = 64  # pixels of a view of a sample's sequence
RENDERED = ("030", "031", "032", "042", "043", "044")  # of three in a row, the third is for validation, as in the pack
BIG_BREEDS = 100  # pairs of one breed in a list, from which the rest is filled up


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    """Write files sorted by name, without times and owners; `.tar.gz` is compressed, which saves the many headers."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(members):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(members[name]), 0o644
            tar.addfile(entry, io.BytesIO(members[name]))
    content = stream.getvalue()
    path.write_bytes(gzip.compress(content, 9, mtime=0) if path.suffix == ".gz" else content)


def spread(lines: list[str], count: int) -> list[str]:
    """All lines of the breeds with few pairs, then evenly spaced ones of the others, in the list's order."""
    breeds = defaultdict(list)
    for i, line in enumerate(lines):
        breeds[line.split()[0].rsplit("_", 1)[0]].append(i)
    big = [where for where in breeds.values() if len(where) > BIG_BREEDS // 2]
    keep = [i for where in breeds.values() if where not in big for i in where]
    for k, where in enumerate(big):
        share = (count - len(keep)) // (len(big) - k)
        keep += [where[int(j)] for j in np.linspace(0, len(where) - 1, share)]
    return [lines[i] for i in sorted(keep)]


def encoded(image: Image.Image, **how) -> bytes:
    stream = io.BytesIO()
    image.save(stream, **how)
    return stream.getvalue()


def pets_sample(folder: Path) -> list[Path]:
    """Photographs at short side 96 with their trimaps, in the official layout."""
    [archive] = locate(load_manifest("oxford_pets_630")).values()
    pack = dict(read_members(archive, lambda name: True))
    members = {}
    for part, count in COUNTS.items():
        lines = spread(pack[f"annotations/{part}.txt"].decode().splitlines(), count)
        members[f"annotations/{part}.txt"] = "".join(f"{line}\n" for line in lines).encode()
        for name in (line.split()[0] for line in lines):
            photo = Image.open(io.BytesIO(pack[f"images/{name}.jpg"])).convert("RGB")
            trimap = Image.open(io.BytesIO(pack[f"annotations/trimaps/{name}.png"]))
            factor = SHORT_SIDE / min(photo.size)
            size = tuple(round(side * factor) for side in photo.size)
            photo = photo.resize(size, Image.Resampling.LANCZOS)
            trimap = trimap.resize(size, Image.Resampling.NEAREST)
            members[f"images/{name}.jpg"] = encoded(photo, format="JPEG", quality=88, optimize=True)
            members[f"annotations/trimaps/{name}.png"] = encoded(trimap, format="PNG", optimize=True)
    write_tar(folder / "oxford_pets.tar", members)
    return [folder / "oxford_pets.tar"]


def depthmask_sample(folder: Path) -> list[Path]:
    """The 31 triplets at 96 px in the folders of the pack, a file named by its number alone; masks keep their size."""
    [archive] = locate(load_manifest("depthmask_sample")).values()
    pack = read_members(archive, lambda name: PurePosixPath(name).parent.name in PARTS)
    members = {}
    for name, content in pack:
        place, size = PurePosixPath(name), (TRIPLET_SIDE, TRIPLET_SIDE)
        picture = Image.open(io.BytesIO(content))
        if place.parent.name == "fg_bg_mask":
            binary = picture.convert("L").point(lambda level: 255 * (level >= OBJECT)).convert("1")
            made = encoded(binary, format="PNG", optimize=True)
        elif place.parent.name == "depthmap":
            made = encoded(picture.convert("L").resize(size, BILINEAR), format="JPEG", quality=95, optimize=True)
        else:
            photo = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
            made = encoded(photo, format="JPEG", quality=88, optimize=True)
        members[f"{place.parent}/{number(name)}.{'png' if place.parent.name == 'fg_bg_mask' else 'jpg'}"] = made
    write_tar(folder / "depthmask.tar.gz", members)
    return [folder / "depthmask.tar.gz"]


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return gzip.compress(header + array.tobytes(), 9, mtime=0)


def mnist_sample(folder: Path) -> list[Path]:
    """The first digits of both official parts, as idx files."""
    made = []
    for name, path in sorted(locate(load_manifest("mnist")).items()):
        made.append(folder / "mnist" / name)
        made[-1].parent.mkdir(parents=True, exist_ok=True)
        made[-1].write_bytes(idx_bytes(read_idx(path)[: MNIST_COUNTS[name.split("-")[0]]]))
    return made


def cifar_sample(folder: Path) -> list[Path]:
    """The first images of both official parts, one lossless mosaic each; no test image is from a JPEG copy."""
    paths = locate(load_manifest("cifar10_pack"))
    with np.load(paths["cifar10_labels.npz"]) as stored:
        table = dict(stored)
    members, labels = {}, {"class_names": table["class_names"]}
    for part, (rows, columns) in CIFAR_SHAPES.items():
        tiles = decode_mosaics(paths, part)[: rows * columns]  # (N, 3, 32, 32)
        mosaic = tiles.reshape(rows, columns, 3, TILE, TILE).transpose(0, 3, 1, 4, 2)
        image = Image.fromarray(np.ascontiguousarray(mosaic.reshape(rows * TILE, columns * TILE, 3)))
        members[f"{part}_00.webp"] = encoded(image, format="WEBP", lossless=True, quality=100, method=6)
        labels[f"{part}_labels"] = table[f"{part}_labels"][: rows * columns]
    if not table["test_lossless"][: len(labels["test_labels"])].all():
        raise ValueError("a test image of the sample comes from a JPEG copy")
    write_tar(folder / "cifar10.tar", members)
    np.savez_compressed(folder / "cifar10_labels.npz", **labels)
    return [folder / "cifar10.tar", folder / "cifar10_labels.npz"]


def textures_sample(folder: Path) -> list[Path]:
    """Paintings and photographs squashed to 96 x 96, evenly spaced in each split by identity."""
    archives = locate(load_manifest("base_images")).values()
    pack = dict(pair for archive in archives for pair in read_members(archive, lambda name: True))
    never = {f"monet/{name}" for name in pack[NEVER].decode().split()}
    members = {}
    for kind, counts in TEXTURES.items():
        names = sorted(name for name in pack if name.startswith(f"{kind}/") and name.endswith(".jpg"))
        for split, count in counts.items():
            allowed = of_split([name for name in names if name not in never], split)
            for i in np.linspace(0, len(allowed) - 1, count):
                picture = Image.open(io.BytesIO(pack[allowed[int(i)]])).convert("RGB")
                picture = picture.resize((SHORT_SIDE, SHORT_SIDE), Image.Resampling.LANCZOS)
                members[allowed[int(i)]] = encoded(picture, format="JPEG", quality=88, optimize=True)
    write_tar(folder / "base_images.tar", members)
    return [folder / "base_images.tar"]


def jpeg_sequence_picture(content: bytes) -> bytes:
    """A picture at 64 x 64 px, averaged in linear light, as JPEG with all its colours."""
    small = Image.fromarray(shrunk(decode_picture(content), SEQUENCE_SIDE).permute(1, 2, 0).numpy())
    return encoded(small, format="JPEG", quality=95, subsampling=0, optimize=True)


def rendered_sample(folder: Path) -> list[Path]:
    """Two of validation, four of testing, in the folders of the pack: views and irradiance at 64 px, masks as there."""
    [archive] = locate(load_manifest("rendered_sequences")).values()
    members = {}
    for name, content in read_members(archive, lambda name: name.split("/")[0] in RENDERED):
        place = PurePosixPath(name)
        if place.stem.endswith("-irradiance"):
            light = area_average(linear(decode_picture(content)), SEQUENCE_SIDE)
            small = Image.fromarray(to_levels(srgb(light)).permute(1, 2, 0).numpy())
            members[name] = encoded(small, format="WEBP", quality=95, method=6)
        elif place.stem.endswith("-m") or place.stem == "info":
            members[name] = content
        else:
            members[f"{place.with_suffix('.jpg')}"] = jpeg_sequence_picture(content)
    write_tar(folder / "rendered_sequences.tar.gz", members)
    return [folder / "rendered_sequences.tar.gz"]


def sidar_sample(folder: Path) -> list[Path]:
    """Both sequences, squashed to 64 x 64, in the folders of the pack; of the second all eleven views."""
    [archive] = locate(load_manifest("sidar_sample")).values()
    pack = read_members(archive, lambda name: True)
    members = {f"{PurePosixPath(name).with_suffix('.jpg')}": jpeg_sequence_picture(content) for name, content in pack}
    write_tar(folder / "sidar.tar.gz", members)
    return [folder / "sidar.tar.gz"]


def backbones_sample(folder: Path) -> list[Path]:
    """AlexNet's convolutions in half precision."""
    pack = locate(load_manifest("imagenet_backbones"))
    half = {name: value.half() for name, value in load_file(pack["alexnet-features.safetensors"]).items()}
    save_file(half, folder / "alexnet-features-f16.safetensors")
    return [folder / "alexnet-features-f16.safetensors"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "samples")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for path in [*pets_sample(folder), *mnist_sample(folder), *cifar_sample(folder), *depthmask_sample(folder),
                 *textures_sample(folder), *rendered_sample(folder), *sidar_sample(folder),
                 *backbones_sample(folder)]:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"- path: samples/{path.relative_to(folder)}\n  size: {path.stat().st_size}\n"
              f"  checksum: sha256:{digest}")


if __name__ == "__main__":
    main()
