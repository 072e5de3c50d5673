"""Losses of classes, of soft masks and of structural similarity."""

import math

import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from pytorch_msssim import ssim
from pytorch_msssim.ssim import _ssim
from scipy import ndimage

from htcv_lib.image import _windows, similarity_maps
from htcv_lib.losses.masks import (
    ce_dice_loss,
    cross_entropy_loss,
    dice_loss,
    log_dice_loss,
    mask_bce_dice_loss,
    mask_bce_loss,
    mask_dice_loss,
)
from htcv_lib.losses.similarity import SCALE_WEIGHTS, ms_ssim_loss, ssim_loss

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


def random_mask(dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
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


def test_dice_loss_of_a_mask_agrees_with_segmentation_models_pytorch():
    prob, target = random_mask()
    for smooth in (0.0, 1.0):  # theirs halves everything, see the test of the other Dice
        reference = smp.losses.DiceLoss("binary", from_logits=False, smooth=smooth / 2)
        torch.testing.assert_close(mask_dice_loss(prob, target, smooth), reference(prob, target))


def test_cross_entropy_agrees_with_that_of_logits_and_a_uniform_guess_costs_log_2():
    prob, target = random_mask()
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


def test_the_terms_of_bce_dice_add_up_to_the_weighted_losses():
    prob, target = random_mask()
    terms = mask_bce_dice_loss(prob, target, dice_weight=0.3)
    torch.testing.assert_close(terms["loss"], 0.7 * mask_bce_loss(prob, target) + 0.3 * mask_dice_loss(prob, target))
    torch.testing.assert_close(terms["loss"], terms["bce"] + terms["dice"])


@pytest.mark.parametrize("loss", [mask_bce_loss, mask_dice_loss])
def test_gradients_of_mask_losses_agree_with_finite_differences(loss):
    prob, target = random_mask(torch.float64)
    assert torch.autograd.gradcheck(lambda p: loss(p, target), prob.requires_grad_())


def pictures(*size: int, dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Two related pictures with structure at several scales."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(3, *size, generator=generator, dtype=dtype)
    smooth = torch.nn.functional.avg_pool2d(noise[2], 5, stride=1, padding=2)
    return 0.5 * noise[0] + 0.5 * smooth, 0.3 * noise[0] + 0.2 * noise[1] + 0.5 * smooth


def bell(window: int) -> torch.Tensor:
    values = torch.tensor([math.exp(-((k - window // 2) ** 2) / (2 * 1.5**2)) for k in range(window)])
    return values / values.sum()


def test_windows_inside_the_picture_agree_with_pytorch_msssim():
    x, y = pictures(2, 2, 30, 41)
    ours = (1 - similarity_maps(x, y, 11, "inside")[0].mean()) / 2
    assert ours.item() == pytest.approx((1 - ssim(x, y, data_range=1.0).item()) / 2, abs=1e-6)


def test_the_loss_mirrors_the_borders_as_kornia_does():
    x, y = (image.double() for image in pictures(1, 1, 14, 19))
    kernel = bell(11).double().numpy()

    def blurred(image: torch.Tensor) -> torch.Tensor:  # SciPy's "mirror" does not repeat the outermost pixel
        rows = ndimage.correlate1d(image[0, 0].numpy(), kernel, axis=0, mode="mirror")
        return torch.from_numpy(ndimage.correlate1d(rows, kernel, axis=1, mode="mirror"))

    mx, my = blurred(x), blurred(y)
    vx, vy, cov = blurred(x * x) - mx**2, blurred(y * y) - my**2, blurred(x * y) - mx * my
    expected = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    assert ssim_loss(x, y).item() == pytest.approx((1 - expected.mean().item()) / 2, abs=1e-7)


def test_equal_pictures_cost_nothing_and_flat_ones_differ_in_luminance_alone():
    x, _ = pictures(2, 1, 48, 33)
    assert ssim_loss(x, x).item() == pytest.approx(0, abs=1e-6)
    assert ms_ssim_loss(x, x).item() == pytest.approx(0, abs=1e-6)
    low, high = (torch.full((1, 1, 12, 12), value, dtype=torch.float64) for value in (0.2, 0.6))
    luminance = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim_loss(low, high).item() == pytest.approx((1 - luminance) / 2, abs=1e-12)


@pytest.mark.parametrize(("size", "scales"), [((64, 96), 2), ((84, 90), 3), ((44, 30), 1)])
def test_several_scales_agree_with_the_product_of_pytorch_msssims_factors(size, scales):
    # a window of 21 fits 64 -> 32, 84 -> 42 -> 21, and 30 only once
    x, y = pictures(2, 2, *size)
    weights = torch.tensor(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    expected, window = 1.0, bell(21).expand(2, 1, 1, 21)
    a, b = x, y
    for scale, weight in enumerate(weights):
        whole, contrast = _ssim(a, b, 1.0, window)
        expected = expected * ((1 + (whole if scale == scales - 1 else contrast)) / 2) ** weight
        a, b = (torch.nn.functional.avg_pool2d(image, 2) for image in (a, b))
    assert ms_ssim_loss(x, y).item() == pytest.approx((1 - expected.mean().item()) / 2, abs=1e-5)


def test_five_scales_at_80_pixels_shrink_the_window_and_too_many_are_refused():
    x, y = pictures(1, 1, 80, 80)
    assert 0 < ms_ssim_loss(x, y, scales=5).item() < 0.5
    assert ms_ssim_loss(x, y, scales=2).item() == ms_ssim_loss(x, y).item()
    for wrong in ({"scales": 6}, {"scales": 0}, {"window": 81}):
        with pytest.raises(ValueError, match="do not fit"):
            ms_ssim_loss(x, y, **wrong)


def test_an_anticorrelated_picture_has_a_finite_gradient_at_every_scale():
    x = pictures(1, 1, 64, 64)[0].requires_grad_()
    ms_ssim_loss(x, 1 - x.detach()).backward()
    assert x.grad.isfinite().all() and x.grad.abs().max() > 0


@pytest.mark.parametrize("loss", [lambda x, y: ssim_loss(x, y, window=5), lambda x, y: ms_ssim_loss(x, y, window=5)])
def test_gradients_of_similarity_losses_agree_with_finite_differences(loss):
    x, y = pictures(1, 1, 11, 13, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda image: loss(image, y), x.requires_grad_())


def test_autocast_does_not_round_the_products():
    x, y = pictures(1, 1, 32, 32)
    plain = ssim_loss(x, y).item()
    with torch.autocast("cpu", torch.bfloat16):
        assert ssim_loss(x, y).item() == plain


def test_a_window_first_used_without_gradients_serves_a_training_afterwards():
    _windows.cache_clear()
    x, y = pictures(1, 1, 16, 16)
    with torch.inference_mode():
        before = ssim_loss(x, y).item()
    loss = ssim_loss(x.requires_grad_(), y)
    loss.backward()
    assert loss.item() == before and x.grad.abs().max() > 0


def test_pictures_smaller_than_the_window_and_even_windows_are_refused():
    small = torch.rand(1, 1, 5, 20)
    with pytest.raises(ValueError, match="does not fit"):
        ssim_loss(small, small)
    with pytest.raises(ValueError, match="odd"):
        ssim_loss(small, small, window=4)
