import pytest
import torch

from htcv_lib.data.files import locate, read_members
from htcv_lib.data.manifest import load_manifest
from htcv_lib.data.textures import NEVER, load_textures
from htcv_lib.decomposer.paintings.lit import LitSequences
from htcv_lib.decomposer.sequences import KINDS, load_sequences

SAMPLE = {"size": 16, "views": 3, "textures": ("base_images/sample", "oxford_pets_630/sample")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_of_the_samples_has_the_fields_of_its_kind(kind):
    pool = load_sequences(kind, "val", 2, **SAMPLE)
    layers = {"irradiance": 3} if kind == "physical" else {"shadow": 1, "light": 1}
    expected = {"image": ((2, 3, 3, 16, 16), torch.uint8), "original": ((2, 3, 1, 16, 16), torch.uint8),
                "mask": ((2, 1, 3, 16, 16), torch.uint8), "occlusion": ((2, 3, 3, 16, 16), torch.uint8)}
    expected |= {name: ((2, channels, 3, 16, 16), torch.float16) for name, channels in layers.items()}
    assert {name: (tuple(field.shape), field.dtype) for name, field in pool.tensors().items()} == expected


@pytest.mark.parametrize("kind", KINDS[1:])
def test_stored_layers_explain_the_stored_views_to_half_a_level(kind):
    fields = load_sequences(kind, "train", 6, **SAMPLE).tensors()
    unit = {name: field.float() / (255 if field.dtype == torch.uint8 else 1) for name, field in fields.items()}
    relit = unit["original"] * unit["shadow"] + unit["light"]
    if kind == "matched_light_first":
        relit = (unit["original"] + unit["light"]) * unit["shadow"]
    composed = torch.where(unit["mask"] > 0.5, unit["occlusion"], relit)
    assert (composed - unit["image"]).abs().max() <= 0.5001 / 255


def test_a_longer_pool_begins_as_a_shorter_one_and_is_made_once(monkeypatch):
    short, long = (load_sequences("physical", "train", count, **SAMPLE) for count in (2, 4))
    assert torch.equal(short.images, long.images[:2]) and short.names == long.names[:2]
    monkeypatch.setattr(LitSequences, "sequence", None)  # it comes from the cache now
    again = load_sequences("physical", "train", 4, **SAMPLE)
    assert torch.equal(again.irradiances, long.irradiances) and again.names == long.names


def test_names_are_those_of_the_clean_pictures():
    bank = load_textures(SAMPLE["textures"], "train", 16)
    pool = load_sequences("matched", "train", 8, **SAMPLE)
    for picture, name in zip(pool.originals[:, :, 0], pool.names, strict=True):
        stored = bank.pictures[bank.names.index(name)]
        assert torch.equal(picture, stored) or torch.equal(picture, stored.flip(-1))


def test_splits_kinds_and_seeds_differ():
    first = load_sequences("matched", "train", 2, **SAMPLE)
    others = (load_sequences("matched", "test", 2, **SAMPLE), load_sequences("matched", "train", 2, seed=1, **SAMPLE),
              load_sequences("matched_light_first", "train", 2, **SAMPLE))
    assert all(not torch.equal(first.images, other.images) for other in others)


def test_no_clean_picture_is_in_two_splits_or_in_the_rendered_sequences_and_the_manifest_counts_them(packs):
    names = {split: set(load_sequences("matched", split, 40, 16, 1).names) for split in ("train", "val", "test")}
    assert all(len(each) > 15 for each in names.values())
    assert not (names["train"] & names["val"] or names["train"] & names["test"] or names["val"] & names["test"])
    [(_, content)] = read_members(locate(load_manifest("base_images"))["monet_240.tar"], NEVER.__eq__)
    never = {f"monet/{name}" for name in content.decode().split()}
    assert len(never) == 80 and not set().union(*names.values()) & never
    counts = {name: split.count for name, split in load_manifest("distorted_sequences").splits.items()}
    sets = ("base_images", "oxford_pets_images_1470")
    assert counts == {split: len(load_textures(sets, split, 16).names) for split in counts}


def test_what_cannot_be_made_is_refused():
    with pytest.raises(ValueError, match="kind must be one of physical"):
        load_sequences("rendered", "train", 2, **SAMPLE)
    with pytest.raises(ValueError, match="split must be one of"):
        load_sequences("physical", "dev", 2, **SAMPLE)
    with pytest.raises(ValueError, match="at least one sequence"):
        load_sequences("physical", "val", 0, **SAMPLE)
