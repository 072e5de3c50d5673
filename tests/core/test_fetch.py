import hashlib
import os
import subprocess
import sys

import pytest

from htcv_lib.data import files as fetching
from htcv_lib.data.files import check, fetch, locate, missing, verify
from htcv_lib.data.manifest import DataError, DataFile, Manifest, Split

CONTENT = b"ten bytes!"
SUM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


def manifest(url=None):
    file = DataFile("things/a.bin", SUM, len(CONTENT), url)
    return Manifest("things", "Things", None, "CC0", "nobody", (file,), {"all": Split("all", 1, {})}, {"x": {}})


def put(folder, content=CONTENT):
    path = folder / "things" / "a.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_the_readers_own_folder_comes_before_the_cache(tmp_path, own_cache, monkeypatch):
    cached, own = put(own_cache / "data"), put(tmp_path / "mine")
    assert locate(manifest()) == {"a.bin": cached}
    monkeypatch.setenv("HTCV_DATA", str(tmp_path / "mine"))
    assert locate(manifest()) == {"a.bin": own}
    own.unlink()
    assert locate(manifest()) == {"a.bin": cached}


@pytest.mark.parametrize("wrong", [b"ten bytes?", CONTENT[:4], b""], ids=["tampered", "truncated", "empty"])
def test_a_changed_file_is_one_line_with_name_expected_and_found_checksum(tmp_path, monkeypatch, wrong):
    monkeypatch.setenv("HTCV_DATA", str(tmp_path))
    path = put(tmp_path, wrong)
    for reading in (locate, fetch, verify):
        with pytest.raises(DataError) as error:
            reading(manifest("https://example.invalid/a.bin"))
        text = str(error.value)
        assert "\n" not in text
        assert str(path) in text and SUM in text and "sha256:" + hashlib.sha256(wrong).hexdigest() in text
        assert ("4 bytes instead of 10" in text) == (len(wrong) == 4)


def test_a_missing_file_without_address_is_one_line_that_says_to_set_htcv_data():
    assert [file.name for file in missing(manifest())] == ["a.bin"]
    with pytest.raises(DataError) as error:
        fetch(manifest())
    text = str(error.value)
    assert "\n" not in text and "things/a.bin" in text and SUM in text
    assert "no public address" in text and "set HTCV_DATA to the folder" in text


def test_locate_downloads_nothing(monkeypatch):
    monkeypatch.setattr(fetching, "download", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(DataError, match="htcv data fetch"):
        locate(manifest("https://example.invalid/a.bin"))


def test_an_address_that_does_not_answer_is_one_line_and_leaves_nothing(own_cache):
    with pytest.raises(DataError) as error:
        fetch(manifest("http://127.0.0.1:9/a.bin"), progress=False)
    assert "\n" not in str(error.value) and "cannot download" in str(error.value) and SUM in str(error.value)
    assert [path.name for path in own_cache.rglob("*.bin*") if not path.name.endswith(".lock")] == []


def test_a_big_file_is_read_once_until_it_changes_and_always_by_verify(tmp_path, monkeypatch):
    monkeypatch.setenv("HTCV_DATA", str(tmp_path))
    monkeypatch.setattr(fetching, "BIG", 1)
    path = put(tmp_path)
    reads = []
    real = fetching.checksum
    monkeypatch.setattr(fetching, "checksum", lambda *given: reads.append(given) or real(*given))
    locate(manifest())
    locate(manifest())
    assert len(reads) == 1
    verify(manifest())
    assert len(reads) == 2
    path.write_bytes(b"ten bytes?")
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match="wrong checksum"):
        locate(manifest())


def test_a_file_is_checked_with_the_algorithm_its_source_publishes(tmp_path):
    path = put(tmp_path)
    good = DataFile("things/a.bin", "md5:" + hashlib.md5(CONTENT).hexdigest())
    assert check(good, path) == path
    with pytest.raises(DataError, match="expected md5:0{32}, found md5:"):
        check(DataFile("things/a.bin", "md5:" + "0" * 32), path)


def test_manifests_and_fetching_do_not_import_torch():
    code = ("import sys, htcv_lib.data, htcv_lib.data.manifest, htcv_lib.data.files;"
            "print(sorted({'torch', 'requests'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
