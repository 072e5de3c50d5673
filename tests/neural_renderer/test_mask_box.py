import torch

from htcv_lib.neural_renderer.regions import visible_box


def test_the_box_ends_at_the_outer_sides_of_the_outermost_pixels():
    mask = torch.zeros(2, 1, 5, 7)
    mask[0, 0, 1, 4] = mask[0, 0, 3, 2] = 1
    assert visible_box(mask)[0].tolist() == [2, 1, 5, 4]


def test_an_empty_mask_has_no_box():
    assert visible_box(torch.zeros(1, 1, 3, 4)).isnan().all()


def test_a_full_mask_has_the_picture_as_its_box():
    assert visible_box(torch.ones(1, 1, 3, 4)).tolist() == [[0, 0, 4, 3]]
