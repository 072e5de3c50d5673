import math

import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F

from htcv_lib.losses.masks import mask_bce_dice_loss, mask_bce_loss, mask_dice_loss


def random_case(dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    prob = 0.02 + 0.96 * torch.rand(2, 1, 5, 7, generator=generator, dtype=dtype)
    return prob, (torch.rand(2, 1, 5, 7, generator=generator) > 0.6).to(dtype)


def test_dice_loss_of_a_mask_half_found_is_one_third():
    target = torch.tensor([[[[1.0, 1.0, 0.0, 0.0]]]])
    assert mask_dice_loss(target * torch.tensor([1.0, 0, 0, 0]), target, 0.0).item() == pytest.approx(1 / 3)


def test_dice_loss_takes_probabilities_and_counts_the_whole_batch():
    prob = torch.tensor([0.5, 0.5, 0.25, 0.0]).view(2, 1, 1, 2)
    target = torch.tensor([1.0, 0.0, 0.0, 0.0]).view(2, 1, 1, 2)  # the second image is empty
    assert mask_dice_loss(prob, target, 0.0).item() == pytest.approx(1 - 2 * 0.5 / (1.25 + 1))
    assert mask_dice_loss(torch.zeros(2, 1, 1, 2), torch.zeros(2, 1, 1, 2)).item() == 0


def test_dice_loss_agrees_with_segmentation_models_pytorch():
    prob, target = random_case()
    for smooth in (0.0, 1.0):  # theirs halves everything, see the test of the other Dice
        reference = smp.losses.DiceLoss("binary", from_logits=False, smooth=smooth / 2)
        torch.testing.assert_close(mask_dice_loss(prob, target, smooth), reference(prob, target))


def test_cross_entropy_agrees_with_that_of_logits_and_a_uniform_guess_costs_log_2():
    prob, target = random_case()
    torch.testing.assert_close(mask_bce_loss(prob, target), F.binary_cross_entropy_with_logits(prob.logit(), target))
    assert mask_bce_loss(torch.full((1, 1, 2, 2), 0.5), torch.ones(1, 1, 2, 2)).item() == pytest.approx(math.log(2))


def test_certainty_about_the_wrong_thing_is_dear_but_finite_and_has_a_finite_gradient():
    prob = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).requires_grad_()
    loss = mask_bce_loss(prob, torch.tensor([1.0, 0.0]).view(1, 1, 1, 2))
    loss.backward()
    assert loss.item() == pytest.approx(-math.log(1e-6), rel=1e-4)
    assert prob.grad.isfinite().all()


def test_a_feathered_edge_is_cheapest_at_its_own_value():
    target = torch.full((1, 1, 1, 1), 0.3)
    costs = [mask_bce_loss(torch.full((1, 1, 1, 1), p), target).item() for p in (0.25, 0.3, 0.35)]
    assert costs[1] < min(costs[0], costs[2])


def test_the_terms_add_up_to_the_weighted_losses():
    prob, target = random_case()
    terms = mask_bce_dice_loss(prob, target, dice_weight=0.3)
    torch.testing.assert_close(terms["loss"], 0.7 * mask_bce_loss(prob, target) + 0.3 * mask_dice_loss(prob, target))
    torch.testing.assert_close(terms["loss"], terms["bce"] + terms["dice"])


@pytest.mark.parametrize("loss", [mask_bce_loss, mask_dice_loss])
def test_gradients_agree_with_finite_differences(loss):
    prob, target = random_case(torch.float64)
    assert torch.autograd.gradcheck(lambda p: loss(p, target), prob.requires_grad_())
