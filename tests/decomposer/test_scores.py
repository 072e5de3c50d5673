"""Scores of networks whose layers are the truth, or wrong in a known way."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from htcv_lib.decomposer.layers import Decomposition, SetDecomposition
from htcv_lib.decomposer.objective import decomposition_objective
from htcv_lib.decomposer.scores import (
    average_precision,
    constancy,
    constancy_of,
    evaluate_decomposition,
    evaluate_objective,
    evaluate_original,
    implied_irradiance,
    irradiance_scores,
    layer_correlation,
    layer_mae,
    leakage_of,
    mean_where,
    predict_decomposition,
    score_decomposition,
    score_original,
    score_sequences,
)
from htcv_lib.image import srgb
from htcv_lib.metrics.pictures import image_ssim


def half(low: float, high: float, channels: int = 3, frames: int = 4) -> torch.Tensor:
    """One sequence whose frames are `low` on the left and `high` on the right: standard deviation (high - low) / 2."""
    values = torch.full((1, channels, frames, 6, 8), low)
    values[..., 4:] = high
    return values


def test_one_frame_that_carries_everything_leaves_the_others_grey():
    frames = half(0.5, 0.5, frames=10)
    frames[:, :, 3] = half(0.2, 0.8)[:, :, 0]
    found = constancy(frames)
    assert found["grey_frames"].item() == pytest.approx(0.9)
    assert found["best_contrast"].item() == pytest.approx(0.3)
    assert found["contrast"].item() == pytest.approx(0.03)


def test_a_frame_with_contrast_in_one_channel_is_not_grey():
    frames = half(0.5, 0.5)
    frames[:, 0] = half(0.4, 0.6)[:, 0]
    assert constancy(frames)["grey_frames"].item() == 0


def test_a_decomposition_is_measured_layer_by_layer():
    pred = SimpleNamespace(original=half(0.2, 0.4, frames=1), light=half(0.0, 0.0, 1), shadow=half(0.5, 1.0, 1),
                           occlusion=half(0.3, 0.31), mask=half(0.0, 0.4, 1))
    found = {name: value.item() for name, value in constancy(pred).items()}
    assert found == pytest.approx({
        "original_contrast": 0.1, "light_contrast": 0, "shadow_contrast": 0.25, "occlusion_contrast": 0.005,
        "grey_original": 0, "grey_occlusion": 1, "light_mean": 0, "shadow_mean": 0.75, "mask_mean": 0.2,
        "mask_saturated": 0})


@pytest.mark.parametrize(("level", "saturated"), [(0.0, 1), (0.005, 1), (0.02, 0), (0.98, 0), (0.999, 1), (1.0, 1)])
def test_a_mask_is_saturated_when_its_mean_is_nearly_nothing_or_nearly_all(level, saturated):
    layer = half(level, level, 1)
    pred = SimpleNamespace(original=layer, light=layer, shadow=layer, occlusion=layer, mask=layer)
    assert constancy(pred)["mask_saturated"].item() == saturated


def test_sequences_are_measured_apart():
    frames = torch.cat([half(0.2, 0.8), half(0.5, 0.5)])
    assert constancy(frames)["grey_frames"].tolist() == [0, 1]


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(3, 1, 2, 5, 6, generator=generator)
    return target + torch.rand(target.shape, generator=generator), target, torch.rand(3, 1, 2, 5, 6) > 0.3


def test_means_and_errors_are_taken_over_the_chosen_pixels_only(maps):
    pred, target, where = maps
    expected = [(p - t).abs()[w].double().mean().item() for p, t, w in zip(pred, target, where, strict=True)]
    assert layer_mae(pred, target, where).tolist() == pytest.approx(expected)
    assert mean_where(pred, torch.zeros_like(where)).isnan().all()


def test_a_grey_layer_is_compared_with_every_channel_of_a_coloured_one():
    pred = torch.tensor([0.1, 0.2, 0.6]).view(1, 3, 1, 1, 1).expand(1, 3, 1, 2, 2)
    target = torch.zeros(1, 1, 1, 2, 2)
    assert layer_mae(pred, target, torch.ones(1, 1, 1, 2, 2, dtype=torch.bool)).item() == pytest.approx(0.3)


def test_the_correlation_is_numpys_over_all_views_together(maps):
    pred, target, where = maps
    expected = [np.corrcoef(p[w].numpy(), t[w].numpy())[0, 1] for p, t, w in zip(pred, target, where, strict=True)]
    assert layer_correlation(pred, target, where).tolist() == pytest.approx(expected)
    assert layer_correlation(-2 * target + 1, target, where).tolist() == pytest.approx([-1] * 3)


def test_a_flat_truth_has_no_correlation_and_a_flat_prediction_has_zero(maps):
    pred, target, where = maps
    flat = torch.full_like(target, 0.3)
    assert layer_correlation(pred, flat, where).isnan().all()
    assert layer_correlation(flat, target, where).tolist() == [0, 0, 0]


def test_irradiance_is_judged_up_to_one_factor_for_the_sequence():
    generator = torch.Generator().manual_seed(1)
    target = 0.2 + torch.rand(2, 3, 4, 5, 6, generator=generator)  # nothing is clipped
    original, everywhere = torch.full((2, 3, 1, 5, 6), 0.5), torch.ones(2, 1, 4, 5, 6, dtype=torch.bool)
    scores = irradiance_scores(3 * target, target, original, everywhere)
    assert scores["mae"].tolist() == pytest.approx([0, 0], abs=1e-6)
    assert scores["correlation"].tolist() == pytest.approx([1, 1], abs=1e-3)  # but for the 0.01 added
    each_view = target * torch.tensor([1.0, 2.0, 1.0, 0.5]).view(1, 1, 4, 1, 1)
    assert (irradiance_scores(each_view, target, original, everywhere)["mae"] > 0.1).all()


def test_the_best_factor_is_that_of_least_squares_by_hand():
    pred, target = (torch.tensor(values).view(1, 1, 1, 1, 2).expand(1, 3, 1, 1, 2) for values in ([1.0, 2.0],
                                                                                                 [2.0, 2.0]))
    original, everywhere = torch.full((1, 3, 1, 1, 2), 0.5), torch.ones(1, 1, 1, 1, 2, dtype=torch.bool)
    scores = irradiance_scores(pred, target, original, everywhere)
    factor = (1 * 2 + 2 * 2) / (1 + 4)
    assert scores["mae"].item() == pytest.approx((abs(factor - 2) + abs(2 * factor - 2)) / 2)
    assert scores["correlation"].isnan().all()  # the truth is flat


def test_black_pigments_do_not_count():
    pred, target = torch.ones(1, 3, 1, 2, 4), torch.ones(1, 3, 1, 2, 4)
    pred[..., 0], original = 9.0, torch.full((1, 3, 1, 2, 4), 0.6)
    everywhere = torch.ones(1, 1, 1, 2, 4, dtype=torch.bool)
    assert irradiance_scores(pred, target, original, everywhere)["mae"].item() > 0.1
    original[..., 0] = 0.05
    assert irradiance_scores(pred, target, original, everywhere)["mae"].item() == pytest.approx(0, abs=1e-12)
    assert math.isnan(irradiance_scores(pred, target, 0 * original, everywhere)["mae"].item())


def test_pixels_that_the_camera_clips_do_not_count():
    pred, target = torch.ones(1, 3, 1, 2, 4), torch.ones(1, 3, 1, 2, 4)
    original, everywhere = torch.full((1, 3, 1, 2, 4), 0.6), torch.ones(1, 1, 1, 2, 4, dtype=torch.bool)
    target[..., 0] = 3.0  # linear(0.6) is 0.32: just below white
    assert irradiance_scores(pred, target, original, everywhere)["mae"].item() > 0.1
    target[:, 0, :, :, 0] = 3.3  # one channel beyond it
    assert irradiance_scores(pred, target, original, everywhere)["mae"].item() == pytest.approx(0, abs=1e-12)


def test_by_hand_two_positives_at_ranks_one_and_three():
    score = torch.tensor([[0.9, 0.8, 0.7, 0.1]])
    target = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    assert average_precision(score, target).tolist() == pytest.approx([0.5 * 1 + 0.5 * 2 / 3])


@pytest.mark.parametrize("levels", [3, 1000])
def test_it_is_scikit_learns_with_and_without_many_equal_scores(levels):
    generator = torch.Generator().manual_seed(0)
    score = (torch.rand(4, 1, 3, 10, 12, generator=generator) * levels).round() / levels
    target = (torch.rand(score.shape, generator=generator) + 0.3 * score) > 0.8
    expected = [average_precision_score(t.flatten().numpy(), s.flatten().numpy())
                for s, t in zip(score, target, strict=True)]
    found = average_precision(score, target)
    assert found.dtype == torch.float64 and found.tolist() == pytest.approx(expected)


def test_a_constant_score_gets_the_share_of_positives_and_a_perfect_one_gets_one():
    target = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0]])
    assert average_precision(torch.full((1, 5), 0.3), target).item() == pytest.approx(0.2)
    assert average_precision(target, target).item() == 1


def test_without_positives_there_is_no_score():
    assert average_precision(torch.rand(1, 6), torch.zeros(1, 6)).isnan().all()


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        average_precision(torch.rand(1, 6), torch.zeros(6))


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


def batches(count=3):
    """Sequences of two views, in batches of two and one; the last one has no occluder."""
    generator = torch.Generator().manual_seed(0)

    def random(channels, frames=2):
        return torch.rand(count, channels, frames, 12, 14, generator=generator)

    mask = torch.zeros(count, 1, 2, 12, 14)
    mask[: count - 1, :, :, 2:6, 3:9] = 1
    truth = {"original": random(3, 1), "shadow": 0.5 + 0.4 * random(1), "light": 0.1 * random(1), "mask": mask,
             "occlusion": mask * random(3)}
    truth["image"] = Decomposition(*(truth[name] for name in ("original", "light", "shadow", "occlusion", "mask")
                                     )).recompose()
    return [{name: values[start:start + 2] for name, values in truth.items()} for start in range(0, count, 2)]


class Oracle(nn.Module):
    """Knows the truth of the views it is shown; its clean picture is `shift` brighter. Notes its mode."""

    def __init__(self, data, shift=0.0, **changed):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))
        self.data, self.changed, self.modes = data, changed, []

    def forward(self, image):
        self.modes.append(self.training)
        (truth,) = [batch for batch in self.data if torch.equal(batch["image"], image)]
        layers = Decomposition(truth["original"] + self.shift,
                        *(truth[name] for name in ("light", "shadow", "occlusion", "mask")))
        return layers._replace(**{name: change(getattr(layers, name)) for name, change in self.changed.items()})


def test_predictions_are_in_order_on_the_cpu_without_a_graph_and_a_missing_field_stays_missing():
    data = batches()
    model = Oracle(data).train()
    pred = predict_decomposition(model, data)
    assert isinstance(pred, Decomposition) and pred.mask_logits is None and not pred.original.requires_grad
    assert torch.equal(pred.shadow, torch.cat([batch["shadow"] for batch in data]))
    assert model.modes == [False, False] and model.training
    pictures = predict_decomposition(lambda image: image[:, :, :1], data)
    assert torch.equal(pictures, torch.cat([batch["image"][:, :, :1] for batch in data]))


def test_predictions_can_become_labels_of_a_training():
    data = batches()
    label = predict_decomposition(Oracle(data), data).original
    weight = torch.ones((), requires_grad=True)
    (weight * label).sum().backward()
    assert weight.grad == label.sum()


def test_the_truth_scores_perfectly_and_a_brighter_picture_by_its_error():
    data = batches()
    perfect = evaluate_decomposition(Oracle(data), data)
    assert (perfect["shadow_mae"], perfect["light_mae"], perfect["mask_iou"], perfect["occlusion_mae"]) == (0, 0, 1, 0)
    assert perfect["recomposition_ssim"] == pytest.approx(1)
    dark = Oracle(data, original=lambda values: values - 0.1)
    for batch in data:
        batch["original"].clamp_(min=0.2)
    assert evaluate_decomposition(dark, data)["original_psnr"] == pytest.approx(20, abs=1e-4)


def test_a_score_counts_the_sequences_that_have_it_and_is_absent_where_none_has():
    data = batches()
    scores = score_sequences(Oracle(data), data)
    assert scores["mask_auprc"].isnan().tolist() == [False, False, True]  # no occluder in the last
    assert evaluate_decomposition(Oracle(data), data)["mask_auprc"] == pytest.approx(1)
    assert "mask_auprc" not in evaluate_decomposition(Oracle(data[1:]), data[1:])
    unknown = [{name: values for name, values in batch.items() if name != "shadow"} for batch in data]
    assert "shadow_mae" not in evaluate_decomposition(Oracle(data), unknown)


def test_baselines_networks_of_frames_and_networks_of_layers_are_judged_by_their_clean_picture():
    data = batches()
    for batch in data:
        batch["original"].clamp_(max=0.8)
    steps = torch.tensor([0.0, 0.2]).view(1, 1, 2, 1, 1)
    frames = Oracle(data, original=lambda values: values + steps)

    def drawn(image):
        return frames(image).original

    layers = Oracle(data, shift=0.1)
    for predict in (drawn, layers, lambda image: drawn(image).mean(dim=2, keepdim=True)):
        assert evaluate_original(predict, data)["original_psnr"] == pytest.approx(20, abs=1e-4)
    assert evaluate_original(lambda image: image[:, :, :1], data)["original_psnr"] < 20


def test_leakage_of_the_truth_is_the_identity_and_of_swapped_layers_is_not():
    data = batches()
    leakage = leakage_of(Oracle(data), data)
    assert leakage.true == ("shadow", "light", "occlusion") and leakage.predicted[3] == "original"
    torch.testing.assert_close(leakage.unmixed, torch.eye(3, 4, dtype=torch.float64), atol=1e-5, rtol=0)
    first, second = (leakage_of(Oracle(data, shift=0.1), [batch]) for batch in data)
    both = leakage_of(Oracle(data, shift=0.1), data)
    torch.testing.assert_close(both.products, first.products + second.products)
    torch.testing.assert_close(both.overlaps, first.overlaps + second.overlaps)
    faint = Oracle(data, mask=lambda mask: 0.4 * mask)  # below one half: a cut mask hides nothing
    assert leakage_of(faint, data).entries()["occlusion>occlusion"] == pytest.approx(0, abs=1e-6)
    assert leakage_of(faint, data, hard=False).entries()["occlusion>occlusion"] == pytest.approx(0.4, abs=1e-5)
    blind = Oracle(data, shadow=torch.ones_like)
    assert leakage_of(blind, data).entries()["shadow>shadow"] == pytest.approx(0, abs=1e-6)


def test_constancy_is_relative_to_the_truth_and_tells_grey_pictures():
    data = batches()
    assert constancy_of(Oracle(data), data)["relative_contrast"] == pytest.approx(1)
    half = constancy_of(Oracle(data, original=lambda values: values / 2), data)
    assert half["relative_contrast"] == pytest.approx(0.5) and half["grey_original"] == 0
    grey = constancy_of(Oracle(data, original=lambda values: torch.full_like(values, 0.5)), data)
    assert (grey["relative_contrast"], grey["grey_original"]) == (0, 1)
    frames = constancy_of(lambda image: image * torch.tensor([1.0, 0.0]).view(1, 1, 2, 1, 1), data)
    assert frames["grey_frames"] == 0.5


def test_an_objective_is_measured_on_other_data_as_the_mean_over_sequences():
    data = batches()
    model = Oracle(data, shift=0.1).train()
    data[1]["image"] += 0.0
    found = evaluate_objective(decomposition_objective, model, data)
    assert found["original"] == pytest.approx(0.1)
    single = [decomposition_objective(model, batch)["loss"].item() for batch in data]
    assert found["loss"] == pytest.approx((2 * single[0] + single[1]) / 3)
    assert model.modes[:2] == [False, False] and model.training


def test_no_batches_is_an_error():
    for evaluate in (predict_decomposition, score_sequences, evaluate_original, leakage_of, constancy_of):
        with pytest.raises(ValueError, match="no batches to evaluate"):
            evaluate(Oracle([]), [])
    with pytest.raises(ValueError, match="no batches to evaluate"):
        evaluate_objective(decomposition_objective, Oracle([]), [])
