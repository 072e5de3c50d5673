"""Objectives of the decomposition on layers that are known, and small."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from htcv_lib.decomposer.heads import decomposer_network, freeze_for
from htcv_lib.decomposer.layers import SetDecomposition
from htcv_lib.decomposer.losses import base_loss
from htcv_lib.decomposer.objective import (
    decomposition_objective,
    frames_objective,
    joint_objective,
    lighting_objective,
    mask_objective,
    original_objective,
    regularised_objective,
    rgb_objective,
    set_objective,
    stage_objective,
)

LOGIT = 4.0


class Layers(NamedTuple):
    """What a network of the chapters returns, with a composition of its own."""

    original: Tensor
    light: Tensor
    shadow: Tensor
    occlusion: Tensor
    mask: Tensor
    mask_logits: Tensor | None = None

    def relit(self, order="light_last"):
        lit = {"light_last": (1, 0), "light_first": (1, 1)}[order]
        return self.original * self.shadow + self.light * (self.shadow if lit[1] else 1)

    def recompose(self, hard=True, threshold=0.5, order="light_last"):
        weight = (self.mask >= threshold).float() if hard else self.mask
        return self.relit(order) * (1 - weight) + self.occlusion * weight


class Fixed(nn.Module):
    """Returns constant layers with gradients, whatever it is shown, and notes which heads were asked for."""

    def __init__(self, original=0.5, light=0.1, shadow=0.8, occlusion=0.9, logit=-LOGIT):
        super().__init__()
        values = {"original": original, "light": light, "shadow": shadow, "occlusion": occlusion, "logit": logit}
        self.layers = nn.ParameterDict({name: nn.Parameter(torch.tensor(v)) for name, v in values.items()})
        self.asked = []

    def forward(self, image, heads=("original", "lighting", "occlusion")):
        self.asked.append(tuple(heads))
        one, three = torch.ones_like(image[:, :1]), torch.ones_like(image)
        logits = self.layers["logit"] * one
        every = {"original": self.layers["original"] * three[:, :, :1], "light": self.layers["light"] * one,
                 "shadow": self.layers["shadow"] * one, "occlusion": self.layers["occlusion"] * three,
                 "mask": logits.sigmoid(), "mask_logits": logits}
        part = {"original": "original", "light": "lighting", "shadow": "lighting"}
        return Layers(**{name: value if part.get(name, "occlusion") in heads else None
                         for name, value in every.items()})


def batch(size=(2, 3, 2, 4, 6)):
    """Views of 0.6, a clean picture of 0.7, a relit pseudo-label of 0.4, the left half of the first view occluded."""
    image = torch.full(size, 0.6)
    pseudo_mask = torch.zeros_like(image[:, :1])
    pseudo_mask[:, :, 0, :, :3] = 1
    return {"image": image, "original": torch.full_like(image[:, :, :1], 0.7), "pseudo_mask": pseudo_mask,
            "pseudo_relit": torch.full(size, 0.4)}


def number(terms, name="loss"):
    return terms[name].item()


def gradient(objective, model, name, **settings):
    value = objective(model, batch(), **settings)["loss"]
    return torch.autograd.grad(value, model.layers[name], allow_unused=True)[0]


def test_the_base_objective_is_the_error_of_the_clean_picture_and_of_the_recomposition():
    terms = decomposition_objective(Fixed(), batch())
    assert number(terms, "original") == pytest.approx(0.2)  # 0.5 for 0.7
    assert number(terms, "recomposition") == pytest.approx(0.1)  # 0.5 * 0.8 + 0.1 for 0.6
    assert number(terms) == pytest.approx(0.3)
    squared = decomposition_objective(Fixed(), batch(), metric="mse")
    assert number(squared) == pytest.approx(0.04 + 0.01)


def test_the_order_of_light_and_shadow_is_the_caller_s():
    terms = decomposition_objective(Fixed(), batch(), order="light_first")
    assert number(terms, "recomposition") == pytest.approx(0.6 - (0.5 + 0.1) * 0.8)


def test_a_hard_mask_gets_no_gradient_and_a_soft_one_does():
    assert not gradient(decomposition_objective, Fixed(), "logit")
    assert gradient(decomposition_objective, Fixed(), "logit", soft=True) != 0


def test_the_sum_of_squared_weights_is_added_under_its_own_name():
    model = Fixed()
    terms = decomposition_objective(model, batch(), weight_decay_sum=0.01)
    squares = sum(param.item() ** 2 for param in model.parameters())
    assert number(terms, "weights") == pytest.approx(0.01 * squares)
    assert number(terms) == pytest.approx(0.3 + 0.01 * squares)


def test_the_regularised_objective_adds_the_decay_of_the_mask_to_the_base_loss():
    terms = regularised_objective(Fixed(logit=0.0), batch(), decay_weight=0.5, occlusion_weight=0.0, decay="mean")
    assert number(terms, "mask_decay") == pytest.approx(0.5 * 0.25)
    assert number(terms, "recomposition") == pytest.approx(0.3)  # from 0.5 on the mask shows 0.9


class Frames(nn.Module):
    """Draws a first picture that carries everything, and grey ones."""

    def forward(self, image):
        frames = torch.full_like(image, 0.5)
        frames[:, :, 0] = 0.9
        return frames


def test_the_mean_of_all_frames_counts_for_the_clean_picture_and_each_of_them_for_an_autoencoder():
    assert number(frames_objective(Frames(), batch())) == pytest.approx(0.0, abs=1e-12)  # mean of 0.9 and 0.5
    each = frames_objective(Frames(), batch(), target="image", metric="mae")
    assert number(each) == pytest.approx((0.3 + 0.1) / 2)
    with pytest.raises(ValueError, match="original or image"):
        frames_objective(Frames(), batch(), target="views")


def test_the_stages_look_only_at_the_heads_they_need():
    wanted = {"original": [("original",)], "lighting": [("lighting",)], "mask": [("occlusion",)],
              "joint": [("original", "lighting", "occlusion")]}
    for stage, heads in wanted.items():
        model = Fixed()
        stage_objective(stage)(model, batch())
        assert model.asked == heads
    for settings, heads in (({}, 1), ({"version": 2, "source": "true"}, 2), ({"version": 2}, 3)):
        model = Fixed()
        rgb_objective(model, batch(), **settings)
        assert len(model.asked[0]) == heads


def test_the_original_stage_is_the_error_of_the_clean_picture():
    assert number(original_objective(Fixed(), batch())) == pytest.approx(0.2)


def test_the_lighting_stage_lights_the_true_picture_and_aims_at_the_pseudo_label():
    assert number(lighting_objective(Fixed(), batch())) == pytest.approx(0.7 * 0.8 + 0.1 - 0.4)
    assert number(lighting_objective(Fixed(), batch(), order="light_first")) == pytest.approx(0.8 * 0.8 - 0.4)
    assert gradient(lighting_objective, Fixed(), "original") is None


def test_the_mask_stage_weighs_occluded_pixels_by_their_rarity_in_the_batch():
    wrong = torch.nn.functional.softplus(torch.tensor(LOGIT)).item()  # of a positive called -4
    right = torch.nn.functional.softplus(torch.tensor(-LOGIT)).item()
    # a quarter of the pixels is positive: weight 3
    assert number(mask_objective(Fixed(), batch())) == pytest.approx(0.25 * 3 * wrong + 0.75 * right, rel=1e-5)
    plain = mask_objective(Fixed(), batch(), weighted=False)
    assert number(plain) == pytest.approx(0.25 * wrong + 0.75 * right, rel=1e-5)


@pytest.mark.parametrize(("settings", "behind"), [
    ({"version": 1}, 0.4), ({"version": 2}, 0.5), ({"version": 2, "source": "true"}, 0.7 * 0.8 + 0.1),
    ({"version": 2, "order": "light_first"}, 0.48), ({"version": 2, "source": "true", "order": "light_first"}, 0.64)])
def test_the_versions_of_the_rgb_stage_differ_in_what_lies_under_the_mask(settings, behind):
    assert number(rgb_objective(Fixed(), batch(), **settings)) == pytest.approx(abs(0.6 - behind), abs=1e-6)
    everywhere = rgb_objective(Fixed(logit=LOGIT), batch(), **settings)
    assert number(everywhere) == pytest.approx(0.3)  # the colour alone
    share = torch.tensor(0.0).sigmoid().item()
    mixed = rgb_objective(Fixed(logit=0.0), batch(), soft=True, **settings)
    assert number(mixed) == pytest.approx(abs(0.6 - (1 - share) * behind - share * 0.9), abs=1e-6)


@pytest.mark.parametrize("settings", [{}, {"binary_weight": 0.01}, {"decay_weight": 0.1, "decay": "mean"}])
def test_under_a_cut_both_versions_train_alike_and_mixed_they_do_not(settings):
    torch.manual_seed(0)
    model = decomposer_network("decomposer", 8, drop_path=0.0, depths=(1, 1, 1, 1))
    freeze_for(model, "rgb")
    views, original, relit = torch.rand(1, 3, 10, 32, 32), torch.rand(1, 3, 1, 32, 32), torch.rand(1, 3, 10, 32, 32)
    seen = {"image": views, "original": original, "pseudo_relit": relit, "pseudo_mask": (views[:, :1] > 0.7).float()}
    middle = model(views).mask.median().item()  # half of the mask is cut away

    def gradients(**more):
        model.zero_grad()
        rgb_objective(model, seen, threshold=middle, **settings, **more)["loss"].backward()
        return [param.grad.clone() for param in model.parameters() if param.grad is not None]

    for soft in (False, True):
        one, two = gradients(version=1, soft=soft), gradients(version=2, soft=soft)
        assert len(one) == len(two) > 0 and any(grad.abs().max() > 0 for grad in one)
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True)) is not soft


def test_the_rgb_stage_cuts_at_nine_tenths_unless_told_otherwise():
    eight_tenths = Fixed(logit=1.386)
    assert number(rgb_objective(eight_tenths, batch())) == pytest.approx(0.2)
    assert number(rgb_objective(eight_tenths, batch(), threshold=0.5)) == pytest.approx(0.3)


def test_plain_the_mask_of_the_rgb_stage_learns_nothing_and_either_regularisation_moves_it():
    assert not gradient(rgb_objective, Fixed(logit=0.0), "logit")
    assert gradient(rgb_objective, Fixed(logit=0.0), "logit", decay_weight=1e-4) > 0  # down
    assert gradient(rgb_objective, Fixed(logit=-LOGIT), "logit", binary_weight=0.01) < 0  # up, to find the few
    terms = rgb_objective(Fixed(logit=0.0), batch(), binary_weight=0.01, decay_weight=1e-4)
    assert number(terms, "mask_decay") == pytest.approx(1e-4 * 0.25 * batch()["pseudo_mask"].numel())
    parts = sum(number(terms, name) for name in ("recomposition", "binary", "mask_decay"))
    assert number(terms) == pytest.approx(parts)


def test_the_joint_stage_pays_nothing_under_the_mask_whatever_its_colour():
    terms = joint_objective(Fixed(), batch(), source="predicted")
    assert number(terms, "recomposition") == pytest.approx(0.1) and number(terms, "original") == pytest.approx(0.14)
    of_true = joint_objective(Fixed(), batch())
    assert number(of_true, "recomposition") == pytest.approx(0.7 * 0.8 + 0.1 - 0.6)
    hidden = joint_objective(Fixed(logit=LOGIT), batch())
    assert number(hidden, "recomposition") == 0
    assert gradient(joint_objective, Fixed(), "occlusion") is None


def test_settings_of_a_stage_reach_its_objective_and_unknown_names_are_refused():
    assert number(stage_objective("original", metric="mse")(Fixed(), batch())) == pytest.approx(0.04)
    with pytest.raises(ValueError, match="a stage is one of original, lighting, mask, rgb, joint, got 'gt'"):
        stage_objective("gt")
    with pytest.raises(ValueError, match="version is 1 or 2"):
        rgb_objective(Fixed(), batch(), version=3)
    with pytest.raises(ValueError, match="source predicted or true"):
        rgb_objective(Fixed(), batch(), version=2, source="pseudo")


def test_terms_are_float32_though_the_network_computes_in_bfloat16():
    model = Fixed()
    half = {name: value.bfloat16() for name, value in model(batch()["image"])._asdict().items()}
    terms = decomposition_objective(lambda image: Layers(**half), batch())
    assert terms["loss"].dtype == torch.float32
    exact = base_loss(half["original"].float(), Layers(**{n: v.float() for n, v in half.items()}).recompose(),
                      batch()["original"], batch()["image"])
    assert number(terms) == pytest.approx(exact["loss"].item(), abs=1e-7)


class Lit(SetDecomposition):
    def recompose(self, hard=True):
        assert not hard
        return super().recompose(hard)


def test_with_labels_the_set_objective_knows_mask_and_irradiance_and_without_it_needs_neither():
    data = batch((1, 3, 2, 12, 14))
    one, three = torch.ones_like(data["image"][:, :1]), torch.ones_like(data["image"])
    pred = Lit(0.7 * three[:, :, :1], 2 * three, 0.5 * one, 0.2 * three, 0.1 * one, None, 0 * one)
    labels = {"irradiance": three, "mask": data["pseudo_mask"], "occlusion": 0.2 * three}
    with_labels = set_objective(lambda image: pred, data | labels)
    assert number(with_labels, "irradiance") == pytest.approx(0, abs=1e-6)  # 0.5 * 2
    assert number(with_labels, "mask_bce") > 0 and "entropy" not in with_labels
    without = set_objective(lambda image: pred, data, labels=False)
    assert number(without, "entropy") > 0 and "irradiance" not in without
    assert "structure" not in set_objective(lambda image: pred, data, labels=False, structure=0.0)
