"""Splits by identity, and the textures cut from the packs."""

import numpy as np
import pytest
import yaml

from htcv_lib.data.files import checksum, locate, read_members
from htcv_lib.data.manifest import DataError, load_manifest
from htcv_lib.data.textures import NEVER, identity_split, load_textures, of_split
from htcv_lib.mask_depth.rooms.pets import load_cutouts


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


SPLITS = ("train", "val", "test")


@pytest.fixture
def small_set(tmp_path, archived, encoded, monkeypatch):
    """A manifest of an archive with 30 paintings, 4 of them kept out, and 10 pets: the grey level is the number."""
    folder = tmp_path / "packs"
    monkeypatch.setenv("HTCV_DATA", str(folder))
    pictures = [f"monet/p{i}.jpg" for i in range(30)] + [f"images/cat_{i}.jpg" for i in range(10)]
    members = {name: encoded(np.full((20, 30, 3), 6 * i, np.uint8), "JPEG") for i, name in enumerate(pictures)}
    members[NEVER] = "".join(f"p{i}.jpg\n" for i in range(4)).encode()
    path = archived(folder / "small/pictures.tar", members)
    entry = {"name": "small", "title": "Small", "homepage": None, "license": "none", "cite": "none",
             "files": [{"path": "small/pictures.tar", "url": None, "size": path.stat().st_size,
                        "checksum": checksum(path, "sha256")}],
             "splits": {"all": {"match": "monet/*", "count": 30}}, "fields": {"image": {}}}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(entry))
    return str(tmp_path / "small.yaml")


def test_paintings_kept_for_another_chapter_are_never_taken_and_all_others_once(small_set):
    names = sum((load_textures(small_set, split, 16).names for split in SPLITS), [])
    allowed = [f"monet/p{i}.jpg" for i in range(4, 30)] + [f"images/cat_{i}.jpg" for i in range(10)]
    assert sorted(names) == sorted(allowed)


def test_what_may_lie_on_the_floor_comes_first_and_pictures_belong_to_their_names(small_set):
    bank = load_textures(small_set, "train", 16)
    assert all(name.startswith("monet/") for name in bank.names[: bank.grounds])
    assert all(name.startswith("images/") for name in bank.names[bank.grounds :])
    for picture, name in zip(bank.pictures, bank.names, strict=True):
        number = int("".join(filter(str.isdigit, name))) + 30 * name.startswith("images")
        assert picture.float().mean().item() == pytest.approx(6 * number, abs=2)


def test_a_picture_in_two_archives_counts_once(small_set):
    once, twice = load_textures(small_set, "train", 16), load_textures([small_set, small_set], "train", 16)
    assert once.names == twice.names


def test_an_archive_without_ground_is_refused():
    with pytest.raises(DataError, match="no texture for the ground"):
        load_textures("oxford_pets_630/sample", "train", 16)


def test_the_sample_serves_every_split_and_holds_none_that_is_kept_out():
    counts = {split: load_textures("base_images/sample", split, 16).grounds for split in SPLITS}
    assert counts == {"train": 19, "val": 5, "test": 6}


def test_no_identity_is_in_two_splits_be_it_on_a_wall_or_cut_out(packs, monkeypatch):
    def uncut(encoded, size):  # of more names than can stand by themselves, and many times faster
        return ((name, np.zeros((4, size, size), np.uint8), 1.0) for name, *_ in encoded)

    monkeypatch.setattr("htcv_lib.mask_depth.rooms.pets.cutouts_of", uncut)
    monkeypatch.setattr("htcv_lib.data.textures.square", lambda content, size: np.zeros((3, size, size), np.uint8))
    of = {}
    for split in SPLITS:
        walls = load_textures(["base_images", "oxford_pets_images_1470"], split, 1).names
        pets = load_cutouts("oxford_pets_630", split, 1).names
        of[split] = {name.rsplit("/", 1)[-1].removesuffix(".jpg") for name in walls} | set(pets)
        assert {identity_split(name) for name in of[split]} == {split}
    assert not (of["train"] & of["val"] or of["train"] & of["test"] or of["val"] & of["test"])


def test_the_80_paintings_of_the_rendered_sequences_are_in_no_bank_and_not_in_the_sample(packs):
    paths = locate(load_manifest("base_images"))
    [(_, content)] = read_members(paths["monet_240.tar"], NEVER.__eq__)
    never = {f"monet/{name}" for name in content.decode().split()}
    used = {name for split in SPLITS for name in load_textures(["base_images", "base_images/sample"], split, 16).names}
    assert len(never) == 80 and not used & never
    assert sum(name.startswith("monet/") for name in used) == 160
