import math

import pytest
import torch
from torch import nn

from htcv_lib.metrics.pictures import BackboneUnavailable
from htcv_lib.neural_renderer import scores as rendering_scores
from htcv_lib.neural_renderer.baselines import AllBlack
from htcv_lib.neural_renderer.regions import by_coverage
from htcv_lib.neural_renderer.scenes import sample_scenes, scene_batch
from htcv_lib.neural_renderer.scores import (
    QUICK,
    SCORES,
    evaluate_rendering,
    score_pictures,
    score_rendering,
    summarize_scores,
)

OURS = tuple(name for name in SCORES if name != "lpips")


class Perfect(nn.Module):
    def pictures(self, batch):
        return batch["image"]


def batches() -> list[dict[str, torch.Tensor]]:
    scene = sample_scenes("easy", 4, torch.Generator().manual_seed(0))
    scene[3, :3] = torch.tensor([-20.0, 20.0, 0.0])  # out of sight
    return [scene_batch(scene[:2], "easy", 32), scene_batch(scene[2:], "easy", 32)]


def test_a_perfect_picture_has_perfect_scores():
    scores = evaluate_rendering(Perfect(), batches(), OURS)
    for name in ("flip", "hausdorff", "l1", "highlight_error", "l1_reported", "hausdorff_counted"):
        assert scores[name] == pytest.approx(0, abs=1e-6), name
    for name in ("ssim", "box_ssim", "silhouette_iou", "ssim_stretched", "checkerboard"):
        assert scores[name] == pytest.approx(1), name
    assert scores["psnr"] == scores["box_psnr"] == scores["box_psnr_median"] == math.inf
    assert math.isnan(scores["hausdorff_reported"])  # the report would have excluded every picture


def test_black_pictures_are_wrong_where_the_sphere_is():
    table = score_rendering(AllBlack(), batches(), OURS)
    assert {len(values) for values in table.values()} == {4}
    seen = table["coverage"] > 0
    assert seen.tolist() == [True, True, True, False]
    assert table["silhouette_iou"].nan_to_num(nan=-1).tolist() == [0, 0, 0, -1]
    assert table["box_mse"].isnan().tolist() == [False, False, False, True]
    torch.testing.assert_close(table["l1_reported"], 2 * table["l1"])
    assert (table["hausdorff"][seen] == pytest.approx(math.hypot(32, 32))) and table["hausdorff"][3] == 0


def test_the_checkerboard_is_relative_to_what_the_true_picture_has_of_it():
    x = torch.arange(8, dtype=torch.float64)
    wave, fast = (2 * torch.pi * x / 8).sin().expand(3, 8, 8), (torch.pi * x).cos().expand(3, 8, 8)
    truth = 0.5 + 0.2 * wave + 0.1 * fast  # variances 0.02 and 0.01: a third alternates
    target = torch.stack((truth, truth, truth, torch.zeros(3, 8, 8)))
    pred = torch.stack((0.5 + 0.4 * fast, 0.5 + 0.2 * wave, torch.full((3, 8, 8), 0.5, dtype=torch.float64), truth))
    scores = score_pictures(pred, {"image": target, "mask": torch.ones(4, 1, 8, 8)}, ["checkerboard"])["checkerboard"]
    assert scores[:3].tolist() == pytest.approx([3, 0, 0], abs=1e-9)  # all, nothing, one colour
    assert scores[3].isnan()  # black is the truth: nothing to set it against


def test_decibels_are_those_of_the_mean_error_over_pictures():
    numbers = summarize_scores({"mse": torch.tensor([0.0, 0.02]), "box_mse": torch.tensor([0.1, math.nan, 0.001]),
                                "hausdorff_reported": torch.tensor([math.nan, 4.0, 6.0]),
                                "coverage": torch.tensor([0.5, 0.5])})
    assert numbers == {"psnr": pytest.approx(20), "box_psnr": pytest.approx(-10 * math.log10(0.0505)),
                       "box_psnr_median": pytest.approx(30), "hausdorff_reported": 5,
                       "hausdorff_counted": pytest.approx(2 / 3)}


def test_a_set_without_any_sphere_has_no_score_of_the_box():
    scores = evaluate_rendering(AllBlack(), [{name: part[1:] for name, part in batches()[1].items()}], QUICK)
    assert scores["psnr"] == math.inf and math.isnan(scores["box_psnr"]) and math.isnan(scores["silhouette_iou"])


def test_a_score_whose_weights_are_absent_is_left_out(monkeypatch, tmp_path):
    def absent(pred, target, box):
        raise BackboneUnavailable("squeeze", tmp_path, "is not there")

    monkeypatch.setitem(rendering_scores.SCORES, "lpips", absent)
    assert list(evaluate_rendering(Perfect(), batches(), ("lpips", "l1"))) == ["l1"]


def test_predictions_are_clipped_before_they_are_scored():
    batch = batches()[0]
    bright = batch | {"image": torch.ones_like(batch["image"])}
    assert score_pictures(torch.full_like(batch["image"], 3.0), bright, ["l1"])["l1"].tolist() == [0, 0]


def test_scores_make_a_table_by_coverage():
    table = score_rendering(AllBlack(), batches(), QUICK)
    rows = by_coverage({name: table[name] for name in QUICK}, table["coverage"])
    assert (rows[0]["coverage"], rows[0]["pictures"]) == ("empty", 1)
    assert rows[-1]["silhouette_iou n"] == 3


def test_the_model_is_evaluated_in_evaluation_mode_and_left_as_it_was():
    class Watched(Perfect):
        def pictures(self, batch):
            assert not self.training
            return batch["image"]

    model = Watched().train()
    evaluate_rendering(model, batches(), QUICK)
    assert model.training


def test_unknown_scores_and_empty_sets_are_refused():
    with pytest.raises(ValueError, match="no score is called fid"):
        evaluate_rendering(Perfect(), batches(), ("fid",))
    with pytest.raises(ValueError, match="no batches"):
        evaluate_rendering(Perfect(), [])
