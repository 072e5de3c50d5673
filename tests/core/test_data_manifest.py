"""What a manifest says, and mistakes in it."""

import copy

import pytest
import yaml

from htcv_lib.data.manifest import MANIFESTS, DataError, Split, load_manifest, manifest_names, parse_manifest


def entry_of(name):
    return yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text(encoding="utf-8"))


def reparsed(entry):
    return parse_manifest(entry, MANIFESTS / "mnist.yaml")


def test_there_is_a_manifest_for_every_data_set_of_the_book():
    assert set(manifest_names()) >= {
        "oxford_pets", "oxford_pets_630", "oxford_pets_images_1470", "mnist", "cifar10_pack", "rendered_sequences",
        "monet", "kodak", "sidar_sample", "depthmask_sample", "phong_spheres", "base_images", "standing_pets",
        "distorted_sequences", "matched_sequences"}


@pytest.mark.parametrize("name", manifest_names())
def test_a_manifest_has_licence_citation_sizes_and_splits_that_say_what_they_are(name):
    manifest = load_manifest(name)
    assert manifest.license and manifest.cite
    assert manifest.fields and manifest.splits or name == "imagenet_backbones"  # weights, no images
    assert manifest.files or name in ("phong_spheres", "standing_pets", "distorted_sequences",
                                     "matched_sequences")  # which are computed
    assert all(file.size for file in manifest.files)
    for file in manifest.files:
        assert file.url is None or file.url.startswith(("https://", "pypi:"))


def test_the_official_pets_are_split_as_their_authors_did_with_a_validation_part_from_trainval():
    splits = load_manifest("oxford_pets").splits
    assert splits["train"].count + splits["val"].count == 3680
    assert splits["test"].count == 3669
    assert len(splits["train"].select(range(3680))) == 3312
    assert len(splits["val"].select(range(3680))) == 368


def test_train_and_validation_are_disjoint_and_cover_the_list():
    splits = load_manifest("oxford_pets_630").splits
    train, val = splits["train"].select(range(339)), splits["val"].select(range(339))
    assert val[:2] == [9, 19]
    assert sorted(train + val) == list(range(339))


def test_a_split_with_another_count_than_promised_is_an_error():
    with pytest.raises(DataError, match="pets split val: expected 2 items, found 3"):
        Split("val", 2, {"every": 10}).select(range(30), "pets")


def test_a_sample_is_a_manifest_of_its_own_and_both_pets_share_it():
    sample = load_manifest("oxford_pets/sample")
    assert sample.is_sample and sample.digest != load_manifest("oxford_pets").digest
    assert sample.digest == load_manifest("oxford_pets_630/sample").digest


def test_prose_and_addresses_leave_the_digest_alone_and_checksums_splits_and_fields_change_it():
    entry = entry_of("mnist")
    digest = reparsed(entry).digest

    prose = copy.deepcopy(entry)
    prose["title"], prose["notes"], prose["files"][0]["url"] = "Digits", "Other words.", "https://example.org/x.gz"
    assert reparsed(prose).digest == digest

    for change in (lambda e: e["files"][0].update(checksum="sha256:" + "0" * 64),
                   lambda e: e["splits"]["val"].update(every=13, count=4615),
                   lambda e: e["fields"]["image"].update(dtype="float32")):
        other = copy.deepcopy(entry)
        change(other)
        assert reparsed(other).digest != digest


@pytest.mark.parametrize(("change", "message"), [
    (lambda e: e.pop("license"), "mnist.yaml: missing or unknown keys: license"),
    (lambda e: e.update(licence="MIT"), "unknown keys: licence"),
    (lambda e: e.update(name="minst"), "its name says 'minst'"),
    (lambda e: e["files"][0].update(checksum="md5:123"), "needs a checksum"),
    (lambda e: e["files"][0].update(path="../x.gz"), "not a path below the data folder"),
    (lambda e: e["splits"]["val"].update(evry=3), "unknown rules: evry"),
    (lambda e: e["splits"]["val"].pop("count"), "split val needs a count"),
])
def test_a_mistake_in_a_manifest_is_named(change, message):
    entry = entry_of("mnist")
    change(entry)
    with pytest.raises(DataError, match=message):
        reparsed(entry)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(DataError, match="no data manifest 'pets'; there are .*oxford_pets"):
        load_manifest("pets")
    with pytest.raises(DataError, match="no split 'dev'; it has train, val, test"):
        load_manifest("mnist").split("dev")
    with pytest.raises(DataError, match="kodak has no bundled sample"):
        load_manifest("kodak/sample")
