import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from htcv_lib.mask_depth.scores import (
    abs_rel,
    aligned,
    boundary_f_score,
    delta_accuracy,
    depth_rmse,
    outline,
    scale_and_shift,
    score_mask_depth,
)
from htcv_lib.metrics.pictures import image_ssim

HIGHER = ("mask_iou", "mask_dice", "boundary_f", "delta1", "delta2", "delta3", "depth_ssim")
LOWER = ("mask_rmse", "depth_rmse", "abs_rel")


def test_every_image_gets_every_score_and_a_perfect_one_the_best():
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(2, 1, 20, 24)
    mask[..., 5:15, 6:16] = 1
    depth = 0.1 + 0.8 * torch.rand(2, 1, 20, 24, generator=generator)
    pred_mask, pred_depth = mask.clone(), depth.clone()
    pred_mask[1] = mask[1].roll(5, dims=-1)
    pred_depth[1] = 0.5
    scores = score_mask_depth(pred_mask, pred_depth, mask, depth)
    assert set(scores) == {*HIGHER, *LOWER}
    for name, values in scores.items():
        assert values.shape == (2,) and values.dtype == torch.float64, name
    torch.testing.assert_close(torch.stack([scores[name][0] for name in HIGHER]), torch.ones(7).double())
    assert [scores[name][0].item() for name in LOWER] == [0, 0, 0]
    assert all(scores[name][1] < 1 for name in HIGHER) and all(scores[name][1] > 0 for name in LOWER)
    torch.testing.assert_close(scores["depth_ssim"], image_ssim(pred_depth, depth).double())


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


def disc(x: float, y: float, radius: float, size: tuple[int, int] = (60, 80)) -> torch.Tensor:
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in size), indexing="ij")
    return ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).float()[None, None]


def edge_by_hand(mask: np.ndarray) -> np.ndarray:
    """A pixel is on the outline if its right, lower or lower right neighbour in the image has the other value."""
    height, width = mask.shape
    edge = np.zeros_like(mask)
    for i in range(height):
        for j in range(width):
            below, right = min(i + 1, height - 1), min(j + 1, width - 1)
            edge[i, j] = len({mask[i, j], mask[below, j], mask[i, right], mask[below, right]}) > 1
    return edge


def f_by_distances(pred: torch.Tensor, target: torch.Tensor, radius: int) -> float:
    first, second = (edge_by_hand(mask[0, 0].numpy() > 0.5) for mask in (pred, target))
    precision = (ndimage.distance_transform_edt(~second)[first] <= radius).mean()
    recall = (ndimage.distance_transform_edt(~first)[second] <= radius).mean()
    return 2 * precision * recall / (precision + recall)


def test_an_outline_is_where_a_mask_ends():
    mask = torch.zeros(1, 1, 4, 5)
    mask[..., 1:3, 1:3] = 1
    expected = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 1, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]])
    assert outline(mask > 0.5)[0, 0].int().tolist() == expected.tolist()


@pytest.mark.parametrize(("shift", "tolerance"), [(1, 0.008), (3, 0.024), (4, 0.02), (6, 0.05)])
def test_the_score_agrees_with_distances_from_scipy(shift, tolerance):
    pred, target = disc(30 + shift, 28, 14), disc(30, 28, 15)
    radius = math.ceil(tolerance * 100)  # the diagonal of 60 x 80
    assert boundary_f_score(pred, target, tolerance).item() == pytest.approx(f_by_distances(pred, target, radius))


def test_a_shift_within_the_tolerance_costs_nothing_and_a_far_one_everything():
    target = disc(30, 30, 12)
    assert boundary_f_score(disc(31, 30, 12), target).item() == 1
    assert boundary_f_score(disc(30, 30, 5), target).item() == 0


def test_every_image_of_a_batch_is_scored_alone_and_empty_masks_have_their_scores():
    empty, object_ = torch.zeros(1, 1, 60, 80), disc(30, 30, 12)
    pred = torch.cat([object_, empty, empty, object_])
    target = torch.cat([object_, empty, object_, empty])
    assert boundary_f_score(pred, target).tolist() == [1, 1, 0, 0]


TARGET = torch.tensor([0.2, 0.4, 0.5, 1.0]).view(1, 1, 2, 2)
PRED = torch.tensor([0.24, 0.2, 0.5, 0.6]).view(1, 1, 2, 2)


def test_errors_worked_by_hand():
    assert depth_rmse(PRED, TARGET).tolist() == pytest.approx([((0.0016 + 0.04 + 0 + 0.16) / 4) ** 0.5])
    assert abs_rel(PRED, TARGET).tolist() == pytest.approx([(0.2 + 0.5 + 0 + 0.4) / 4])
    # ratios 1.2, 2, 1, 1.667 against 1.25, 1.5625, 1.953
    assert [delta_accuracy(PRED, TARGET, power).item() for power in (1, 2, 3)] == [0.5, 0.5, 0.75]


def test_each_image_agrees_with_numpy():
    generator = torch.Generator().manual_seed(0)
    pred, target = (0.05 + 0.95 * torch.rand(3, 1, 6, 9, generator=generator) for _ in range(2))
    p, t = (depth.double().numpy().reshape(3, -1) for depth in (pred, target))
    ratio = np.maximum(p / t, t / p)
    assert depth_rmse(pred, target).tolist() == pytest.approx(np.sqrt(((p - t) ** 2).mean(1)))
    assert abs_rel(pred, target).tolist() == pytest.approx((abs(p - t) / t).mean(1))
    for power in (1, 2, 3):
        assert delta_accuracy(pred, target, power).tolist() == pytest.approx((ratio < 1.25**power).mean(1))


def test_a_predicted_zero_or_less_is_wrong_and_a_true_zero_is_refused():
    pred = torch.tensor([0.0, -0.3]).view(1, 1, 1, 2)
    assert delta_accuracy(pred, torch.full((1, 1, 1, 2), 0.3), 3).item() == 0
    for score in (abs_rel, delta_accuracy):
        with pytest.raises(ValueError, match="above 0"):
            score(TARGET, torch.zeros(1, 1, 2, 2))
