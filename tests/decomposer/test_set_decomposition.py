from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.decomposer.set_losses import LABELLED, UNLABELLED, labelled_loss, unlabelled_loss

SQUARE = (slice(None), slice(None), slice(None), slice(3, 8), slice(4, 9))


class Layers(NamedTuple):
    """Layers that compose with exponent 2.2 for a transfer curve: the losses leave that to the prediction."""

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
def case() -> tuple[Layers, dict[str, Tensor]]:
    """The truth of 2 sequences of 3 views, 14 x 16 pixels, flat light and shadow, a red square in front."""
    generator = torch.Generator().manual_seed(0)
    mask, occlusion = torch.zeros(2, 1, 3, 14, 16), torch.zeros(2, 3, 3, 14, 16)
    mask[SQUARE], occlusion[SQUARE] = 1, 0.1
    occlusion[:, :1][SQUARE] = 0.9
    original = 0.2 + 0.6 * torch.rand(2, 3, 1, 14, 16, generator=generator)
    light = torch.tensor([0.9, 1.0, 0.8]).view(1, 3, 1, 1, 1).expand(2, 3, 3, 14, 16).contiguous()
    shadow, highlight = torch.full((2, 1, 3, 14, 16), 0.5), torch.zeros(2, 1, 3, 14, 16)
    truth = Layers(original, light, shadow, occlusion, mask, torch.where(mask > 0, 12.0, -12.0), highlight)
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
    unlabelled_loss(Layers(**fields), {name: batch[name] for name in ("image", "original")})["loss"].backward()
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
    half = Layers(*(value.bfloat16() for value in truth))
    assert labelled_loss(half, batch)["loss"].dtype == torch.float32
