import numpy as np
import pytest
import torch
from PIL import Image

from htcv_lib.data.batches import Batches
from htcv_lib.data.files import locate, read_members
from htcv_lib.data.manifest import DataError, load_manifest
from htcv_lib.mask_depth.triplets import (
    TripletSet,
    find_triplets,
    load_depthmask_sample,
    load_triplets,
    number,
    partners,
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


def four(size=(2, 3)):
    """Four pictures; the one at position i has value 10 i in all fields."""
    level = torch.arange(4, dtype=torch.uint8).mul(10).view(4, 1, 1, 1)
    plane = level.expand(4, 1, *size)
    return TripletSet(plane.expand(4, 3, *size), plane, plane, ["a/0", "a/1", "b/0", "b/1"], ["a", "a", "b", "b"])


def test_levels_become_shares_in_a_batch_and_index_says_which_pictures():
    [batch] = Batches(four(), 4)
    assert {name: tuple(field.shape) for name, field in batch.items()} == {
        "image": (4, 3, 2, 3), "mask": (4, 1, 2, 3), "depth": (4, 1, 2, 3), "index": (4,)}
    assert {batch[name].dtype for name in ("image", "mask", "depth")} == {torch.float32}
    assert batch["index"].tolist() == [0, 1, 2, 3]
    for name in ("image", "mask", "depth"):
        assert batch[name][:, 0, 0, 0].tolist() == pytest.approx([0, 10 / 255, 20 / 255, 30 / 255])


def test_an_augmentation_gets_the_floats_and_its_batch_is_what_comes_out():
    def brighter(batch, generator):
        assert batch["depth"].max() <= 1
        return batch | {"depth": batch["depth"] + 1}

    [batch] = Batches(four(), 4, augment=brighter)
    assert batch["depth"].min() == 1


def test_the_same_seed_gives_the_same_order_and_fields_stay_together():
    orders = [[batch["index"].tolist() for batch in Batches(four(), 2, shuffle=True, seed=seed)]
              for seed in (1, 1)]
    assert orders[0] == orders[1] and sorted(sum(orders[0], [])) == [0, 1, 2, 3]
    for batch in Batches(four(), 2, shuffle=True, seed=1):
        assert torch.equal(batch["mask"][:, 0, 0, 0] * 25.5, batch["index"].float())


def test_a_collection_is_a_part_of_the_set_and_an_unknown_one_is_answered_with_those_there_are():
    part = four().of("b")
    assert part.names == ["b/0", "b/1"] and part.sets == ["b", "b"]
    assert part.depth[:, 0, 0, 0].tolist() == pytest.approx([20 / 255, 30 / 255])
    with pytest.raises(ValueError, match="no pictures of 'z'; there are a, b"):
        four().of("z")


def test_masks_and_depth_are_shares_and_255_is_one():
    ones = torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)
    one = TripletSet(ones.expand(1, 3, 2, 2), ones, ones, ["x"])
    assert one.masks.unique().tolist() == [1.0] and one.depth.unique().tolist() == [1.0]
    assert one.subset([0]).sets is None


@pytest.fixture(scope="module")
def sample():
    return load_depthmask_sample((40, 48))


def test_there_are_31_triplets_of_three_sets_in_their_order(sample):
    assert len(sample) == 31 and sample.sets == ["a"] * 5 + ["b"] * 16 + ["c"] * 10
    assert sample.names[0] == "a/26682" and sample.names[5] == "b/00" and sample.names[-1] == "c/09"
    assert sample.images.shape == (31, 3, 40, 48) and sample.images.dtype == torch.uint8
    assert sample.masks.shape == sample.depth.shape == (31, 1, 40, 48)


def test_every_picture_has_an_object_and_most_of_its_pixels_are_plain(sample):
    area = (sample.masks > 0.5).flatten(1).float().mean(dim=1)
    assert 0.02 < area.min() and area.max() < 0.2
    between = ((sample.masks > 0.02) & (sample.masks < 0.98)).float().mean()
    assert 0 < between < 0.08


def test_depth_spans_its_range_and_is_nearer_at_the_lower_edge_so_white_is_far(sample):
    depth = sample.depth
    assert depth.flatten(1).max(dim=1).values.min() > 0.75 and depth.flatten(1).min(dim=1).values.max() < 0.1
    lower, upper = depth[:, :, -5:].mean(dim=(1, 2, 3)), depth[:, :, :20].mean(dim=(1, 2, 3))
    assert (lower < upper).sum() >= 28


def test_the_object_is_nearer_than_the_rest_in_most_pictures_which_fails_if_files_were_mixed_up(sample):
    inside = sample.masks > 0.5
    near = [depth[chosen].mean() < depth[~chosen].mean() for depth, chosen in zip(sample.depth, inside, strict=True)]
    assert sum(near) >= 22


def test_the_bundled_sample_is_small():
    [file] = load_manifest("depthmask_sample/sample").files
    assert file.bundled.stat().st_size == file.size <= 200_000


def test_the_copy_in_the_repository_shows_what_the_pack_shows(packs):
    copy, pack = load_depthmask_sample(64), load_depthmask_sample(64, "depthmask_sample")
    assert copy.names == pack.names
    assert torch.equal(copy.mask_levels, pack.mask_levels)
    assert (copy.depth - pack.depth).abs().mean() < 0.01
    assert (copy.images.float() - pack.images.float()).abs().mean() < 8


def test_the_number_pairs_files_and_a_missing_partner_is_named():
    assert number("set_a_220/fg_bg_mask/fg_bg_mask_638.jpg") == "638" and number("x/00.png") == "00"
    members = {"s/fg_bg/fg_bg_1.jpg": b"", "s/fg_bg_mask/fg_bg_mask_1.jpg": b"", "s/depthmap/depth_11.jpg": b""}
    with pytest.raises(DataError, match="fg_bg_1.jpg: expected one partner in s/depthmap, found 0"):
        partners("s/fg_bg/fg_bg_1.jpg", members)
    members["s/depthmap/depth_1.jpg"] = b""
    assert partners("s/fg_bg/fg_bg_1.jpg", members)[2] == "s/depthmap/depth_1.jpg"
