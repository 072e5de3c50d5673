import pytest
import torch

from htcv_lib.mask_depth.losses import l1_loss, mse_loss

PRED = torch.tensor([[[[0.5, 0.0], [1.0, 0.2]]], [[[0.0, 0.0], [0.0, 0.0]]]])  # (2, 1, 2, 2)
TARGET = torch.tensor([[[[0.0, 0.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.3]]]])


def test_errors_worked_by_hand_as_a_sum_over_the_batch_and_as_a_mean():
    # absolute: 0.5 + 1 + 0.2 + 0.3; squared: 0.25 + 1 + 0.04 + 0.09; eight pixels
    assert l1_loss(PRED, TARGET, "sum").item() == pytest.approx(2.0)
    assert l1_loss(PRED, TARGET).item() == pytest.approx(2.0 / 8)
    assert mse_loss(PRED, TARGET, "sum").item() == pytest.approx(1.38)
    assert mse_loss(PRED, TARGET).item() == pytest.approx(1.38 / 8)


@pytest.mark.parametrize("loss", [l1_loss, mse_loss])
def test_a_reduction_that_leaves_a_picture_is_refused(loss):
    with pytest.raises(ValueError, match="mean or sum"):
        loss(PRED, TARGET, "none")
