import gzip

import pytest

from htcv_lib.data.manifest import DataError
from htcv_lib.vae.data import load_mnist, read_idx


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
