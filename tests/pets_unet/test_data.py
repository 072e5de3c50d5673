import functools
import hashlib
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from htcv_lib.data import files as decoded
from htcv_lib.data.files import locate
from htcv_lib.data.manifest import DataError, load_manifest
from htcv_lib.pets_unet import data as pets
from htcv_lib.pets_unet.data import load_pets, load_photos, trimap_classes

TRAINVAL = [f"Bengal_{i}" for i in range(1, 21)]
TEST = [f"Persian_{i}" for i in range(1, 6)]


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def official(tmp_path, archived, encoded):
    """A small archive pair of the official layout, served on this machine, and a manifest for it."""
    served = tmp_path / "served"
    names = TRAINVAL + TEST
    trimap = np.repeat(np.array([[1], [3], [2]], np.uint8), [10, 4, 10], axis=0).repeat(36, axis=1)  # (24, 36)
    images = {f"images/{name}.jpg": encoded(np.full((24, 36, 3), 10 * i, np.uint8), "JPEG")
              for i, name in enumerate(names)}
    archived(served / "images.tar.gz", {"images/Bengal_1.mat": b"not a picture"} | images, "w:gz")
    archived(served / "annotations.tar.gz", {
        "annotations/README": b"...",
        "annotations/trainval.txt": "".join(f"{name} 6 1 2\n" for name in TRAINVAL).encode(),
        "annotations/test.txt": "".join(f"{name} 24 1 9\n" for name in TEST).encode(),
        "annotations/trimaps/._Bengal_1.png": b"resource fork",
        **{f"annotations/trimaps/{name}.png": encoded(trimap, "PNG") for name in names},
    }, "w:gz")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    entry = {
        "name": "small_pets", "title": "Small", "homepage": None, "license": "CC0", "cite": "nobody",
        "files": [{"url": f"http://127.0.0.1:{server.server_port}/{name}",
                   "checksum": "md5:" + hashlib.md5((served / name).read_bytes()).hexdigest()}
                  for name in ("images.tar.gz", "annotations.tar.gz")],
        "splits": {"train": {"list": "annotations/trainval.txt", "except_every": 10, "count": 18},
                   "val": {"list": "annotations/trainval.txt", "every": 10, "count": 2},
                   "test": {"list": "annotations/test.txt", "count": 5}},
        "fields": {"image": {}, "mask": {}},
    }
    path = tmp_path / "small_pets.yaml"
    path.write_text(yaml.safe_dump(entry))
    yield path, served
    server.shutdown()
    server.server_close()


def test_the_official_layout_is_downloaded_split_and_decoded(official, own_cache):
    path, served = official
    sets = {split: load_pets(str(path), split, 12) for split in ("train", "val", "test")}
    assert {name: len(each) for name, each in sets.items()} == {"train": 18, "val": 2, "test": 5}
    assert sets["val"].names == ["Bengal_10", "Bengal_20"] and sets["test"].names == TEST
    assert sets["val"].images.shape == (2, 3, 12, 12) and sets["val"].images.dtype == torch.uint8
    assert sets["val"].images[1].float().mean().item() == pytest.approx(190, abs=2)  # its own picture, not another
    assert sets["val"].masks[0, :, 0].tolist() == [0, 0, 0, 0, 0, 2, 2, 1, 1, 1, 1, 1]
    assert (own_cache / "data" / "small_pets" / "images.tar.gz").is_file()
    for file in served.iterdir():  # the second time nothing is downloaded
        file.unlink()
    assert load_pets(str(path), "test", 8).names == TEST


def test_a_download_with_another_checksum_is_one_line_and_is_not_kept(official, own_cache):
    path, served = official
    (served / "images.tar.gz").write_bytes(b"an error page")
    found = "md5:" + hashlib.md5(b"an error page").hexdigest()
    with pytest.raises(DataError) as error:
        load_pets(str(path), "train", 8)
    text = str(error.value)
    assert "small_pets/images.tar.gz" in text and "wrong checksum, expected md5:" in text and found in text
    assert "\n" not in text
    assert list(own_cache.rglob("images.tar.gz")) == []


def test_a_list_of_another_length_than_promised_is_refused(official):
    path, _ = official
    entry = yaml.safe_load(path.read_text())
    entry["splits"]["test"]["count"] = 6
    path.write_text(yaml.safe_dump(entry))
    with pytest.raises(DataError, match="small_pets split test: expected 6 items, found 5"):
        load_pets(str(path), "test", 8)


def test_bilinear_resizing_invents_background_between_pet_and_border(encoded):
    trimap = encoded(np.array([[1, 3], [1, 3]], np.uint8), "PNG")  # pet beside border, no background anywhere
    assert trimap_classes(trimap, 6, "bilinear")[0].tolist() == [0, 0, 1, 1, 2, 2]
    assert trimap_classes(trimap, 6, "nearest")[0].tolist() == [0, 0, 0, 2, 2, 2]


def test_bilinear_masks_are_what_resize_totensor_and_truncation_give(encoded):
    from torchvision.transforms.v2.functional import resize, to_image
    trimap = np.random.default_rng(0).integers(1, 4, (30, 41)).astype(np.uint8)
    tensor = to_image(resize(Image.fromarray(trimap), [16, 16])).float() / 255
    expected = (tensor * 255 - 1).long()[0]
    assert trimap_classes(encoded(trimap, "PNG"), 16, "bilinear").tolist() == expected.tolist()


def test_a_trimap_with_a_foreign_value_is_refused(encoded):
    with pytest.raises(ValueError, match="1, 2 or 3, found 0 to 3"):
        trimap_classes(encoded(np.array([[0, 3]], np.uint8), "PNG"), 4)


def test_the_sample_loads_without_packs_and_network(monkeypatch):
    import pooch
    monkeypatch.setattr(pooch, "retrieve", lambda *_, **__: pytest.fail("used the network"))
    train = load_pets("oxford_pets_630/sample", "train", 64)
    assert train.images.shape == (198, 3, 64, 64) and train.masks.shape == (198, 64, 64)
    assert train.classes == ("pet", "background", "border")
    assert train.masks.unique().tolist() == [0, 1, 2]
    val, test = (load_pets("oxford_pets_630/sample", split, 16).names for split in ("val", "test"))
    assert len({*train.names, *val, *test}) == 198 + 22 + 100  # nothing in two splits
    assert len({name.rsplit("_", 1)[0] for name in train.names}) >= 20  # breeds


def test_the_second_load_comes_from_the_decoded_cache_and_is_the_same(monkeypatch):
    first = load_pets("oxford_pets_630/sample", "val", 16)
    monkeypatch.setattr(pets, "decode_pets", lambda *_: pytest.fail("decoded again"))
    second = load_pets("oxford_pets/sample", "val", 16)  # the same sample under its other name
    assert torch.equal(first.images, second.images) and torch.equal(first.masks, second.masks)
    assert first.names == second.names
    for other in (("test", 16, "nearest"), ("val", 24, "nearest"), ("val", 16, "bilinear")):
        with pytest.raises(pytest.fail.Exception, match="decoded again"):
            load_pets("oxford_pets/sample", *other)


def test_a_broken_decoded_cache_is_made_again(own_cache):
    make = lambda: {"x": np.arange(5)}  # noqa: E731
    decoded.cached_arrays({"kind": "test"}, make)
    [stored] = own_cache.rglob("x.npy")
    stored.write_bytes(stored.read_bytes()[:20])
    assert decoded.cached_arrays({"kind": "test"}, make)["x"].tolist() == [0, 1, 2, 3, 4]
    assert np.load(stored).tolist() == [0, 1, 2, 3, 4]
    assert list((own_cache / "decoded").glob("writing-*")) == []


def test_unknown_mask_resizing_and_split_are_refused():
    with pytest.raises(ValueError, match="mask_resize must be one of"):
        load_pets("oxford_pets_630/sample", "train", 16, "cubic")
    with pytest.raises(DataError, match="no split 'dev'"):
        load_pets("oxford_pets_630/sample", "dev", 16)


def test_subset_keeps_images_masks_and_names_together():
    val = load_pets("oxford_pets_630/sample", "val", 16)
    part = val.subset([5, 2])
    assert part.names == [val.names[5], val.names[2]] and len(part) == 2
    assert torch.equal(part.images[1], val.images[2]) and torch.equal(part.masks[0], val.masks[5])
    assert val.to("cpu").names == val.names


def test_the_sample_stays_on_its_side_of_the_packs_splits(packs):
    whole = load_manifest("oxford_pets_630")
    paths = locate(whole)
    trainval = {*pets.split_names(whole, paths, "train"), *pets.split_names(whole, paths, "val")}
    test = set(pets.split_names(whole, paths, "test"))
    sample = load_manifest("oxford_pets_630/sample")
    inside = locate(sample)
    assert {*pets.split_names(sample, inside, "train"), *pets.split_names(sample, inside, "val")} <= trainval
    assert set(pets.split_names(sample, inside, "test")) <= test
    assert (len(trainval), len(test)) == (339, 291)


def test_photos_of_any_aspect_mode_and_format_are_loaded_by_name(tmp_path):
    Image.new("RGB", (40, 20), (200, 0, 0)).save(tmp_path / "b.JPG", "JPEG")
    Image.new("L", (10, 30), 77).save(tmp_path / "a.png")
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(tmp_path / "c.webp", lossless=True)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._b.jpg").write_bytes(b"resource fork")
    photos = load_photos(tmp_path, 16)
    assert photos.names == ["a.png", "b.JPG", "c.webp"] and photos.masks is None
    assert photos.images.shape == (3, 3, 16, 16)
    assert photos.images[0].unique().tolist() == [77]
    assert photos.images[1, 0].float().mean().item() == pytest.approx(200, abs=3)
    assert photos.images[2].min() == 255  # transparent becomes white
    assert set(photos.tensors()) == {"image"}
    assert photos.subset([1]).masks is None


def test_a_photo_taken_with_the_camera_turned_is_put_upright(tmp_path):
    sideways = np.zeros((20, 40, 3), np.uint8)
    sideways[:, :20] = 255  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise: left becomes top
    Image.fromarray(sideways).save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = load_photos(tmp_path, 8).images[0].float()
    assert image[:, :3].mean() > 240 and image[:, 5:].mean() < 15


def test_a_folder_without_photos_and_a_broken_photo_are_one_line(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        load_photos(tmp_path / "nowhere", 8)
    with pytest.raises(DataError, match="no photographs in it"):
        load_photos(tmp_path, 8)
    (tmp_path / "a.jpg").write_bytes(b"not a picture")
    with pytest.raises(DataError, match="no photographs in it that can be read") as error:
        load_photos(tmp_path, 8, say=lambda line: None)
    assert "\n" not in str(error.value)


def test_pictures_that_cannot_be_read_are_named_and_the_others_are_taken(tmp_path):
    for name in ("b.png", "d.png", "e.png", "f.png"):
        Image.new("L", (8, 8), ord(name[0])).save(tmp_path / name)
    (tmp_path / "a.jpg").write_bytes(b"text")
    (tmp_path / "c.heic").write_bytes(b"a phone's")
    told = []
    photos = load_photos(tmp_path, 8, say=told.append)
    assert photos.names == ["b.png", "d.png", "e.png", "f.png"]
    assert [line.split(":")[0] for line in told] == ["a.jpg", "c.heic"] and not any("\n" in line for line in told)
    assert load_photos(tmp_path, 8, most=3, say=told.append).names == ["e.png"]  # of a, c and e
