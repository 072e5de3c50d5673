import pytest
import torch
import torch.nn.functional as F

from htcv_lib.image import area_average, linear, shrunk, srgb


def test_the_transfer_function_has_the_values_of_the_standard():
    stored = torch.tensor([0, 10, 128, 188, 255], dtype=torch.uint8)
    light = torch.tensor([0, 10 / 255 / 12.92, 0.215861, 0.502886, 1])
    torch.testing.assert_close(linear(stored), light, atol=1e-6, rtol=0)
    torch.testing.assert_close(srgb(light), stored / 255, atol=2e-6, rtol=0)


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
