import pytest
import segmentation_models_pytorch as smp
import sklearn.metrics
import torch

from htcv_lib.metrics.segmentation import (
    confusion_matrix,
    dice_per_class,
    dice_score,
    iou_per_class,
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
