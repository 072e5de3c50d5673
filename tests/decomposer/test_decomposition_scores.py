import math

import pytest
import torch
from torch import Tensor

from htcv_lib.decomposer.layers import Decomposition, SetDecomposition
from htcv_lib.decomposer.scores import implied_irradiance, score_decomposition, score_original
from htcv_lib.image import srgb
from htcv_lib.metrics.pictures import image_ssim

MATCHED = {"original_psnr", "original_ssim", "shadow_mae", "shadow_correlation", "light_mae", "light_correlation",
           "mask_iou", "mask_f1", "mask_auprc", "occlusion_mae", "recomposition_psnr", "recomposition_ssim",
           "occluded_psnr", "occluded_ssim"}
LIGHT = {"shadow_mae", "shadow_correlation", "light_mae", "light_correlation"}
OCCLUDED = {"occlusion_mae", "occluded_psnr", "occluded_ssim", "mask_auprc"}
FIELDS = ("original", "light", "shadow", "occlusion", "mask")


def noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def truth() -> dict[str, Tensor]:
    """3 sequences of 4 views, 14 x 16 pixels, a square in front of each view; the last sequence has none."""
    mask = torch.zeros(3, 1, 4, 14, 16)
    mask[:2, :, :, 3:9, 4:12] = 1
    layers = Decomposition(0.1 + 0.5 * noise(0, 3, 3, 1, 14, 16), 0.2 * noise(1, 3, 1, 4, 14, 16),
                           0.4 + 0.6 * noise(2, 3, 1, 4, 14, 16), mask * noise(3, 3, 3, 4, 14, 16), mask, None)
    return {name: getattr(layers, name) for name in FIELDS} | {"image": layers.recompose()}


@pytest.fixture
def lit(truth) -> dict[str, Tensor]:
    """The same pictures under a coloured irradiance, without the layers of light."""
    irradiance = 0.2 + noise(4, 3, 3, 4, 14, 16)
    lit = srgb((((truth["original"] + 0.055) / 1.055) ** 2.4 * irradiance).clamp(0, 1))  # the original is above 0.04
    image = torch.where(truth["mask"] > 0.5, truth["occlusion"], lit)
    return {name: truth[name] for name in ("original", "mask", "occlusion")} | {"irradiance": irradiance,
                                                                                "image": image}


def as_pred(truth: dict[str, Tensor]) -> Decomposition:
    return Decomposition(*(truth[name] for name in FIELDS), None)


def as_set(lit: dict[str, Tensor]) -> SetDecomposition:
    ones = torch.ones_like(lit["mask"])
    return SetDecomposition(lit["original"], lit["irradiance"], ones, lit["occlusion"], lit["mask"], None, 0 * ones)


def test_every_sequence_gets_every_score_and_the_truth_the_best(truth):
    scores = score_decomposition(as_pred(truth), truth)
    assert set(scores) == MATCHED
    for name, values in scores.items():
        assert values.shape == (3,) and values.dtype == torch.float64, name
        assert values[2].isnan().item() == (name in OCCLUDED), name
        best = math.inf if name.endswith("psnr") else 0 if name.endswith("mae") else 1
        assert values[:2].tolist() == pytest.approx([best] * 2), name


def test_a_wrong_layer_costs_its_own_scores(truth):
    pred = as_pred(truth)
    best = score_decomposition(pred, truth)
    for field, names in {
        "original": {"original_psnr", "original_ssim", "recomposition_psnr", "recomposition_ssim", "occluded_ssim"},
        "light": {"light_mae", "recomposition_psnr", "recomposition_ssim", "occluded_ssim"},
        "shadow": {"shadow_mae", "recomposition_psnr", "recomposition_ssim", "occluded_ssim"},
        "occlusion": {"occlusion_mae", "occluded_psnr", "occluded_ssim", "recomposition_ssim"},
    }.items():
        wrong = score_decomposition(pred._replace(**{field: 0.5 * getattr(pred, field)}), truth)
        changed = {name for name in MATCHED if not torch.allclose(wrong[name][:2], best[name][:2])}
        assert changed == names, field  # windows of SSIM look across the edge of an occluder


def test_errors_of_light_count_only_where_no_occluder_is(truth):
    hidden = truth["mask"] > 0.5
    pred = as_pred(truth)
    behind = pred._replace(shadow=torch.where(hidden, 0.0, pred.shadow), light=torch.where(hidden, 1.0, pred.light))
    scores = score_decomposition(behind, truth)
    assert [scores[f"{name}_mae"].tolist() for name in ("shadow", "light")] == [[0, 0, 0]] * 2
    before = pred._replace(shadow=torch.where(hidden, pred.shadow, pred.shadow - 0.1))
    assert score_decomposition(before, truth)["shadow_mae"].tolist() == pytest.approx([0.1] * 3)


def test_the_mask_is_scored_over_all_views_together(truth):
    mask = truth["mask"].clone()
    mask[:, :, 0] = 0  # one of four views is missed
    scores = score_decomposition(as_pred(truth)._replace(mask=mask), truth)
    assert scores["mask_iou"].tolist() == pytest.approx([0.75, 0.75, 1])
    assert scores["mask_f1"].tolist() == pytest.approx([6 / 7, 6 / 7, 1])
    soft = score_decomposition(as_pred(truth)._replace(mask=0.4 * truth["mask"]), truth)
    assert soft["mask_auprc"][:2].tolist() == [1, 1] and soft["mask_iou"][:2].tolist() == [0, 0]


def test_the_recomposition_is_measured_inside_and_outside_of_occluders(truth):
    hidden = truth["mask"] > 0.5
    image = (truth["image"] + torch.where(hidden, 0.1, 0.01)).double()
    scores = score_decomposition(as_pred(truth), truth | {"image": image})
    assert scores["recomposition_psnr"].tolist() == pytest.approx([40] * 3, abs=0.01)
    assert scores["occluded_psnr"][:2].tolist() == pytest.approx([20] * 2, abs=0.01)


def test_the_order_of_light_and_shadow_is_that_asked_for(truth):
    pred = as_pred(truth)
    data = truth | {"image": pred.recompose(order="light_first")}
    assert score_decomposition(pred, data, order="light_first")["recomposition_psnr"].isinf().all()
    assert (score_decomposition(pred, data)["recomposition_psnr"] < 40).all()


def test_a_soft_mask_is_cut_unless_asked_otherwise(truth):
    pred = as_pred(truth)._replace(mask=0.8 * truth["mask"])
    assert score_decomposition(pred, truth)["occluded_psnr"][:2].isinf().all()
    assert (score_decomposition(pred, truth, hard=False)["occluded_psnr"][:2] < 40).all()


def test_scores_whose_truth_is_absent_are_absent(truth):
    def names(*known: str) -> set[str]:
        return set(score_decomposition(as_pred(truth), {name: truth[name] for name in ("image", *known)}))

    everywhere = {"recomposition_psnr", "recomposition_ssim"}
    assert names() == everywhere
    assert names("original") == everywhere | {"original_psnr", "original_ssim"}
    assert names("mask") == everywhere | {"mask_iou", "mask_f1", "mask_auprc", "occluded_psnr", "occluded_ssim"}
    assert names("original", "shadow", "light", "mask", "occlusion") == MATCHED


def test_flat_truth_has_an_error_but_no_correlation(truth):
    data = truth | {"shadow": torch.ones_like(truth["shadow"])}
    scores = score_decomposition(as_pred(truth), data)
    assert scores["shadow_correlation"].isnan().all() and (scores["shadow_mae"] > 0.1).all()


def test_physical_light_is_scored_as_irradiance_for_both_kinds_of_prediction(truth, lit):
    exact = score_decomposition(as_set(lit), lit)
    assert set(exact) == MATCHED - LIGHT | {"irradiance_mae", "irradiance_correlation"}
    assert exact["irradiance_mae"].tolist() == pytest.approx([0] * 3, abs=1e-6)
    assert exact["irradiance_correlation"].tolist() == pytest.approx([1] * 3)
    assert (exact["recomposition_psnr"] > 100).all()
    added = score_decomposition(as_pred(truth), lit)
    assert set(added) == set(exact) and (added["irradiance_mae"] > 0.05).all()


def test_the_irradiance_of_an_additive_prediction_is_the_ratio_of_what_it_shows():
    original, flat = torch.full((1, 3, 1, 2, 2), 0.6), torch.zeros(1, 1, 1, 2, 2)
    pred = Decomposition(original, flat, flat + 0.5, original, flat, None)
    expected = (((0.3 + 0.055) / 1.055) ** 2.4 + 1e-3) / (((0.6 + 0.055) / 1.055) ** 2.4 + 1e-3)
    torch.testing.assert_close(implied_irradiance(pred), torch.full((1, 3, 1, 2, 2), expected, dtype=torch.float64),
                               atol=1e-6, rtol=0)


def test_an_original_alone_has_psnr_and_ssim():
    original, pred = noise(0, 2, 3, 1, 14, 16), noise(1, 2, 3, 1, 14, 16)
    scores = score_original(pred, original)
    error = (pred.double() - original.double()).square().mean(dim=(1, 2, 3, 4))
    torch.testing.assert_close(scores["original_psnr"], -10 * error.log10())
    torch.testing.assert_close(scores["original_ssim"], image_ssim(pred[:, :, 0].double(), original[:, :, 0].double()))
