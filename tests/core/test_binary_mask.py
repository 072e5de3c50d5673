import pytest
import segmentation_models_pytorch as smp
import torch

from htcv_lib.metrics.segmentation import mask_dice, mask_iou, mask_rmse


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
