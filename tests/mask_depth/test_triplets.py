"""The report's folders: pairs, splits, sizes, what white means, and mistakes named."""

import numpy as np
import pytest
from PIL import Image

from htcv_lib.data.files import locate, read_members
from htcv_lib.data.manifest import DataError, load_manifest
from htcv_lib.mask_depth.triplets import (
    find_triplets,
    load_depthmask_sample,
    load_triplets,
    number,
    split_triplet_names,
)

TEN = [f"p{i}" for i in range(10)]


@pytest.fixture
def folder(tmp_path):
    """Ten triplets 8 x 12: image i is grey 20 i, mask the left half at grey 200, depth grey 10 i at the top row."""
    for i, name in enumerate(TEN):
        image = np.full((8, 12, 3), 20 * i, np.uint8)
        mask = np.repeat(np.array([[200] * 6 + [100] * 6], np.uint8), 8, axis=0)
        depth = np.full((8, 12), 10 * i, np.uint8)
        for part, array in (("images", image), ("masks", mask), ("depth", depth)):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.fromarray(array).save(tmp_path / part / f"{name}.png")
    return tmp_path


def test_files_are_paired_by_name_whatever_their_endings(folder):
    Image.open(folder / "images" / "p3.png").save(folder / "images" / "p3.jpg", quality=95)
    (folder / "images" / "p3.png").unlink()
    (folder / "masks" / ".DS_Store").write_bytes(b"no picture")
    paths = find_triplets(folder)
    assert list(paths) == TEN
    assert [path.name for path in paths["p3"]] == ["p3.jpg", "p3.png", "p3.png"]


def test_names_may_begin_differently_in_each_folder_as_the_authors_do(folder):
    for path in (folder / "masks").iterdir():
        path.rename(path.with_name(path.name.replace("p", "mask0", 1)))
    for part in ("images", "depth"):
        for path in (folder / part).iterdir():
            path.rename(path.with_name(path.name.replace("p", "fgbg0", 1)))
    paths = find_triplets(folder)
    assert list(paths) == [f"0{i}" for i in range(10)]
    assert [path.stem for path in paths["03"]] == ["fgbg03", "mask03", "fgbg03"]
    (folder / "masks" / "mask03.png").unlink()
    with pytest.raises(DataError, match="no partner"):
        find_triplets(folder)


def test_every_picture_comes_with_its_own_mask_and_depth(folder):
    train = load_triplets(folder, "train", (8, 12), white_is_near=False)
    assert train.images.shape == (8, 3, 8, 12) and len(set(train.names)) == 8
    for i, name in enumerate(train.names):
        assert train.images[i].unique().tolist() == [20 * int(name[1:])]
        assert train.depth_levels[i].unique().tolist() == [10 * int(name[1:])]


def test_white_of_the_reports_depth_is_near_so_that_loaded_depth_grows_with_distance(folder):
    reported, plain = (load_triplets(folder, "test", 8, white_is_near=near) for near in (True, False))
    assert reported.names == plain.names
    assert np.array_equal(reported.depth_levels.numpy(), 255 - plain.depth_levels.numpy())


def test_masks_are_cut_at_128_before_resizing_so_that_only_outlines_are_between(folder):
    mask = load_triplets(folder, "test", (8, 12)).masks[0, 0]
    assert mask.unique().tolist() == [0.0, 1.0]
    assert mask[:, :6].min() == 1 and mask[:, 6:].max() == 0
    coarse = load_triplets(folder, "test", (2, 3)).masks[0, 0]  # 4 columns to 1: the outline is within the middle one
    assert coarse[0, 0] > 0.8 and coarse[0, 1] == pytest.approx(0.5, abs=0.01) and coarse[0, 2] < 0.2


def test_the_split_is_the_same_each_time_and_another_seed_gives_another():
    assert split_triplet_names(TEN, "test") == split_triplet_names(reversed(TEN), "test")
    assert split_triplet_names(TEN, "test", seed=1) != split_triplet_names(TEN, "test", seed=2)
    train, test = (split_triplet_names(TEN, split) for split in ("train", "test"))
    assert len(train) == 8 and len(test) == 2 and sorted(train + test) == TEN


def test_with_a_smaller_fraction_no_picture_changes_sides():
    names = [f"p{i:03d}" for i in range(100)]
    for limit, counts in ((1.0, (80, 20)), (0.1, (8, 2)), (0.55, (44, 11))):
        train, test = (split_triplet_names(names, split, limit) for split in ("train", "test"))
        assert (len(train), len(test)) == counts
        assert set(test) <= set(split_triplet_names(names, "test")) and not set(train) & set(test)


def test_a_file_without_partner_is_named_with_the_folder_it_lacks(folder):
    (folder / "depth" / "p4.png").unlink()
    with pytest.raises(DataError, match="p4 has no partner in depth$"):
        load_triplets(folder)
    (folder / "images" / "p7.png").unlink()
    (folder / "masks" / "p7.png").unlink()
    with pytest.raises(DataError, match="p4 has no partner in depth; 1 more names are incomplete"):
        load_triplets(folder)
    Image.new("L", (4, 4)).save(folder / "depth" / "p4.png")
    with pytest.raises(DataError, match="p7 has no partner in images and masks$"):
        load_triplets(folder)


def test_mistakes_in_a_folder_are_one_line(folder, tmp_path):
    with pytest.raises(DataError, match="nowhere/images: no such folder; a data set of triplets has images, masks"):
        load_triplets(tmp_path / "nowhere")
    Image.new("RGB", (4, 4)).save(folder / "images" / "p1.jpg")
    with pytest.raises(DataError, match="2 files are named p1: p1.jpg, p1.png"):
        load_triplets(folder)
    (folder / "images" / "p1.jpg").unlink()
    broken = split_triplet_names(TEN, "train")[3]
    (folder / "masks" / f"{broken}.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=f"images/{broken}.png: it, its mask or its depth cannot be read") as error:
        load_triplets(folder, "train")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("wrong", "message"), [
    ({"limit": 0}, "limit must be in"), ({"train_share": 1.0}, "train_share in"), ({"split": "val"}, "train or test")])
def test_impossible_fractions_and_splits_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        split_triplet_names(TEN, **({"split": "train"} | wrong))


def test_a_fraction_that_leaves_a_split_empty_is_an_error():
    with pytest.raises(DataError, match="10 triplets, limit 0.1, train_share 0.8: nothing left for test"):
        split_triplet_names(TEN, "test", limit=0.1)


def laid_out(manifest, folder):
    """The members of an archive of real triplets as the report's folders; names are letter and number."""
    for path in locate(manifest).values():
        for name, content in read_members(path, lambda name: name.count("/") == 2):
            root, part, file = name.split("/")
            target = {"fg_bg": "images", "fg_bg_mask": "masks", "depthmap": "depth"}.get(part)
            if target:
                (folder / target).mkdir(exist_ok=True)
                where = folder / target / f"{root[4]}_{number(file)}.{file.rsplit('.', 1)[-1]}"
                where.write_bytes(content)
    return folder


@pytest.mark.parametrize("dataset", ["depthmask_sample/sample", "depthmask_sample"])
def test_real_triplets_in_the_reports_folders_are_those_of_the_archive(dataset, tmp_path, request):
    if not dataset.endswith("/sample"):
        request.getfixturevalue("packs")
    whole = load_depthmask_sample((24, 32), dataset)
    folder = laid_out(load_manifest(dataset), tmp_path)
    parts = [load_triplets(folder, split, (24, 32), white_is_near=False) for split in ("train", "test")]
    assert [len(part) for part in parts] == [25, 6]
    for part in parts:
        same = whole.subset([whole.names.index(name.replace("_", "/")) for name in part.names])
        for field in ("images", "mask_levels", "depth_levels"):
            assert np.array_equal(getattr(part, field), getattr(same, field))
