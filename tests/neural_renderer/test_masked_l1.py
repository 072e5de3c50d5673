import pytest
import torch

from htcv_lib.neural_renderer.losses import masked_l1_loss


def test_an_error_on_the_object_counts_eleven_times_and_on_black_once():
    target = torch.full((1, 3, 2, 2), -1.0)
    target[..., 0, 0] = -0.94  # ambient light
    pred = target + 0.1
    assert masked_l1_loss(pred, target).item() == pytest.approx(0.1 * (11 + 3) / 4, rel=1e-5)
    assert masked_l1_loss(pred, target, object_weight=19).item() == pytest.approx(0.1 * (20 + 3) / 4, rel=1e-5)
    assert masked_l1_loss(pred, target, object_weight=0).item() == pytest.approx(0.1, rel=1e-5)


def test_only_the_target_says_what_the_object_is():
    black = torch.full((1, 3, 2, 2), -1.0)
    assert masked_l1_loss(black + 1, black).item() == 1
    assert masked_l1_loss(black, black).item() == 0
