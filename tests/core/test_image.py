"""The one place of formulas of pictures: light and stored values, averages of areas, filters; pictures of strangers."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage

from htcv_lib.image import area_average, linear, open_picture, pictures_in, separable_filter, shrunk, srgb


def test_stored_values_and_bytes_become_the_light_of_the_standards_table():
    stored = torch.tensor([0.0, 0.04045, 0.5, 1.0])
    light = torch.tensor([0.0, 0.04045 / 12.92, 0.2140411, 1.0])
    torch.testing.assert_close(linear(stored), light, atol=2e-6, rtol=0)
    torch.testing.assert_close(srgb(light), stored, atol=2e-5, rtol=0)
    levels = torch.tensor([0, 10, 128, 188, 255], dtype=torch.uint8)
    light = torch.tensor([0, 10 / 255 / 12.92, 0.215861, 0.502886, 1])
    torch.testing.assert_close(linear(levels), light, atol=1e-6, rtol=0)
    torch.testing.assert_close(srgb(light), levels / 255, atol=2e-6, rtol=0)


def test_the_two_curves_undo_each_other():
    values = torch.linspace(0, 1, 4097, dtype=torch.float64)
    assert torch.allclose(srgb(linear(values)), values, atol=1e-7)
    assert torch.allclose(linear(srgb(values)), values, atol=1e-7)


def test_black_passes_the_gradient_of_the_line_and_not_infinity():
    black = torch.zeros(3, requires_grad=True)
    srgb(black).sum().backward()
    assert black.grad.tolist() == pytest.approx([12.92] * 3)


@pytest.mark.parametrize("curve", [linear, srgb])
def test_gradients_of_the_curves_are_those_of_finite_differences(curve):
    values = torch.tensor([0.001, 0.02, 0.2, 0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(curve, (values,))


def test_every_level_survives_decoding_and_encoding():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    assert torch.equal((srgb(linear(levels)) * 255).round().to(torch.uint8), levels)


def test_half_black_half_white_is_188_and_not_128():
    board = torch.tensor([[[0, 255], [255, 0]]], dtype=torch.uint8)
    assert shrunk(board, 1).tolist() == [[[188]]]


def test_partly_covered_pixels_count_in_part():
    assert area_average(torch.tensor([[0.0, 3.0, 6.0]]), (1, 2)).tolist() == [[pytest.approx(1), pytest.approx(5)]]


def test_averages_are_torchs_where_sizes_divide_and_keep_the_mean_where_they_do_not():
    picture = torch.rand(2, 3, 12, 16, dtype=torch.float64)
    torch.testing.assert_close(area_average(picture, (4, 8)), F.avg_pool2d(picture, (3, 2)))
    torch.testing.assert_close(area_average(picture, (5, 7)).mean((-2, -1)), picture.mean((-2, -1)))
    assert area_average(picture, (12, 16)) is picture


def test_pictures_are_never_enlarged():
    with pytest.raises(ValueError, match="8 x 8 pixels cannot be shown at 16 x 8"):
        shrunk(torch.zeros(3, 8, 8, dtype=torch.uint8), (16, 8))


BORDERS = {"replicate": "nearest", "symmetric": "reflect"}  # ours -> SciPy's


@pytest.mark.parametrize("border", BORDERS)
def test_a_filter_agrees_with_scipy_also_where_the_kernel_is_wider_than_the_image(border):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 4, 9, generator=generator, dtype=torch.float64)
    down, across = torch.rand(13, generator=generator), torch.rand(5, generator=generator)
    ours = separable_filter(images, down, across, border)
    kernel = torch.outer(down.double(), across.double()).numpy()
    for image, filtered in zip(images.flatten(0, 1), ours.flatten(0, 1), strict=True):
        expected = ndimage.correlate(image.numpy(), kernel, mode=BORDERS[border])
        assert torch.allclose(filtered, torch.from_numpy(expected), atol=1e-12)


def test_single_precision_images_stay_so_and_an_unknown_border_is_refused():
    kernel = torch.ones(3)
    assert separable_filter(torch.ones(1, 2, 3), kernel, kernel).dtype == torch.float32
    with pytest.raises(ValueError, match="replicate"):
        separable_filter(torch.ones(1, 2, 3), kernel, kernel, border="zeros")


def grey(values, mode: str | None = None) -> Image.Image:
    """Two pixels, the upper half and the lower of a picture."""
    made = Image.fromarray(np.repeat(np.asarray(values)[:, None], 8, axis=1).repeat(4, axis=0))
    return made.convert(mode) if mode else made


KINDS = {  # file -> (picture, how it is saved, the levels of its upper and its lower half)
    "levels.png": (grey(np.uint8([50, 200])), {}, (50, 200)),
    "one bit.png": (grey(np.uint8([0, 255]), "1"), {}, (0, 255)),
    "palette.gif": (grey(np.uint8([50, 200]), "P"), {}, (50, 200)),
    "16 bits.png": (grey(np.uint16([50 * 257, 200 * 257])), {}, (50, 200)),
    "16 bits.tif": (grey(np.uint16([50 * 257, 200 * 257])), {}, (50, 200)),
    "32 bits, small.tif": (grey(np.int32([50, 200])), {}, (50, 200)),
    "32 bits.tif": (grey(np.int32([0, 2**30])), {}, (0, 255)),
    "32 bits, below zero.tif": (grey(np.int32([-7, 200])), {}, (0, 200)),
    "float.tif": (grey(np.float32([0.2, 0.8])), {}, (51, 204)),
    "float, levels.tiff": (grey(np.float32([50, 200])), {}, (50, 200)),
    "float, no number.tif": (grey(np.float32([np.nan, 1])), {}, (0, 255)),
    "print.jpg": (grey(np.uint8([50, 200]), "CMYK"), {"quality": 100}, (50, 200)),
    "video.tif": (grey(np.uint8([50, 200]), "RGB").convert("YCbCr"), {}, (50, 200)),
    "see-through.png": (Image.merge("LA", [grey(np.uint8([50, 50])), grey(np.uint8([255, 0]))]), {}, (50, 255)),
    "see-through colour.webp": (Image.merge("RGBA", [grey(np.uint8([50, 50]))] * 3 + [grey(np.uint8([255, 0]))]),
                                {"lossless": True}, (50, 255)),
    "price $5 \U0001f63a.PNG": (grey(np.uint8([50, 200])), {}, (50, 200)),
    "moving.gif": (grey(np.uint8([50, 200])), {"save_all": True, "append_images": [grey(np.uint8([0, 0]))]}, (50, 200)),
    "turned.jpg": (grey(np.uint8([200, 50])), {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + struct.pack(
        ">HHIHHI", 0x0112, 3, 1, 3, 0, 0), "quality": 100}, (50, 200)),  # upside down
    "broken exif.jpg": (grey(np.uint8([50, 200])), {"exif": b"Exif\0\0nothing", "quality": 100}, (50, 200)),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_picture_of_any_kind_is_eight_bit_rgb_and_looks_as_it_should(name, tmp_path):
    picture, how, (upper, lower) = KINDS[name]
    picture.save(tmp_path / name, **how)
    shown = open_picture(tmp_path / name)
    halves = np.asarray(shown).reshape(2, -1).astype(float)
    assert pictures_in(tmp_path) == [tmp_path / name] and shown.mode == "RGB" and shown.size == (8, 8)
    assert np.abs(halves - [[upper], [lower]]).max() <= 2


@pytest.mark.parametrize(("name", "content", "why"), [
    ("a.heic", b"", "HEIC is not read; save it as JPEG or PNG"), ("a.CR2", b"", "CR2 is not read"),
    ("a.jpg", b"text", "cannot be read as a picture"), ("a.png", b"", "cannot be read as a picture"),
    ("a.jpg", None, "no file that can be read"), ("a.bmp", b"BM" + bytes(30), "cannot be read as a picture"),
    ("a.ppm", b"P6 40000 40000 255 ", "exceeds limit"),  # nobody's photograph has that many pixels
    ("a.tif", b"%!PS", "cannot be read as a picture"),  # no other program is started to read it
])
def test_a_picture_that_cannot_be_read_is_one_line_with_its_name(name, content, why, tmp_path):
    path = Path(tmp_path / name)
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ValueError, match=why) as error:
        open_picture(path)
    assert str(error.value).startswith(f"{name}: ") and "\n" not in str(error.value)


def test_half_a_file_is_named_and_a_large_one_is_decoded_small(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (640, 480, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    assert open_picture(tmp_path / "whole.jpg", least=100).size == (120, 160)
    (tmp_path / "half.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:9000])
    with pytest.raises(ValueError, match="half.jpg: cannot be read as a picture: .* truncated"):
        open_picture(tmp_path / "half.jpg")
