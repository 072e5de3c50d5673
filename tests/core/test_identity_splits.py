import pytest

from htcv_lib.data.textures import identity_split, of_split


def test_a_name_is_in_the_same_split_in_every_folder_and_format():
    for i in range(50):
        assert identity_split(f"images/Bengal_{i}.jpg") == identity_split(f"images_dev/Bengal_{i}.png")


def test_seven_of_ten_names_train_and_two_test():
    splits = [identity_split(f"Abyssinian_{i}") for i in range(5000)]
    assert splits.count("train") / 5000 == pytest.approx(0.7, abs=0.03)
    assert splits.count("val") / 5000 == pytest.approx(0.1, abs=0.02)
    assert splits.count("test") / 5000 == pytest.approx(0.2, abs=0.03)


def test_no_split_may_change_by_accident():
    # numbers of other machines and years rest on these
    assert [identity_split(f"kodim{i:02}") for i in range(1, 6)] == ["train", "test", "train", "train", "train"]


def test_the_splits_of_a_list_are_disjoint_and_cover_it():
    names = [f"pug_{i}" for i in range(200)]
    parts = [of_split(names, split) for split in ("train", "val", "test")]
    assert sorted(sum(parts, [])) == sorted(names) and all(parts)
    with pytest.raises(ValueError, match="split must be one of train, val, test, got 'dev'"):
        of_split(names, "dev")
