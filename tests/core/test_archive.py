import io
import tarfile

import pytest

from htcv_lib.data.files import read_members, split_members, unpack
from htcv_lib.data.manifest import DataError, Manifest, Split


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
