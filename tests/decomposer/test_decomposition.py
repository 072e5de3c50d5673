import pytest
import torch
import torch.nn.functional as F

from htcv_lib.decomposer.losses import balanced_bce, base_loss, frames_loss, joint_loss, regularised_loss, rgb_loss


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
