"""Pseudo-labels against the truth."""

from types import SimpleNamespace

import pytest
import torch

from htcv_lib.decomposer.labels import score_found_masks, score_labels


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(2)
    original = 0.2 + 0.6 * torch.rand(2, 3, 1, 12, 12, generator=generator)
    shadow = torch.linspace(0.4, 1, 12).expand(2, 1, 3, 12, 12)
    light = torch.zeros(2, 1, 3, 12, 12)
    mask = torch.zeros(2, 1, 3, 12, 12)
    mask[:, :, 0, :6] = 1
    return {"image": original * shadow, "original": original, "shadow": shadow, "light": light, "mask": mask,
            "pseudo_shadow": shadow, "pseudo_light": light, "pseudo_relit": original * shadow,
            "pseudo_mask": mask, "pseudo_residual": mask.roll(3, dims=3)}


def test_true_labels_have_no_error_and_a_mask_moved_by_half_its_height_a_third_of_overlap(batch):
    found = score_labels([batch])
    assert found["shadow_mae"] == 0 and found["shadow_correlation"] == pytest.approx(1)
    assert found["mask_iou"] == 1 and found["mask_share"] == pytest.approx(1 / 6)  # half of one view of three
    assert found["mask_iou_residual"] == pytest.approx(3 / 9)  # rows 3 to 5 of 0 to 8


def test_what_an_occluder_hides_does_not_count_against_a_label(batch):
    wrong = torch.where(batch["mask"] > 0.5, 0.0, batch["shadow"])
    assert score_labels([batch | {"pseudo_shadow": wrong}])["shadow_mae"] == 0
    assert score_labels([batch | {"pseudo_shadow": batch["shadow"] - 0.2}])["shadow_mae"] == pytest.approx(0.2)


def test_irradiance_is_read_from_the_labels_own_relit_picture(batch):
    known = {name: value for name, value in batch.items() if name not in ("shadow", "light")}
    linear = ((batch["shadow"] + 0.055) / 1.055) ** 2.4  # of a white pigment, where sRGB has its curve
    white = known | {"original": torch.ones(2, 3, 1, 12, 12), "pseudo_relit": batch["shadow"].expand(-1, 3, -1, -1, -1),
                     "irradiance": linear.expand(-1, 3, -1, -1, -1)}
    assert score_labels([white])["irradiance_correlation"] == pytest.approx(1, abs=1e-4)


def test_found_masks_are_ranked_by_what_is_sparse(batch):
    cut = batch["mask"] * 0  # a threshold that found nothing
    sparse = (batch["mask"] * 0.2).expand(-1, 3, -1, -1, -1)
    found = score_found_masks(lambda image: SimpleNamespace(mask=cut, sparse=sparse), [batch])
    assert found["mask_iou"] == 0 and found["mask_auprc"] == pytest.approx(1)
    plain = score_found_masks(lambda image: SimpleNamespace(mask=cut), [batch])
    assert plain["mask_auprc"] == pytest.approx(72 / 432)  # the share of positives
