import gzip

import numpy as np
import pytest
import torch

from htcv_lib.data.manifest import DataError
from htcv_lib.vae.data import (
    RandomShift,
    RandomTurn,
    load_cifar10,
    load_mnist,
    mosaic_tiles,
    read_idx,
    small_augmentation,
)


def test_a_mosaic_is_cut_row_by_row(encoded):
    mosaic = np.zeros((64, 96, 3), np.uint8)  # 2 rows of 3 tiles
    for i in range(6):
        row, column = divmod(i, 3)
        mosaic[32 * row : 32 * row + 32, 32 * column : 32 * column + 32] = i
    mosaic[32, 5] = (9, 8, 7)  # first row, sixth pixel of tile 3
    tiles = mosaic_tiles(encoded(mosaic, "WEBP", lossless=True, exact=True))
    assert tiles.shape == (6, 3, 32, 32)
    assert [int(np.median(tile)) for tile in tiles] == [0, 1, 2, 3, 4, 5]
    assert tiles[3, :, 0, 5].tolist() == [9, 8, 7]


def test_the_sample_holds_the_first_images_of_cifar10():
    train, val, test = (load_cifar10("cifar10_pack/sample", split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (900, 100, 500)
    assert train.images.shape == (900, 3, 32, 32) and train.images.dtype == torch.uint8
    assert [train.classes[label] for label in train.labels[:3]] == ["frog", "truck", "truck"]
    assert [test.classes[label] for label in test.labels[:4]] == ["cat", "ship", "ship", "airplane"]
    assert train.images[0, :, 0, 0].tolist() == [59, 62, 63]  # the first pixel of the official first image
    assert sorted(test.labels.unique().tolist()) == list(range(10))


def test_lossless_test_images_are_a_split_of_their_own(packs):
    assert len(load_cifar10("cifar10_pack", "test_lossless")) == 4593
    first = load_cifar10("cifar10_pack", "test_first1000")
    sample = load_cifar10("cifar10_pack/sample", "test")
    assert torch.equal(first.images[:500], sample.images) and torch.equal(first.labels[:500], sample.labels)


def idx(shape, values, magic=b"\0\0\x08"):
    return gzip.compress(magic + bytes([len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape) + bytes(values))


def test_an_idx_file_is_read_in_the_shape_its_header_gives(tmp_path):
    (tmp_path / "a.gz").write_bytes(idx((2, 1, 3), range(6)))
    assert read_idx(tmp_path / "a.gz").tolist() == [[[0, 1, 2]], [[3, 4, 5]]]


@pytest.mark.parametrize(("content", "message"), [
    (idx((2, 3), range(5)), r"header says \(2, 3\), but 5 values follow"),
    (idx((2,), range(2), magic=b"\0\0\x0d"), "not an idx file of unsigned bytes"),
    (idx((9,), range(9))[:-12], "cannot be unpacked"),
    (b"<html>", "cannot be unpacked"),
])
def test_a_broken_idx_file_is_one_line(tmp_path, content, message):
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "a.gz")


def test_the_sample_holds_the_first_digits_of_mnist():
    train, val, test = (load_mnist("mnist/sample", split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (1800, 200, 1000)
    assert train.images.shape == (1800, 1, 28, 28)
    assert train.labels[:9].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1]  # the tenth, 4, is in val
    assert val.labels[0] == 4 and test.labels[:4].tolist() == [7, 2, 1, 0]
    assert train.subset([1]).labels.tolist() == [0]
    assert set(train.tensors()) == {"image", "label"}


def test_the_whole_mnist_has_its_own_validation_part(packs):
    assert [len(load_mnist("mnist", split)) for split in ("train", "val", "test")] == [55000, 5000, 10000]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_shift_moves_whole_pixels_and_mirrors_the_border():
    image = torch.arange(35.0).view(1, 1, 5, 7).repeat(20, 1, 1, 1)
    moved = RandomShift(2)({"image": image, "label": torch.arange(20)}, generator())
    centres = moved["image"][:, 0, 2, 3]  # was 17 in row 2, column 3
    rows, columns = centres.div(7).floor() - 2, centres.remainder(7) - 3
    assert rows.abs().max() == 2 and columns.abs().max() == 2 and len(centres.unique()) > 5
    assert set(moved["image"].flatten().tolist()) <= set(range(35))  # no value is invented
    assert moved["label"].tolist() == list(range(20))


def test_each_image_gets_its_own_shift_in_all_its_channels():
    image = torch.rand(1, 1, 6, 5).expand(8, 3, 6, 5)
    moved = RandomShift(2)({"image": image}, generator())["image"]
    assert torch.equal(moved[:, 0], moved[:, 2]) and not torch.equal(moved[0], moved[1])


def test_no_turn_and_no_shift_changes_nothing():
    image = torch.rand(3, 1, 8, 6)
    assert torch.allclose(RandomTurn(0.0, 0.0)({"image": image}, generator())["image"], image, atol=1e-5)


def test_a_turn_keeps_what_is_in_the_middle_and_brings_in_black():
    image = torch.ones(16, 1, 9, 9)
    turned = RandomTurn(30.0, 0.1)({"image": image}, generator())["image"]
    assert torch.allclose(turned[:, 0, 4, 4], torch.ones(16), atol=1e-5) and turned[:, 0, 0, 0].min() < 0.5


def test_an_unknown_recipe_is_refused():
    assert small_augmentation("none") is None
    with pytest.raises(ValueError, match="flip_shift"):
        small_augmentation("mixup")
