"""The loss with every layer known."""

import math
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.decomposer.objective import matched_objective
from htcv_lib.decomposer.set_losses import (
    LABELLED,
    MATCHED,
    UNLABELLED,
    exclusion,
    labelled_loss,
    mask_prior,
    matched_loss,
    smoothness,
    sparsity,
    unlabelled_loss,
)
from htcv_lib.decomposer.set_network import MatchedSetDecomposer


def step(column: int, height: float = 1.0, size: tuple[int, int] = (8, 16)) -> torch.Tensor:
    """A picture (1, 1, 1, H, W) that is 0 left of a column and `height` from it on."""
    values = torch.zeros(1, 1, 1, *size)
    values[..., column:] = height
    return values


def test_the_smoothness_of_a_step_is_its_height_over_the_pairs_of_neighbours():
    assert smoothness(step(5, 0.5)).item() == pytest.approx(0.5 / 15)
    assert smoothness(step(5, 0.5).transpose(-1, -2)).item() == pytest.approx(0.5 / 15)
    assert smoothness(torch.full((2, 3, 4, 5, 6), 0.7)).item() == 0


def test_an_edge_of_the_guide_makes_a_step_cheaper_only_where_it_is():
    values = step(5, 0.5)
    same, other = step(5, 0.1).expand(1, 3, 1, 8, 16), step(9, 0.1).expand(1, 3, 1, 8, 16)
    assert smoothness(values, same).item() == pytest.approx(0.5 / 15 * math.exp(-1))
    assert smoothness(values, other).item() == pytest.approx(0.5 / 15)


def test_a_guide_with_one_view_serves_all_views():
    values = torch.rand(2, 1, 4, 6, 7)
    guide = torch.rand(2, 3, 1, 6, 7)
    each = [smoothness(values[:, :, t:t + 1], guide) for t in range(4)]
    torch.testing.assert_close(smoothness(values, guide), torch.stack(each).mean())


def test_sparsity_is_the_mean_absolute_value():
    assert sparsity(torch.tensor([-1.0, 0.0, 0.0, 3.0])).item() == 1


def test_exclusion_punishes_shared_edges_and_nothing_else():
    assert exclusion(step(5), step(9), scales=1).item() == 0
    assert exclusion(step(5), torch.ones(1, 1, 1, 8, 16)).item() == 0
    assert exclusion(step(5), step(5), scales=1).item() == pytest.approx(math.tanh(1) ** 2 / 15 / 2)


def test_a_faint_layer_does_not_evade_the_exclusion():
    loud, faint = exclusion(step(5), step(5)).item(), exclusion(step(5), step(5, 0.01)).item()
    # lambda takes both edges to 0.1, where tanh is nearly the identity: as if the product were what counts
    assert faint == pytest.approx(exclusion(step(5, 0.1), step(5, 0.1)).item())
    assert 0 < faint < loud


def test_scales_beyond_the_picture_are_refused():
    with pytest.raises(ValueError, match="4 scales need sides of at least 16"):
        exclusion(step(5), step(5), scales=4)


def test_exclusion_of_flat_layers_has_a_finite_gradient():
    first, second = torch.ones(1, 1, 2, 8, 8, requires_grad=True), torch.rand(1, 3, 2, 8, 8, requires_grad=True)
    exclusion(first, second).backward()
    assert first.grad.isfinite().all() and second.grad.isfinite().all()


def test_the_mask_prior_is_entropy_and_area():
    mask = torch.tensor([0.0, 1.0, 0.5, 0.5]).view(1, 1, 1, 1, 4)
    terms = mask_prior(mask, entropy_weight=0.2, area_weight=0.3)
    assert terms["entropy"].item() == pytest.approx(0.2 * math.log(2) / 2, abs=1e-5)
    assert terms["area"].item() == pytest.approx(0.15)
    assert terms["loss"].item() == pytest.approx(terms["entropy"].item() + terms["area"].item())
    assert mask_prior(torch.zeros(1, 1, 1, 2, 2))["loss"].item() == pytest.approx(0, abs=1e-6)


def test_the_mask_priors_gradient_is_finite_for_a_decided_mask():
    mask = torch.tensor([0.0, 1.0, 0.3]).requires_grad_()
    mask_prior(mask)["loss"].backward()
    assert mask.grad.isfinite().all()


SQUARE = (slice(None), slice(None), slice(None), slice(3, 8), slice(4, 9))


class LitLayers(NamedTuple):
    """LitLayers that compose with exponent 2.2 for a transfer curve: the losses leave that to the prediction."""

    original: Tensor
    light: Tensor
    shadow: Tensor
    occlusion: Tensor
    mask: Tensor
    mask_logits: Tensor | None
    highlight: Tensor

    def recompose(self, hard: bool = True) -> Tensor:
        lit = (self.original**2.2 * self.shadow * self.light + self.highlight).clamp(1e-6, 1) ** (1 / 2.2)
        return torch.where(self.mask < 0.5, lit, self.occlusion) if hard else torch.lerp(lit, self.occlusion, self.mask)


@pytest.fixture
def case() -> tuple[LitLayers, dict[str, Tensor]]:
    """The truth of 2 sequences of 3 views, 14 x 16 pixels, flat light and shadow, a red square in front."""
    generator = torch.Generator().manual_seed(0)
    mask, occlusion = torch.zeros(2, 1, 3, 14, 16), torch.zeros(2, 3, 3, 14, 16)
    mask[SQUARE], occlusion[SQUARE] = 1, 0.1
    occlusion[:, :1][SQUARE] = 0.9
    original = 0.2 + 0.6 * torch.rand(2, 3, 1, 14, 16, generator=generator)
    light = torch.tensor([0.9, 1.0, 0.8]).view(1, 3, 1, 1, 1).expand(2, 3, 3, 14, 16).contiguous()
    shadow, highlight = torch.full((2, 1, 3, 14, 16), 0.5), torch.zeros(2, 1, 3, 14, 16)
    truth = LitLayers(original, light, shadow, occlusion, mask, torch.where(mask > 0, 12.0, -12.0), highlight)
    return truth, {"image": truth.recompose(), "original": original, "irradiance": shadow * light, "mask": mask,
                   "occlusion": occlusion}


@pytest.mark.parametrize(("loss", "names"), [(labelled_loss, LABELLED), (unlabelled_loss, UNLABELLED)])
def test_the_terms_have_their_names_and_add_up(loss, names, case):
    truth, batch = case
    noisy = truth._replace(original=truth.original * 0.9, shadow=0.4 + 0.2 * torch.rand_like(truth.shadow),
                           light=truth.light + 0.2 * torch.rand_like(truth.light), highlight=truth.highlight + 0.1,
                           mask=(truth.mask + 0.2).clamp(0, 0.9), mask_logits=None, occlusion=truth.occlusion + 0.05)
    terms = loss(noisy, batch)
    assert set(terms) == {"loss", *names}
    assert all(value > 0 for value in terms.values())
    torch.testing.assert_close(terms["loss"], sum(value for name, value in terms.items() if name != "loss"))


def test_the_truth_costs_nothing_with_labels_and_its_area_without(case):
    truth, batch = case
    assert labelled_loss(truth, batch)["loss"].item() == pytest.approx(0, abs=1e-4)
    terms = unlabelled_loss(truth, batch)
    assert terms["loss"].item() == pytest.approx(UNLABELLED["area"] * 25 / (14 * 16), abs=1e-5)


def test_without_labels_masking_everything_costs_more_than_the_truth(case):
    truth, batch = case
    everything = truth._replace(mask=torch.ones_like(truth.mask), occlusion=batch["image"])
    assert unlabelled_loss(everything, batch)["recomposition"].item() == 0
    assert unlabelled_loss(everything, batch)["loss"] > 5 * unlabelled_loss(truth, batch)["loss"]


@pytest.mark.parametrize(("field", "terms"), [
    ("original", {"original", "structure", "recomposition"}), ("light", {"irradiance", "recomposition"}),
    ("mask", {"mask_dice", "recomposition"}), ("mask_logits", {"mask_bce"}),
    ("occlusion", {"occlusion", "recomposition"}), ("highlight", {"highlight", "recomposition"})])
def test_a_wrong_layer_raises_its_own_terms_and_no_others(case, field, terms):
    truth, batch = case
    wrong = truth._replace(**{field: 0.7 * getattr(truth, field) + 0.1})
    before, after = labelled_loss(truth, batch), labelled_loss(wrong, batch)
    raised = {name for name in LABELLED if after[name] > before[name] + 1e-6}
    assert raised == terms


def test_shadow_and_light_may_exchange_a_factor_as_far_as_the_labels_go(case):
    truth, batch = case
    other = truth._replace(shadow=truth.shadow * 1.6, light=truth.light / 1.6)
    torch.testing.assert_close(labelled_loss(other, batch)["irradiance"], labelled_loss(truth, batch)["irradiance"],
                               atol=1e-6, rtol=0)


def test_what_lies_under_an_occluder_is_free(case):
    truth, batch = case
    light, occlusion = truth.light.clone(), truth.occlusion + 0.3 * (1 - truth.mask)
    light[SQUARE] = 5.0
    terms = labelled_loss(truth._replace(light=light, occlusion=occlusion), batch)
    assert terms["irradiance"].item() == pytest.approx(0, abs=1e-6)
    assert terms["occlusion"].item() == pytest.approx(0, abs=1e-6)
    assert terms["recomposition"].item() == pytest.approx(0, abs=1e-6)


def test_light_beyond_white_is_known_only_to_be_beyond(case):
    truth, batch = case
    light = truth.light.clone()
    light[..., 12:] = 600.0
    glaring = truth._replace(light=light)
    batch = batch | {"image": glaring.recompose(), "irradiance": glaring.shadow * light}
    light = light.clone()
    light[..., 12:] = 450.0
    free = labelled_loss(glaring._replace(light=light), batch)
    assert [free[name].item() for name in ("irradiance", "recomposition")] == pytest.approx([0, 0], abs=1e-6)
    light[..., 12:] = 0.5
    assert labelled_loss(glaring._replace(light=light), batch)["recomposition"].item() > 0.05


def test_without_logits_the_cross_entropy_is_that_of_the_mask(case):
    truth, batch = case
    logits = truth.mask_logits / 6 + 0.5
    pair = [labelled_loss(truth._replace(mask=logits.sigmoid(), mask_logits=given), batch)["mask_bce"]
            for given in (logits, None)]
    torch.testing.assert_close(pair[0], 0.1 * F.binary_cross_entropy_with_logits(logits, batch["mask"]))
    torch.testing.assert_close(pair[1], pair[0])


def test_without_labels_no_label_is_read_and_every_layer_gets_a_gradient(case):
    truth, batch = case
    fields = {name: (0.2 + 0.6 * torch.rand_like(value)).requires_grad_() for name, value in truth._asdict().items()}
    unlabelled_loss(LitLayers(**fields), {name: batch[name] for name in ("image", "original")})["loss"].backward()
    assert [name for name, value in fields.items() if value.grad is None or not value.grad.any()] == ["mask_logits"]
    assert all(value.grad.isfinite().all() for value in fields.values() if value.grad is not None)


def test_a_term_of_weight_zero_is_left_out(case):
    truth, batch = case
    assert set(labelled_loss(truth, batch, exclusion=0, structure=0)) == {"loss", *LABELLED} - {
        "exclusion", "structure"}
    doubled = labelled_loss(truth._replace(original=truth.original * 0.8), batch, original=2.0)["original"]
    torch.testing.assert_close(doubled, 2 * labelled_loss(truth._replace(original=truth.original * 0.8),
                                                          batch)["original"])


def test_unknown_terms_and_missing_labels_are_refused_by_name(case):
    truth, batch = case
    with pytest.raises(ValueError, match="no term is called area"):
        labelled_loss(truth, batch, area=1.0)
    with pytest.raises(ValueError, match="lacks: irradiance, mask"):
        labelled_loss(truth, {name: batch[name] for name in ("image", "original", "occlusion")})


def test_half_precision_predictions_are_judged_in_float32(case):
    truth, batch = case
    half = LitLayers(*(value.bfloat16() for value in truth))
    assert labelled_loss(half, batch)["loss"].dtype == torch.float32


class MatchedLayers(NamedTuple):
    original: Tensor
    light: Tensor
    shadow: Tensor
    occlusion: Tensor
    mask: Tensor
    mask_logits: Tensor

    def recompose(self, hard: bool = True) -> Tensor:
        assert not hard
        return torch.lerp(self.original * self.shadow + self.light, self.occlusion, self.mask.expand_as(self.occlusion))


@pytest.fixture
def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)

    def draw(channels: int, frames: int) -> Tensor:
        return torch.rand(2, channels, frames, 12, 12, generator=generator)

    mask = torch.zeros(2, 1, 3, 12, 12)
    mask[:, :, 1, 2:8, 3:9] = 1
    layers = {"original": draw(3, 1), "shadow": draw(1, 3), "light": 0.2 * draw(1, 3), "mask": mask,
              "occlusion": draw(3, 3) * mask}
    lit = layers["original"] * layers["shadow"] + layers["light"]
    return layers | {"image": torch.where(mask > 0.5, layers["occlusion"], lit)}


def truth(batch, **changed) -> MatchedLayers:
    known = {name: batch[name].clone() for name in ("original", "light", "shadow", "occlusion", "mask")} | changed
    return MatchedLayers(**known, mask_logits=torch.logit(known["mask"], eps=1e-6))


def test_the_truth_costs_nothing_but_rounding(batch):
    terms = matched_loss(truth(batch), batch)
    parts = sum(float(value) for name, value in terms.items() if name != "loss")
    assert terms["loss"] == pytest.approx(parts, rel=1e-6)
    assert set(terms) == {"loss", *MATCHED} and 0 <= terms["loss"] < 0.01


def test_each_layer_has_its_own_price_by_hand(batch):
    clean = matched_loss(truth(batch), batch)
    worse = matched_loss(truth(batch, shadow=batch["shadow"] + 0.1), batch)
    assert worse["shadow"] - clean["shadow"] == pytest.approx(0.1, abs=2e-3)
    for name in ("light", "original", "mask_bce", "occlusion"):
        assert worse[name] == clean[name]
    wrong = batch["mask"].roll(1, dims=2)
    blind = matched_loss(truth(batch, mask=wrong), batch)
    expected = 0.1 * F.binary_cross_entropy_with_logits(torch.logit(wrong, eps=1e-6), batch["mask"])
    assert blind["mask_bce"] == pytest.approx(float(expected)) and blind["mask_dice"] > 0.09


def test_what_an_occluder_hides_is_not_asked_for(batch):
    hidden = batch["mask"].bool()
    terms = matched_loss(truth(batch, shadow=torch.where(hidden, 0.0, batch["shadow"]),
                               light=torch.where(hidden, 1.0, batch["light"]),
                               occlusion=torch.where(hidden, batch["occlusion"], 0.7)), batch)
    clean = matched_loss(truth(batch), batch)
    assert all(terms[name] == pytest.approx(float(clean[name]), abs=1e-6) for name in ("shadow", "light", "occlusion"))


def test_a_weight_of_nothing_is_refused_and_a_weight_of_zero_leaves_out(batch):
    assert "structure" not in matched_loss(truth(batch), batch, structure=0.0)
    with pytest.raises(ValueError, match="no term"):
        matched_loss(truth(batch), batch, colour=1.0)


# Training with every layer known.


def test_a_few_steps_on_one_batch_lower_the_loss_of_the_layers():
    torch.manual_seed(0)
    model = MatchedSetDecomposer((4, 4, 8, 8))
    mask = torch.zeros(1, 1, 4, 16, 16)
    mask[:, :, 1, 4:12, 4:12] = 1
    shadow = torch.linspace(0.3, 1, 16).expand(1, 1, 4, 16, 16)
    original, light = torch.rand(1, 3, 1, 16, 16), torch.full((1, 1, 4, 16, 16), 0.1)
    occlusion = mask.expand(1, 3, 4, 16, 16)
    image = torch.lerp(original * shadow + light, occlusion, mask)
    batch = {"image": image, "original": original, "shadow": shadow, "light": light, "mask": mask,
             "occlusion": occlusion}
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    seen = []
    for _ in range(12):
        terms = matched_objective(model, batch)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        seen.append(terms)
    assert seen[-1]["shadow"] < 0.7 * seen[0]["shadow"] and seen[-1]["mask_bce"] < 0.7 * seen[0]["mask_bce"]


def test_weights_reach_the_loss():
    model = MatchedSetDecomposer((4, 4, 8, 8)).eval()
    batch = {name: torch.rand(1, channels, frames, 16, 16) for name, channels, frames in (
        ("image", 3, 2), ("original", 3, 1), ("shadow", 1, 2), ("light", 1, 2), ("mask", 1, 2), ("occlusion", 3, 2))}
    found = matched_objective(model, batch, light=0.0)
    assert "light" not in found
    torch.testing.assert_close(found["loss"], matched_loss(model(batch["image"]), batch, light=0.0)["loss"])
