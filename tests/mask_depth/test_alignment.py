"""Scale and shift by least squares: by hand, against numpy, and where there is no line."""

import numpy as np
import pytest
import torch

from htcv_lib.mask_depth.scores import aligned, scale_and_shift


def picture(*values):
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def test_scale_and_shift_worked_by_hand():
    # means 1 and 2; sum of products of deviations 1 + 0 + 2 = 3 over sum of squares 1 + 0 + 1 = 2; 2 - 1.5 * 1
    line = scale_and_shift(picture(0, 1, 2), picture(1, 1, 4))
    assert line.scale.tolist() == pytest.approx([1.5]) and line.shift.tolist() == pytest.approx([0.5])
    assert aligned(picture(0, 1, 2), picture(1, 1, 4)).flatten().tolist() == pytest.approx([0.5, 2.0, 3.5])


def test_any_line_of_the_truth_is_brought_back_to_it_image_by_image():
    target = torch.rand(3, 1, 5, 7, generator=torch.Generator().manual_seed(0))
    scale, shift = torch.tensor([2.0, -0.5, 0.1]).view(3, 1, 1, 1), torch.tensor([0.3, 1.0, -4.0]).view(3, 1, 1, 1)
    line = scale_and_shift(target * scale + shift, target)
    assert line.scale.tolist() == pytest.approx([0.5, -2.0, 10.0], rel=1e-4)
    assert torch.allclose(aligned(target * scale + shift, target), target, atol=1e-4)


def test_the_line_is_that_of_numpys_least_squares():
    generator = torch.Generator().manual_seed(1)
    pred, target = (torch.rand(2, 1, 6, 9, generator=generator) for _ in range(2))
    line = scale_and_shift(pred, target)
    for i in range(2):
        scale, shift = np.polyfit(pred[i].flatten().double(), target[i].flatten().double(), 1)
        assert line.scale[i].item() == pytest.approx(scale) and line.shift[i].item() == pytest.approx(shift)


def test_a_prediction_without_contrast_becomes_the_mean_of_the_target():
    line = scale_and_shift(picture(0.3, 0.3, 0.3), picture(1, 2, 6))
    assert line.scale.tolist() == [0.0] and line.shift.tolist() == pytest.approx([3.0])


def test_pixels_left_out_do_not_count_even_if_they_are_nan():
    valid = torch.tensor([True, True, True, False, False]).view(1, 1, 1, 5)
    pred, target = picture(0, 1, 2, 9, torch.nan), picture(1, 1, 4, torch.nan, 0)
    line = scale_and_shift(pred, target, valid)
    assert line.scale.tolist() == pytest.approx([1.5]) and line.shift.tolist() == pytest.approx([0.5])
    assert scale_and_shift(pred, target, valid & False).shift.isnan().all()


def test_tensors_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        scale_and_shift(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 5))
