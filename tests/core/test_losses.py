import math

import pytest
import segmentation_models_pytorch as smp
import torch

from htcv_lib.losses.masks import ce_dice_loss, cross_entropy_loss, dice_loss, log_dice_loss

TARGET = torch.tensor([[[0, 0, 1, 1]]])  # (B, H, W) = (1, 1, 4)


def certain(classes: list[int], num_classes: int = 2) -> torch.Tensor:
    """Logits that put all probability on the given classes: (1, C, 1, W)."""
    return 40.0 * torch.nn.functional.one_hot(torch.tensor([[classes]]), num_classes).movedim(-1, 1).float()


def random_case(dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 6, generator=generator, dtype=dtype)
    return logits, torch.randint(0, 3, (2, 4, 6), generator=generator)


@pytest.mark.parametrize("loss", [cross_entropy_loss, dice_loss, log_dice_loss])
def test_a_perfect_map_costs_nothing(loss):
    assert loss(certain([0, 0, 1, 1]), TARGET).item() == pytest.approx(0, abs=1e-6)


def test_cross_entropy_of_a_uniform_guess_is_the_log_of_the_number_of_classes():
    assert cross_entropy_loss(torch.zeros(1, 3, 1, 4), TARGET).item() == pytest.approx(math.log(3))


def test_dice_loss_of_a_class_half_found():
    # class 0: 2 * 1 / (1 + 2) = 2/3; class 1: 2 * 2 / (3 + 2) = 4/5
    loss = dice_loss(certain([0, 1, 1, 1]), TARGET, smooth=0.0)
    assert loss.item() == pytest.approx(1 - (2 / 3 + 4 / 5) / 2, abs=1e-6)


def test_dice_loss_of_a_class_that_is_nowhere_is_zero():
    assert dice_loss(certain([0, 0, 1, 1], num_classes=3), TARGET).item() == pytest.approx(0, abs=1e-6)


def test_the_reports_dice_sees_only_the_share_of_pixels():
    # three of four pixels right: a = 3/4, and 2a / (1 + a) = 6/7, whichever class the wrong one has
    assert log_dice_loss(certain([0, 1, 1, 1]), TARGET).item() == pytest.approx(-math.log(6 / 7), abs=1e-6)
    assert log_dice_loss(certain([0, 0, 1, 0]), TARGET).item() == pytest.approx(-math.log(6 / 7), abs=1e-6)


def test_the_reports_dice_of_0_07_is_a_mean_probability_of_0_873():
    a = 0.873
    logits = torch.tensor([math.log(a), math.log(1 - a)]).view(1, 2, 1, 1).expand(1, 2, 1, 4)
    assert log_dice_loss(logits, torch.zeros(1, 1, 4, dtype=torch.int64)).item() == pytest.approx(0.07, abs=5e-4)


def test_dice_loss_agrees_with_segmentation_models_pytorch():
    logits, target = random_case()
    for smooth in (0.0, 1.0):
        # theirs adds its smoothing to a Tversky index, which is Dice with everything halved
        reference = smp.losses.DiceLoss("multiclass", from_logits=True, smooth=smooth / 2)
        torch.testing.assert_close(dice_loss(logits, target, smooth), reference(logits, target))


def test_the_terms_of_ce_dice_add_up_to_the_weighted_losses():
    logits, target = random_case()
    terms = ce_dice_loss(logits, target, dice_weight=0.3)
    torch.testing.assert_close(terms["loss"], terms["ce"] + terms["dice"])
    torch.testing.assert_close(terms["ce"], 0.7 * cross_entropy_loss(logits, target))
    torch.testing.assert_close(terms["dice"], 0.3 * dice_loss(logits, target))


@pytest.mark.parametrize("loss", [cross_entropy_loss, dice_loss, log_dice_loss,
                                  lambda logits, target: ce_dice_loss(logits, target)["loss"]])
def test_gradients_agree_with_finite_differences(loss):
    logits, target = random_case(torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits.requires_grad_())
