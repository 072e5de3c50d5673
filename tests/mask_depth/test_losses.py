import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from htcv_lib.losses.masks import mask_bce_loss, mask_dice_loss
from htcv_lib.losses.similarity import ms_ssim_loss, ssim_loss
from htcv_lib.mask_depth.losses import (
    LOSSES,
    depth_bin_loss,
    focal_depth_loss,
    gradient_matching_loss,
    l1_loss,
    l1_ms_ssim_terms,
    mask_depth_loss,
    mse_loss,
    quantise_depth,
    silog_gradient_loss,
    silog_loss,
)
from htcv_lib.mask_depth.output import MaskDepth

BINS = 6


def case(bins: int = 1, dtype=torch.float32) -> tuple[MaskDepth, Tensor, Tensor]:
    """A prediction from raw numbers that need a gradient, a hard mask and a depth: 2 pictures of 24 x 32."""
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(2, 1 + bins, 24, 32, generator=generator).to(dtype).requires_grad_()
    if bins == 1:
        depth = raw[:, 1:].sigmoid()
    else:
        centres = (torch.arange(bins) + 0.5) / bins
        depth = (raw[:, 1:].softmax(1) * centres.to(dtype).view(-1, 1, 1)).sum(1, keepdim=True)
    mask = (torch.rand(2, 1, 24, 32, generator=generator) > 0.7).float()
    truth = 0.05 + 0.95 * torch.rand(2, 1, 24, 32, generator=generator)
    return MaskDepth(raw[:, :1].sigmoid(), depth, raw), mask, truth


def together(pred: MaskDepth, mask: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
    """The report's two-channel tensors."""
    return torch.cat([pred.mask, pred.depth], 1), torch.cat([mask, depth], 1)


@pytest.mark.parametrize("name", LOSSES)
def test_the_two_terms_add_up_and_every_channel_gets_a_gradient(name):
    pred, mask, depth = case(BINS)
    terms = mask_depth_loss(name)(pred, mask, depth)
    assert sorted(terms) == ["depth", "loss", "mask"]
    assert terms["mask"] > 0 and terms["depth"] > 0
    torch.testing.assert_close(terms["loss"], terms["mask"] + terms["depth"])
    terms["loss"].backward()
    assert (pred.raw.grad.abs().amax(dim=(0, 2, 3)) > 0).all()


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "onehot"])
def test_a_perfect_prediction_costs_nothing(name):
    _, mask, depth = case()
    terms = mask_depth_loss(name)(MaskDepth(mask, depth, torch.cat([mask, depth], 1)), mask, depth)
    assert terms["loss"].item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("name", "loss", "reduction"), [
    ("l1_sum", F.l1_loss, "sum"), ("l1_mean", F.l1_loss, "mean"),
    ("mse_sum", F.mse_loss, "sum"), ("mse_mean", F.mse_loss, "mean")])
def test_pixel_errors_are_those_of_the_two_channel_target(name, loss, reduction):
    pred, mask, depth = case()
    expected = loss(*together(pred, mask, depth), reduction=reduction)
    torch.testing.assert_close(mask_depth_loss(name)(pred, mask, depth)["loss"], expected)


def test_ssim_alone_is_that_of_the_two_channel_target_and_the_mixed_losses_add_whole_terms():
    pred, mask, depth = case()
    alone = mask_depth_loss("ssim")(pred, mask, depth)
    torch.testing.assert_close(alone["loss"], ssim_loss(*together(pred, mask, depth)))
    mixed = mask_depth_loss("mse_ssim")(pred, mask, depth)
    torch.testing.assert_close(mixed["mask"], F.mse_loss(pred.mask, mask))
    torch.testing.assert_close(mixed["depth"], ssim_loss(pred.depth, depth))
    torch.testing.assert_close(mask_depth_loss("dice_ssim")(pred, mask, depth)["mask"],
                               mask_dice_loss(pred.mask, mask))


def test_one_hot_reads_the_logits_of_the_bins_and_needs_some():
    pred, mask, depth = case(BINS)
    bins = (depth[:, 0] * BINS).long().clamp_max(BINS - 1)
    expected = -pred.raw[:, 1:].log_softmax(1).gather(1, bins.unsqueeze(1)).mean()
    torch.testing.assert_close(mask_depth_loss("onehot")(pred, mask, depth)["depth"], expected)
    with pytest.raises(ValueError, match="depth bins"):
        mask_depth_loss("onehot")(*case())


def test_the_authors_factor_raises_the_masks_loss_to_the_depths_and_carries_no_gradient():
    _, mask, depth = case()
    near, far = 0.9 * mask + 0.05, 1 - depth
    parts = [0.16 * F.l1_loss(guess, truth) + 0.84 * ms_ssim_loss(guess, truth)
             for guess, truth in ((near, mask), (far, depth))]
    ratio = (parts[1] / parts[0]).item()
    assert ratio > 5
    guess = near.clone().requires_grad_()
    capped = l1_ms_ssim_terms(MaskDepth(guess, far, guess), mask, depth, most=4.0)
    torch.testing.assert_close(capped["mask"], 4 * parts[0])
    even = l1_ms_ssim_terms(MaskDepth(guess, far, guess), mask, depth, most=1e3)
    torch.testing.assert_close(even["mask"], parts[1])
    even["loss"].backward()
    plain = near.clone().requires_grad_()
    (0.16 * F.l1_loss(plain, mask) + 0.84 * ms_ssim_loss(plain, mask)).backward()
    torch.testing.assert_close(guess.grad, ratio * plain.grad)
    easy = l1_ms_ssim_terms(MaskDepth(1 - mask, depth, depth), mask, depth)
    assert easy["depth"].item() == pytest.approx(0, abs=1e-6)  # the factor is 1 then, never less
    torch.testing.assert_close(easy["mask"], 0.16 * torch.tensor(1.0) + 0.84 * ms_ssim_loss(1 - mask, mask))


def test_the_modern_loss_has_cross_entropy_and_dice_in_its_mask_term():
    pred, mask, depth = case()
    terms = mask_depth_loss("bce_dice_silog")(pred, mask, depth)
    expected = 0.5 * mask_bce_loss(pred.mask, mask) + 0.5 * mask_dice_loss(pred.mask, mask)
    torch.testing.assert_close(terms["mask"], expected)


def test_half_precision_ends_before_the_sum():
    pred, mask, depth = case()
    half = MaskDepth(*(part.bfloat16() for part in pred))
    for name in LOSSES:
        if name != "onehot":
            assert mask_depth_loss(name)(half, mask.bfloat16(), depth.bfloat16())["loss"].dtype == torch.float32


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="l1_sum, l1_mean, .*, bce_dice_silog, got 'l2'"):
        mask_depth_loss("l2")


def test_bins_are_equal_and_the_last_holds_one():
    depth = torch.tensor([0.0, 0.24, 0.25, 0.74, 0.75, 1.0]).view(1, 1, 2, 3)
    assert quantise_depth(depth, 4).flatten().tolist() == [0, 0, 1, 2, 3, 3]
    assert quantise_depth(depth).shape == (1, 2, 3)
    assert quantise_depth(depth).flatten().tolist() == [0, 15, 16, 47, 48, 63]


def test_a_depth_is_within_half_a_bin_of_the_centre_of_its_own():
    depth = torch.rand(1, 1, 9, 11, generator=torch.Generator().manual_seed(0))
    for bins in (7, 64, 255):
        centre = (quantise_depth(depth, bins) + 0.5) / bins
        assert (centre - depth[:, 0]).abs().max() <= 0.5 / bins + 1e-6


def test_cross_entropy_of_the_bin_worked_by_hand():
    depth = torch.tensor([0.1, 0.9]).view(1, 1, 1, 2)  # bins 0 and 2 of 3
    prob = torch.tensor([[0.5, 0.1], [0.3, 0.2], [0.2, 0.7]]).view(1, 3, 1, 2)
    assert depth_bin_loss(prob.log(), depth).item() == pytest.approx(-(math.log(0.5) + math.log(0.7)) / 2)
    assert depth_bin_loss(torch.zeros(1, 64, 1, 2), depth).item() == pytest.approx(math.log(64))


def test_a_depth_without_its_channel_is_refused():
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        quantise_depth(torch.rand(2, 4, 4))


def test_with_a_truth_of_zeros_and_ones_the_focal_one_is_the_focal_loss_of_torchvision():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 4, 5, generator=generator)
    target = (torch.rand(2, 1, 4, 5, generator=generator) > 0.5).float()
    for gamma in (0.0, 2.0):
        reference = sigmoid_focal_loss(logits, target, alpha=-1, gamma=gamma, reduction="mean")
        torch.testing.assert_close(focal_depth_loss(logits.sigmoid(), target, gamma), reference)


def test_between_them_the_focal_one_is_cross_entropy_weighted_by_the_squared_error_and_zero_at_equality():
    pred, depth = torch.full((1, 1, 1, 1), 0.5), torch.full((1, 1, 1, 1), 0.2)
    assert focal_depth_loss(pred, depth).item() == pytest.approx(0.3**2 * math.log(2))
    assert focal_depth_loss(depth, depth).item() == 0


def test_gradients_of_the_focal_loss_agree_with_finite_differences():
    generator = torch.Generator().manual_seed(0)
    depth = torch.rand(1, 1, 3, 4, generator=generator, dtype=torch.float64)
    pred = (0.1 + 0.8 * torch.rand(1, 1, 3, 4, generator=generator, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: focal_depth_loss(x, depth), pred)


def random_case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(0.1 + 0.9 * torch.rand(2, 1, 10, 13, generator=generator, dtype=torch.float64) for _ in range(2))


def test_scale_invariant_loss_worked_by_hand():
    target = torch.ones(1, 1, 1, 2)
    pred = torch.tensor([math.exp(0.3), math.exp(-0.1)]).view(1, 1, 1, 2)
    # d = 0.3, -0.1: mean of squares 0.05, mean 0.1
    assert silog_loss(pred, target, floor=0.0).item() == pytest.approx(0.05 - 0.5 * 0.01, abs=1e-6)
    assert silog_loss(pred, target, scale_weight=0.0, floor=0.0).item() == pytest.approx(0.05, abs=1e-6)


def test_a_factor_common_to_each_image_is_forgiven_wholly_or_by_half():
    _, target = random_case()
    pred = target * torch.tensor([2.0, 0.5], dtype=torch.float64).view(2, 1, 1, 1)
    assert silog_loss(pred, target, scale_weight=1.0, floor=0.0).item() == pytest.approx(0, abs=1e-12)
    assert silog_loss(pred, target, floor=0.0).item() == pytest.approx(0.5 * math.log(2) ** 2)


def test_the_scale_invariant_loss_agrees_with_the_papers_sum_over_pairs_of_pixels():
    # equation 2 of the paper: with lambda 1 it is half the mean squared difference of all pairs
    pred, target = (depth[:1, :, :3, :4] for depth in random_case())
    d = np.log(pred.numpy()).ravel() - np.log(target.numpy()).ravel()
    pairs = ((d[:, None] - d[None, :]) ** 2).mean() / 2
    assert silog_loss(pred, target, scale_weight=1.0, floor=0.0).item() == pytest.approx(pairs)


def test_a_predicted_zero_costs_a_finite_amount_and_is_pushed_up():
    pred = torch.tensor([0.0, 0.5]).view(1, 1, 1, 2).requires_grad_()
    loss = silog_loss(pred, torch.full((1, 1, 1, 2), 0.5))
    loss.backward()
    d = math.log(0.001 / 0.501)
    assert loss.item() == pytest.approx(d**2 / 2 - 0.5 * (d / 2) ** 2, rel=1e-4)
    assert pred.grad[0, 0, 0, 0] < 0


def test_gradient_matching_of_a_ramp_and_a_step_worked_by_hand():
    ramp = 0.1 * torch.arange(9.0).expand(1, 1, 9, 9)
    # across: 0.1 between neighbours, 0.2 and 0.4 at the coarser scales; down: nothing
    assert gradient_matching_loss(ramp, scales=3).item() == pytest.approx(0.7, abs=1e-6)
    step = torch.zeros(1, 1, 4, 5)
    step[..., 2:] = 1.0  # between columns 1 and 2: one of four pairs
    assert gradient_matching_loss(step, scales=1).item() == pytest.approx(0.25)
    assert gradient_matching_loss(step, scales=2).item() == pytest.approx(0.25 + 0.5)  # columns 0, 2, 4


def test_gradient_matching_forgives_a_constant_and_refuses_what_is_too_small():
    assert gradient_matching_loss(torch.full((1, 1, 9, 12), 0.3)).item() == 0
    with pytest.raises(ValueError, match="sides above 8"):
        gradient_matching_loss(torch.zeros(1, 1, 8, 12))


def test_the_terms_add_up_and_a_perfect_depth_costs_nothing():
    pred, target = random_case()
    terms = silog_gradient_loss(pred, target)
    logs = torch.log(pred + 1e-3) - torch.log(target + 1e-3)
    torch.testing.assert_close(terms["loss"], silog_loss(pred, target) + 0.5 * gradient_matching_loss(logs))
    torch.testing.assert_close(terms["loss"], terms["silog"] + terms["gradient"])
    assert silog_gradient_loss(target, target)["loss"].item() == 0


def test_gradients_of_the_logarithmic_losses_agree_with_finite_differences():
    pred, target = random_case()
    assert torch.autograd.gradcheck(lambda x: silog_gradient_loss(x, target)["loss"], pred.requires_grad_())


PRED = torch.tensor([[[[0.5, 0.0], [1.0, 0.2]]], [[[0.0, 0.0], [0.0, 0.0]]]])  # (2, 1, 2, 2)
TARGET = torch.tensor([[[[0.0, 0.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.3]]]])


def test_absolute_and_squared_errors_worked_by_hand_as_a_sum_over_the_batch_and_as_a_mean():
    # absolute: 0.5 + 1 + 0.2 + 0.3; squared: 0.25 + 1 + 0.04 + 0.09; eight pixels
    assert l1_loss(PRED, TARGET, "sum").item() == pytest.approx(2.0)
    assert l1_loss(PRED, TARGET).item() == pytest.approx(2.0 / 8)
    assert mse_loss(PRED, TARGET, "sum").item() == pytest.approx(1.38)
    assert mse_loss(PRED, TARGET).item() == pytest.approx(1.38 / 8)


@pytest.mark.parametrize("loss", [l1_loss, mse_loss])
def test_a_reduction_that_leaves_a_picture_is_refused(loss):
    with pytest.raises(ValueError, match="mean or sum"):
        loss(PRED, TARGET, "none")
