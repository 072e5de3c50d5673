import numpy as np
import pytest
import torch

from htcv_lib.mask_depth.scores import abs_rel, delta_accuracy, depth_rmse

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
