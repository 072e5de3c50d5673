import math

import pytest
import torch
from torch import nn

from htcv_lib.decomposer.losses import balanced_bce, mask_decay, positive_weight, weight_penalty


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Two sequences of two views of 2 x 3 pixels: 6 of the 24 pixels are occluded."""
    generator = torch.Generator().manual_seed(0)
    target = torch.zeros(2, 1, 2, 2, 3)
    target.view(-1)[[0, 5, 7, 11, 18, 23]] = 1
    return torch.randn(2, 1, 2, 2, 3, generator=generator), target


def test_the_positive_weight_is_zeros_over_ones_of_the_batch_at_hand():
    _, target = batch()
    assert positive_weight(target).item() == 18 / 6
    assert positive_weight(target[:1]).item() == 8 / 4  # the first sequence alone
    assert positive_weight(target[1:]).item() == 10 / 2


def test_the_balanced_cross_entropy_is_torchs_with_the_weight_of_the_batch():
    logits, target = batch()
    for part in (slice(0, 2), slice(0, 1), slice(1, 2)):
        ones = target[part].sum()
        weight = (target[part].numel() - ones) / ones
        expected = nn.BCEWithLogitsLoss(pos_weight=weight)(logits[part], target[part])
        torch.testing.assert_close(balanced_bce(logits[part], target[part]), expected)


def test_by_hand_one_positive_in_four_weighs_three():
    loss = balanced_bce(torch.zeros(1, 1, 1, 1, 4), torch.tensor([1.0, 0, 0, 0]).view(1, 1, 1, 1, 4))
    assert loss.item() == pytest.approx((3 + 1 + 1 + 1) * math.log(2) / 4)


def test_the_best_constant_answer_to_a_balanced_batch_is_one_half():
    _, target = batch()
    logits = torch.zeros_like(target, requires_grad=True)
    balanced_bce(logits, target).backward()
    assert logits.grad.sum().item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_batch_of_one_class_is_finite_and_still_teaches(value):
    logits = torch.zeros(1, 1, 2, 3, 4, requires_grad=True)
    loss = balanced_bce(logits, torch.full_like(logits, value))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert (logits.grad.sign() == (1 if value == 0 else -1)).all()


def test_views_of_another_shape_than_the_logits_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        balanced_bce(torch.zeros(1, 1, 2, 3, 4), torch.zeros(1, 2, 3, 4))


def test_mask_decay_is_a_sum_of_squares_or_their_mean():
    mask = torch.tensor([0.0, 0.5, 1.0, 1.0]).view(1, 1, 1, 2, 2)
    assert mask_decay(mask, 0.1).item() == pytest.approx(0.225)
    assert mask_decay(mask, 0.1, "mean").item() == pytest.approx(0.225 / 4)
    with pytest.raises(ValueError, match="sum, mean"):
        mask_decay(mask, 0.1, "none")


def test_the_weight_penalty_sums_the_squares_of_all_parameters():
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.weight, 3.0)
    nn.init.constant_(layer.bias, -1.0)
    penalty = weight_penalty(layer.parameters())
    assert penalty.item() == 19
    penalty.backward()
    assert layer.weight.grad.tolist() == [[6.0, 6.0]]
    assert weight_penalty([]).item() == 0
