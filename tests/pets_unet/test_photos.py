import numpy as np
import pytest
from PIL import Image

from htcv_lib.data.manifest import DataError
from htcv_lib.pets_unet.data import load_photos


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
    with pytest.raises(DataError, match="a.jpg: cannot be read as a picture") as error:
        load_photos(tmp_path, 8)
    assert "\n" not in str(error.value)
