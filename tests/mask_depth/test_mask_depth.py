from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.losses.masks import mask_bce_loss, mask_dice_loss
from htcv_lib.losses.similarity import ms_ssim_loss, ssim_loss
from htcv_lib.mask_depth.losses import LOSSES, l1_ms_ssim_terms, mask_depth_loss

BINS = 6


class Pred(NamedTuple):
    mask: Tensor
    depth: Tensor
    raw: Tensor


def case(bins: int = 1, dtype=torch.float32) -> tuple[Pred, Tensor, Tensor]:
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
    return Pred(raw[:, :1].sigmoid(), depth, raw), mask, truth


def together(pred: Pred, mask: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
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
    terms = mask_depth_loss(name)(Pred(mask, depth, torch.cat([mask, depth], 1)), mask, depth)
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
    capped = l1_ms_ssim_terms(Pred(guess, far, guess), mask, depth, most=4.0)
    torch.testing.assert_close(capped["mask"], 4 * parts[0])
    even = l1_ms_ssim_terms(Pred(guess, far, guess), mask, depth, most=1e3)
    torch.testing.assert_close(even["mask"], parts[1])
    even["loss"].backward()
    plain = near.clone().requires_grad_()
    (0.16 * F.l1_loss(plain, mask) + 0.84 * ms_ssim_loss(plain, mask)).backward()
    torch.testing.assert_close(guess.grad, ratio * plain.grad)
    easy = l1_ms_ssim_terms(Pred(1 - mask, depth, depth), mask, depth)
    assert easy["depth"].item() == pytest.approx(0, abs=1e-6)  # the factor is 1 then, never less
    torch.testing.assert_close(easy["mask"], 0.16 * torch.tensor(1.0) + 0.84 * ms_ssim_loss(1 - mask, mask))


def test_the_modern_loss_has_cross_entropy_and_dice_in_its_mask_term():
    pred, mask, depth = case()
    terms = mask_depth_loss("bce_dice_silog")(pred, mask, depth)
    expected = 0.5 * mask_bce_loss(pred.mask, mask) + 0.5 * mask_dice_loss(pred.mask, mask)
    torch.testing.assert_close(terms["mask"], expected)


def test_half_precision_ends_before_the_sum():
    pred, mask, depth = case()
    half = Pred(*(part.bfloat16() for part in pred))
    for name in LOSSES:
        if name != "onehot":
            assert mask_depth_loss(name)(half, mask.bfloat16(), depth.bfloat16())["loss"].dtype == torch.float32


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="l1_sum, l1_mean, .*, bce_dice_silog, got 'l2'"):
        mask_depth_loss("l2")
