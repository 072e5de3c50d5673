import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from htcv_lib.decomposer.losses import (
    balanced_bce,
    base_loss,
    charbonnier,
    distance,
    frames_loss,
    joint_loss,
    mask_decay,
    positive_weight,
    regularised_loss,
    rgb_loss,
    weight_penalty,
)
from htcv_lib.metrics.pictures import image_ssim


@pytest.fixture
def views() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 4, 14, 18, generator=generator)
    return (target + 0.2 * torch.randn(target.shape, generator=generator)).clamp(0, 1), target


def test_the_distances_are_torchs_and_one_minus_the_mean_ssim_of_every_view(views):
    pred, target = views
    per_view = [image_ssim(pred[:, :, t].double(), target[:, :, t].double()) for t in range(4)]
    expected = {"mae": F.l1_loss(pred, target), "mse": F.mse_loss(pred, target), "ssim": 1 - torch.cat(per_view).mean()}
    for name, value in expected.items():
        assert distance(name)(pred, target).item() == pytest.approx(value.item(), abs=1e-5), name
        assert distance(name)(target, target).item() == pytest.approx(0, abs=1e-6), name


@pytest.mark.parametrize("name", ["mae", "mse", "ssim"])
def test_a_distance_of_half_precision_pictures_is_a_float32_number_with_a_gradient(name, views):
    pred, target = views[0].bfloat16().requires_grad_(), views[1]
    loss = distance(name)(pred, target)
    loss.backward()
    assert loss.dtype == torch.float32 and pred.grad.isfinite().all() and pred.grad.any()


def test_one_original_is_not_silently_compared_with_every_view(views):
    pred, target = views
    with pytest.raises(ValueError, match="differ in shape"):
        distance("mae")(pred[:, :, :1], target)


def test_an_unknown_distance_is_refused():
    with pytest.raises(ValueError, match="one of mae, mse, ssim"):
        distance("l2")


def test_charbonnier_is_the_absolute_error_far_from_zero_and_a_parabola_near_it():
    def loss(error: float) -> float:
        return charbonnier(torch.tensor([error], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)).item()

    assert loss(0.3) == pytest.approx(0.3 - 1e-3, abs=2e-6)
    assert loss(1e-5) == pytest.approx(1e-10 / 2e-3, rel=1e-3)
    assert loss(0.0) == 0


def test_charbonnier_averages_where_the_weight_is_and_is_zero_without_weight():
    pred, target = torch.zeros(1, 3, 1, 1, 2), torch.zeros(1, 3, 1, 1, 2)
    pred[..., 0], pred[..., 1] = 0.5, 0.1
    weight = torch.tensor([1.0, 0.0]).view(1, 1, 1, 1, 2)
    assert charbonnier(pred, target, weight=weight).item() == pytest.approx(0.499, abs=1e-5)
    assert charbonnier(pred, target, weight=0 * weight).item() == 0


def test_gradients_of_the_smooth_distances_are_right_to_double_precision():
    generator = torch.Generator().manual_seed(1)
    pred, target = (torch.rand(1, 1, 2, 12, 13, generator=generator, dtype=torch.float64) for _ in range(2))
    pred.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distance("ssim")(x, target), pred)
    assert torch.autograd.gradcheck(lambda x: charbonnier(x, target), pred)


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


@pytest.fixture
def case() -> dict[str, torch.Tensor]:
    """Layers and views of 2 sequences of 3 views, 12 x 14 pixels, all from noise."""
    generator = torch.Generator().manual_seed(0)

    def noise(channels: int, frames: int) -> torch.Tensor:
        return torch.rand(2, channels, frames, 12, 14, generator=generator, dtype=torch.float64)

    return {"original": noise(3, 1), "true_original": noise(3, 1), "recomposed": noise(3, 3), "image": noise(3, 3),
            "mask": noise(1, 3), "occlusion": noise(3, 3)}


def picked(case: dict, *names: str) -> dict:
    return {name: case[name] for name in names}


BASE = ("original", "recomposed", "true_original", "image")


def adds_up(terms: dict) -> bool:
    return torch.allclose(terms["loss"], sum(value for name, value in terms.items() if name != "loss"))


@pytest.mark.parametrize(("metric", "compare"), [("mae", F.l1_loss), ("mse", F.mse_loss)])
def test_the_base_loss_compares_the_original_and_the_views(case, metric, compare):
    terms = base_loss(**picked(case, *BASE), metric=metric)
    torch.testing.assert_close(terms["original"], compare(case["original"], case["true_original"]))
    torch.testing.assert_close(terms["recomposition"], compare(case["recomposed"], case["image"]))
    assert sorted(terms) == ["loss", "original", "recomposition"] and adds_up(terms)


def test_the_base_loss_of_a_perfect_decomposition_is_zero(case):
    for metric in ("mae", "mse", "ssim"):
        terms = base_loss(case["true_original"], case["image"], case["true_original"], case["image"], metric)
        assert terms["loss"].item() == pytest.approx(0, abs=1e-9)


def test_the_regularised_loss_is_the_published_formula(case):
    o, m, c = (case[name].numpy() for name in ("original", "mask", "occlusion"))
    terms = regularised_loss(**case, original_weight=2, recomposition_weight=3)
    base = base_loss(**picked(case, *BASE))
    expected = {"original": 2 * base["original"].item(), "recomposition": 3 * base["recomposition"].item(),
                "mask_decay": 1e-4 * (m**2).sum(), "occlusion": -1e-3 * ((m * o - m * c) ** 2).sum() ** 0.5}
    assert {name: value.item() for name, value in terms.items() if name != "loss"} == pytest.approx(expected)
    assert adds_up(terms)


def test_the_reward_for_other_colours_has_a_finite_gradient_where_nothing_is_masked(case):
    mask = torch.zeros_like(case["mask"]).requires_grad_()
    regularised_loss(**case | {"mask": mask})["loss"].backward()
    assert mask.grad.isfinite().all()


def test_the_rgb_stage_has_only_the_terms_that_weigh_something(case):
    logits, pseudo = case["mask"].logit(), (case["mask"] > 0.7).double()
    plain = rgb_loss(case["recomposed"], case["image"], case["mask"])
    assert sorted(plain) == ["loss", "recomposition"]
    torch.testing.assert_close(plain["loss"], F.l1_loss(case["recomposed"], case["image"]))
    terms = rgb_loss(case["recomposed"], case["image"], case["mask"], logits, pseudo, 0.01, 1e-3, decay="mean")
    torch.testing.assert_close(terms["binary"], 0.01 * balanced_bce(logits, pseudo))
    torch.testing.assert_close(terms["mask_decay"], 1e-3 * case["mask"].square().mean())
    assert adds_up(terms)
    with pytest.raises(ValueError, match="pseudo mask"):
        rgb_loss(case["recomposed"], case["image"], case["mask"], binary_weight=0.01)


def test_the_joint_stage_compares_only_what_is_not_masked():
    image, relit = torch.zeros(1, 3, 1, 1, 4), torch.tensor([0.4, 0.4, 0.4, 0.4]).expand(1, 3, 1, 1, 4)
    mask = torch.tensor([0.0, 0.49, 0.5, 1.0]).view(1, 1, 1, 1, 4)
    original, truth = torch.full((1, 3, 1, 1, 4), 0.3), torch.zeros(1, 3, 1, 1, 4)
    terms = joint_loss(relit, mask, original, truth, image)
    assert terms["recomposition"].item() == pytest.approx(0.2)  # two of the four pixels
    assert terms["original"].item() == pytest.approx(0.7 * 0.3)
    assert terms["mask_decay"].item() == pytest.approx(1e-15 * (0.49**2 + 0.25 + 1))


def test_the_recomposition_of_the_joint_stage_gives_the_mask_no_gradient(case):
    mask = case["mask"].clone().requires_grad_()
    relit = case["recomposed"].clone().requires_grad_()
    terms = joint_loss(relit, mask, case["original"], case["true_original"], case["image"], decay_weight=1.0)
    terms["loss"].backward()
    torch.testing.assert_close(mask.grad, 2 * mask.detach())  # that of the decay alone
    assert ((relit.grad != 0) == (mask < 0.5)).all()


def test_frames_are_compared_with_the_views_or_their_mean_with_the_clean_picture(case):
    frames, image, original = case["recomposed"], case["image"], case["true_original"]
    torch.testing.assert_close(frames_loss(frames, image)["loss"], F.mse_loss(frames, image))
    torch.testing.assert_close(frames_loss(frames, original)["loss"], F.mse_loss(frames.mean(2), original[:, :, 0]))
    torch.testing.assert_close(frames_loss(frames, image, "mae")["loss"], F.l1_loss(frames, image))


def test_one_frame_that_carries_everything_costs_as_little_as_ten_good_ones(case):
    original = 0.5 + 0.1 * case["true_original"]
    collapsed = torch.full((2, 3, 3, 12, 14), 0.5, dtype=torch.float64)
    collapsed[:, :, 0] = 3 * original[:, :, 0] - 1.0
    assert frames_loss(collapsed, original)["loss"].item() == pytest.approx(0, abs=1e-12)
