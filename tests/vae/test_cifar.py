import numpy as np
import torch

from htcv_lib.vae.data import load_cifar10, mosaic_tiles


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
