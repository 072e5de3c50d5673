"""The layout of SIDAR, on a folder made here, and the two real sequences."""

import numpy as np
import pytest
from PIL import Image

from htcv_lib.data.manifest import DataError, load_manifest
from htcv_lib.decomposer.sidar import SidarFolder, load_sidar_folder, load_sidar_sample, sequence_folders, sidar_split

SAMPLE = "sidar_sample/sample"


def write(path, level, mask=False):
    """A grey picture of 8 x 12 pixels; a mask is white in its left half."""
    array = np.full((8, 12), level, np.uint8)
    if mask:
        array[:, 6:] = 0
    Image.fromarray(array).convert("L" if mask else "RGB").save(path)


@pytest.fixture
def folder(tmp_path):
    """Sequences 0 to 19: gt.png of level 100 + n, views 0 to 11 of level 10 t + 1; masks for the even ones."""
    root = tmp_path / "SIAR"
    for n in range(20):
        place = root / str(n)
        place.mkdir(parents=True)
        write(place / "gt.png", 100 + n)
        for t in range(12):
            write(place / f"{t}.png", 10 * t + 1)
            if n % 2 == 0:
                write(place / f"{t}-m.png", 255, mask=True)
    (root / "notes").mkdir()
    return root


def test_views_come_in_the_order_of_their_numbers_and_the_first_ten_of_them(folder):
    data = load_sidar_folder(folder, (4, 6), "all", limit=3)
    assert data.names == ["0", "1", "2"] and data.images.shape == (3, 3, 10, 4, 6)
    assert data.images[:, 0, :, 0, 0].tolist() == [[10 * t + 1 for t in range(10)]] * 3
    assert data.originals[:, 0, 0, 0, 0].tolist() == [100, 101, 102]


def test_sequences_come_in_the_order_of_their_numbers(folder):
    assert [place.name for place in sequence_folders(folder, "all")] == [str(n) for n in range(20)]


def test_masks_and_the_colours_inside_are_there_if_all_sequences_have_masks(folder):
    assert load_sidar_folder(folder, 4, "all", limit=2).masks is None  # the second has none
    data = load_sidar_folder(folder, (4, 6), "all", limit=1)
    assert data.masks.shape == (1, 1, 10, 4, 6) and data.masks[0, 0, 4].tolist() == [[255] * 3 + [0] * 3] * 4
    assert data.occlusions[0, 1, 4].tolist() == [[41] * 3 + [0] * 3] * 4
    assert set(data.tensors()) == {"image", "original", "mask", "occlusion"}


def test_only_some_masks_or_too_few_views_are_refused(folder):
    (folder / "0/3-m.png").unlink()
    with pytest.raises(DataError, match="9 of 10 views have a mask"):
        load_sidar_folder(folder, 4, "all", limit=1)
    for t in range(3, 6):
        (folder / f"1/{t}.png").unlink()
    with pytest.raises(DataError, match="expected 10 views, found 9"):
        SidarFolder(folder, 4, "all")[1]


def test_splits_are_disjoint_cover_everything_and_are_the_authors_where_they_are_listed(folder):
    parts = [set(SidarFolder(folder, 4, split).names) for split in ("train", "test")]
    assert not parts[0] & parts[1] and len(parts[0]) > len(parts[1])
    assert {sidar_split(str(n)) for n in range(20)} <= {"train", "val", "test"}
    (folder / "val.csv").write_text("id\n7\n3\n")
    assert SidarFolder(folder, 4, "val").names == ["3", "7"]
    (folder / "val.csv").write_text("id\n7\n99\n")
    with pytest.raises(DataError, match="lists 1 sequences that .* does not have, the first is 99"):
        SidarFolder(folder, 4, "val")
    lists = folder.parent / "data_splits/split-1_80_10_10"
    lists.mkdir(parents=True)
    (lists / "train.csv").write_text(",id\n0,12\n")
    assert SidarFolder(folder, 4, "train", lists=lists).names == ["12"]
    (lists / "train.csv").write_text("name\n12\n")
    with pytest.raises(DataError, match="no list with a column id"):
        SidarFolder(folder, 4, "train", lists=lists)


def test_the_hash_keeps_the_shares_of_the_reports_and_never_changes():
    splits = [sidar_split(str(n)) for n in range(14541)]
    counts = {split: splits.count(split) for split in ("train", "val", "test")}
    assert counts["train"] == pytest.approx(11632, abs=150) and counts["val"] == pytest.approx(1454, abs=120)
    assert splits[:10] == ["train", "test", "train", "train", "train", "train", "train", "test", "train", "train"]


def test_nothing_is_decoded_before_it_is_asked_for(folder):
    (folder / "5/gt.png").write_bytes(b"no picture")
    found = SidarFolder(folder, 4, "all")
    assert len(found) == 20 and found[4]["originals"].unique().item() == 104
    with pytest.raises(DataError, match="5/gt.png cannot be decoded"):
        list(found)


def test_no_folder_no_sequences_and_no_such_split_are_errors(folder, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        load_sidar_folder(tmp_path / "nowhere", 4)
    with pytest.raises(DataError, match="no sequences"):
        load_sidar_folder(folder / "notes", 4)
    with pytest.raises(ValueError, match="split must be one of train, val, test or all"):
        load_sidar_folder(folder, 4, "dev")


def test_the_real_sequences_have_ten_views_and_a_clean_picture_or_its_stand_in_and_say_which():
    data = load_sidar_sample(64, SAMPLE)
    assert data.names == ["sequence_a", "sequence_b (stand-in: median of the views)"]
    assert {name: tuple(value.shape) for name, value in data.tensors().items()} == {
        "image": (2, 3, 10, 64, 64), "original": (2, 3, 1, 64, 64)}
    error = (data.images.float() - data.originals).abs().mean((1, 3, 4))  # of each view
    assert error[0].min() > 10 and error[0].max() < 150  # no view of the first is clean
    assert error[1].min() < 10  # the second has views with little more than a spot of light


def test_the_stand_in_is_the_median_of_eleven_views_of_which_ten_are_returned():
    data = load_sidar_sample(64, SAMPLE)
    views, stand_in = data.images[1].int(), data.originals[1].int()
    below, above = (views < stand_in).sum(1), (views > stand_in).sum(1)
    assert below.max() <= 5 and above.max() <= 5  # five of the other ten on either side, one of them left out


def test_the_bundled_sample_is_small():
    [file] = load_manifest(SAMPLE).files
    assert file.bundled.stat().st_size == file.size <= 150_000


def test_the_copy_in_the_repository_shows_what_the_pack_shows(packs):
    copy, pack = load_sidar_sample(64, SAMPLE), load_sidar_sample(64)
    assert (copy.images.float() - pack.images.float()).abs().mean() < 3
    assert (copy.originals.float() - pack.originals.float()).abs().mean() < 3
    assert load_sidar_sample((128, 96)).images.shape == (2, 3, 10, 128, 96)
