"""Scores of class maps, of outlines and of binary masks."""

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import sklearn.metrics
import torch
from scipy.ndimage import binary_erosion

from htcv_lib.metrics.segmentation import (
    boundary_confusion,
    boundary_iou,
    boundary_labels,
    confusion_matrix,
    dice_per_class,
    dice_score,
    iou_per_class,
    mask_dice,
    mask_iou,
    mask_rmse,
    mean_iou,
    per_image_iou,
    pixel_accuracy,
)

TARGET = torch.tensor([[0, 0, 0, 1], [1, 1, 1, 1]])
PRED = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]])  # class 0: 2 of 3 found and 1 invented; class 1: 4 of 5, 1 invented


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randint(0, 3, (4, 5, 7), generator=generator) for _ in range(2))


def test_rows_are_the_truth_and_columns_the_prediction():
    assert confusion_matrix(PRED, TARGET, 2).tolist() == [[2, 1], [1, 4]]


def test_scores_of_a_case_worked_by_hand():
    counts = confusion_matrix(PRED, TARGET, 2)
    assert pixel_accuracy(counts).item() == 6 / 8
    assert iou_per_class(counts).tolist() == pytest.approx([2 / 4, 4 / 6])
    assert mean_iou(counts).item() == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert dice_per_class(counts).tolist() == pytest.approx([4 / 6, 8 / 10])
    assert dice_score(counts).item() == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_matrices_of_batches_add_up_to_that_of_the_split(maps):
    pred, target = maps
    parts = sum(confusion_matrix(p, t, 3) for p, t in zip(pred.split(2), target.split(2), strict=True))
    assert torch.equal(parts, confusion_matrix(pred, target, 3))


def test_a_class_that_is_nowhere_has_no_score_and_leaves_the_mean_alone():
    counts = confusion_matrix(PRED, TARGET, 3)
    assert iou_per_class(counts)[2].isnan()
    assert mean_iou(counts).item() == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_a_class_only_invented_scores_zero():
    assert iou_per_class(confusion_matrix(torch.tensor([1, 0]), torch.tensor([0, 0]), 2)).tolist() == [0.5, 0.0]


def test_small_integers_do_not_overflow():
    pred = torch.full((1, 40, 40), 9, dtype=torch.uint8)
    assert confusion_matrix(pred, pred, 30)[9, 9] == 1600


def test_it_agrees_with_scikit_learn(maps):
    pred, target = maps
    counts = confusion_matrix(pred, target, 3)
    flat = target.flatten().numpy(), pred.flatten().numpy()
    assert counts.tolist() == sklearn.metrics.confusion_matrix(*flat).tolist()
    assert iou_per_class(counts).tolist() == pytest.approx(sklearn.metrics.jaccard_score(*flat, average=None).tolist())
    assert dice_per_class(counts).tolist() == pytest.approx(sklearn.metrics.f1_score(*flat, average=None).tolist())
    assert pixel_accuracy(counts).item() == pytest.approx(sklearn.metrics.accuracy_score(*flat))


def test_it_agrees_with_segmentation_models_pytorch(maps):
    pred, target = maps
    stats = smp.metrics.get_stats(pred, target, mode="multiclass", num_classes=3)  # each (B, C)
    per_image = smp.metrics.iou_score(*stats)
    torch.testing.assert_close(per_image_iou(pred, target, 3).float(), per_image)
    pooled = smp.metrics.iou_score(*(s.sum(0) for s in stats))
    torch.testing.assert_close(iou_per_class(confusion_matrix(pred, target, 3)).float(), pooled)


def test_iou_of_images_is_that_of_each_alone():
    pred, target = torch.stack([PRED, TARGET]), torch.stack([TARGET, TARGET])
    iou = per_image_iou(pred, target, 3)
    assert iou[:, :2].tolist() == [pytest.approx([1 / 2, 2 / 3]), [1.0, 1.0]]
    assert iou[:, 2].isnan().all()


def test_the_band_is_what_an_erosion_takes_away():
    labels = torch.ones(1, 6, 8, dtype=torch.int64)
    labels[0, 1:6, 1:7] = 0  # 5 x 6 pixels; eroded by one: 3 x 4
    band = boundary_labels(labels, 2)  # d = round(0.02 * 10) at least 1
    assert (band == 0).sum() == 30 - 12
    assert band[0, 2:5, 2:6].eq(2).all()


def test_an_object_at_the_edge_of_the_image_has_its_outline_there():
    band = boundary_labels(torch.zeros(1, 5, 5, dtype=torch.int64), 1)
    assert band[0].tolist() == [[0] * 5] + [[0, 1, 1, 1, 0]] * 3 + [[0] * 5]


def test_it_agrees_with_erosion_of_each_mask_by_scipy():
    generator = torch.Generator().manual_seed(2)
    coarse = torch.randint(0, 3, (2, 3, 4), generator=generator)
    labels = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)  # (2, 24, 32), diagonal 40
    bands = boundary_labels(labels, 3, dilation_ratio=0.05)  # d = 2
    for image, band in zip(labels.numpy(), bands.numpy(), strict=True):
        for c in range(3):
            eroded = binary_erosion(image == c, np.ones((3, 3)), iterations=2)
            assert np.array_equal(band == c, (image == c) & ~eroded)


def test_identical_maps_score_one_and_absent_classes_nothing():
    labels = torch.tensor([[[0, 0, 1], [0, 1, 1]]])
    iou = boundary_iou(labels, labels, 3)
    assert iou[:2].tolist() == [1.0, 1.0] and iou[2].isnan()


def test_bands_of_a_shifted_square_worked_by_hand():
    target = torch.ones(1, 6, 12, dtype=torch.int64)
    target[0, 1:5, 1:5] = 0  # 4 x 4: 12 pixels in its band, 2 x 2 inside
    pred = target.roll(1, dims=2)
    # the bands share row 1 and row 4 (3 pixels each), and (2, 4), (3, 4) against (2, 2), (3, 2) not: 6 in all
    assert boundary_iou(pred, target, 2)[0].item() == pytest.approx(6 / (12 + 12 - 6))


def test_counts_of_batches_add_up():
    generator = torch.Generator().manual_seed(3)
    pred, target = (torch.randint(0, 2, (4, 6, 9), generator=generator) for _ in range(2))
    parts = boundary_confusion(pred[:1], target[:1], 2) + boundary_confusion(pred[1:], target[1:], 2)
    assert torch.equal(parts, boundary_confusion(pred, target, 2))


def test_scores_worked_by_hand_and_one_half_is_not_covered():
    pred = torch.tensor([[0.9, 0.6, 0.5, 0.0]]).view(1, 1, 2, 2)
    target = torch.tensor([[1.0, 0.0, 1.0, 0.4]]).view(1, 1, 2, 2)
    # covered: pixels 0, 1 and 0, 2; one in both, three in either
    assert mask_iou(pred, target).tolist() == pytest.approx([1 / 3])
    assert mask_dice(pred, target).tolist() == pytest.approx([2 / 4])
    assert mask_rmse(pred, target).tolist() == pytest.approx([((0.01 + 0.36 + 0.25 + 0.16) / 4) ** 0.5])


def test_an_empty_truth_asks_for_an_empty_prediction():
    empty, full = torch.zeros(1, 1, 3, 4), torch.ones(1, 1, 3, 4)
    pred, target = torch.cat([empty, full, empty]), torch.cat([empty, empty, full])
    assert mask_iou(pred, target).tolist() == [1, 0, 0]
    assert mask_dice(pred, target).tolist() == [1, 0, 0]


def test_each_image_agrees_with_segmentation_models_pytorch():
    generator = torch.Generator().manual_seed(0)
    pred, target = (torch.rand(5, 1, 9, 12, generator=generator) for _ in range(2))
    counts = smp.metrics.get_stats(pred > 0.5, (target > 0.5).long(), mode="binary")
    torch.testing.assert_close(mask_iou(pred, target), smp.metrics.iou_score(*counts)[:, 0].double())
    torch.testing.assert_close(mask_dice(pred, target), smp.metrics.f1_score(*counts)[:, 0].double())
    torch.testing.assert_close(mask_iou(pred > 0.5, target > 0.5), mask_iou(pred, target))
