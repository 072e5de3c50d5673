import pytest

from htcv_lib.data import files as report
from htcv_lib.data.files import fetch_data, list_data, verify_data
from htcv_lib.data.manifest import load_manifest


def test_the_list_names_every_data_set_with_place_splits_and_licence(monkeypatch):
    lines = {line.split()[0]: line for line in list_data().splitlines()[1:]}
    assert "can be fetched (773.5 MiB)" in lines["oxford_pets"] and "CC-BY-SA-4.0" in lines["oxford_pets"]
    assert "not here (set HTCV_DATA)" in lines["kodak"]
    assert "repository" in lines["oxford_pets/sample"]
    assert "train 306, val 33, test 291" in lines["oxford_pets_630"]


def test_without_names_verify_checks_what_is_here_and_absent_packs_are_no_error():
    lines = list(verify_data())
    assert all(line.ok for line in lines)
    assert "ok       mnist/sample: 4 files, checksums match" in [line.text for line in lines]
    assert any(line.text.startswith("absent   kodak") for line in lines)


def test_a_named_data_set_that_is_absent_or_changed_fails_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HTCV_DATA", str(tmp_path))
    (tmp_path / "base_images").mkdir()
    (tmp_path / "base_images" / "kodak_24.tar").write_bytes(b"changed")
    absent, changed = verify_data(["monet", "kodak"])
    assert not absent.ok and "base_images/monet_240.tar" in absent.text
    assert not changed.ok and "kodak_24.tar: wrong checksum, expected sha256:904250e" in changed.text
    assert "\n" not in absent.text + changed.text


def test_fetch_downloads_only_what_has_an_address_and_is_not_here(tmp_path, monkeypatch):
    got = []
    monkeypatch.setattr(report, "download", lambda file, progress: got.append(file.path) or tmp_path / file.name)
    lines = list(fetch_data())
    assert all(line.ok for line in lines)
    assert sorted(got) == ["mnist/t10k-images-idx3-ubyte.gz", "mnist/t10k-labels-idx1-ubyte.gz",
                           "mnist/train-images-idx3-ubyte.gz", "mnist/train-labels-idx1-ubyte.gz",
                           "oxford_pets/annotations.tar.gz", "oxford_pets/images.tar.gz"]
    assert any("kodak_24.tar has no public address" in line.text for line in lines)


@pytest.mark.parametrize("name", ["kodak", "nothing"])
def test_fetching_a_named_data_set_that_cannot_be_had_is_an_error(name):
    [line] = fetch_data([name])
    assert not line.ok and name in line.text


def test_the_packs_match_their_manifests(packs):
    bad = [line.text for line in verify_data() if not line.ok]
    assert bad == []
    absent = {line.text.split()[1].rstrip(":") for line in verify_data() if line.text.startswith("absent")}
    assert {name for name in absent if load_manifest(name).files} <= {"oxford_pets"}  # others are computed
