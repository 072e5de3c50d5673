import math

import pytest
import torch
from torch import nn

from htcv_lib.metrics.flip import flip_map
from htcv_lib.neural_renderer.baselines import AllBlack
from htcv_lib.neural_renderer.scenes import sample_scenes, scene_batch, sweep_scenes
from htcv_lib.neural_renderer.scores import (
    QUICK,
    SCORES,
    chosen_rows,
    contact_sheet,
    coverage_frame,
    evaluate_rendering,
    score_pictures,
    score_rendering,
    summarize_scores,
    text,
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
    torch.testing.assert_close(table["l1_reported"], 2 * table["l1"])  # from black at -1 to white at 1
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


def test_predictions_are_clipped_before_they_are_scored():
    batch = batches()[0]
    bright = batch | {"image": torch.ones_like(batch["image"])}
    assert score_pictures(torch.full_like(batch["image"], 3.0), bright, ["l1"])["l1"].tolist() == [0, 0]


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


class Grey(nn.Module):
    """Draws one grey level, which may be out of range, and only in evaluation mode."""

    def __init__(self, level: float):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(level))

    def pictures(self, batch):
        assert not self.training
        return self.level.expand_as(batch["image"])


def walk(steps: int, size: int | tuple[int, int] = 16, field: str = "diffuse_b") -> dict[str, torch.Tensor]:
    """Pictures that differ in one number."""
    return scene_batch(sweep_scenes("easy", field, steps), "easy", size)


def lit_pictures(lit_pixels: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of 2 x 4 pixels with a sphere on the left half, so many of its four pixels lit; and masks."""
    image, mask = torch.zeros(len(lit_pixels), 3, 2, 4), torch.zeros(len(lit_pixels), 1, 2, 4)
    mask[:, :, :, :2] = 1
    image[:, 0, :, 2:] = 1.0  # bright, but beside the sphere
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    for number, count in enumerate(lit_pixels):
        for row, column in places[:count]:
            image[number, 1, row, column] = 0.3  # one channel is enough
    return image, mask


def test_without_errors_all_scenes_are_shown_in_order():
    first, second = walk(2, (16, 24)), walk(3, (16, 24), "light_x")
    sheet = contact_sheet(Grey(0.25), [first, second])
    assert sheet.rows == ["scene 1", "scene 2", "scene 3", "scene 4", "scene 5"]
    assert sheet.tiles.shape == (5, 3, 3, 16, 24)
    truth = torch.cat((first["image"], second["image"]))
    assert torch.equal(sheet.tiles[:, 0], truth) and (sheet.tiles[:, 1] == 0.25).all()


def test_the_third_picture_is_the_flip_error_as_grey():
    batch = walk(3)
    wrong = contact_sheet(AllBlack(), [batch]).tiles[:, 2]
    expected = flip_map(torch.zeros_like(batch["image"]), batch["image"]).to(wrong)
    for channel in wrong.unbind(1):
        torch.testing.assert_close(channel, expected)
    assert wrong.max() > 0.1
    assert contact_sheet(Perfect(), [batch]).tiles[:, 2].max().item() == pytest.approx(0, abs=1e-6)


def test_large_pictures_are_halved_until_they_fit():
    batch = walk(2, 32)
    tiles = contact_sheet(Grey(0.5), [batch], largest=12).tiles
    assert tiles.shape == (2, 3, 3, 8, 8)  # 16 is still too wide
    corner = batch["image"][:, :, 12:16, 16:20].mean((2, 3))
    torch.testing.assert_close(tiles[:, 0, :, 3, 4], corner)
    assert contact_sheet(Grey(0.5), [batch], largest=32).tiles.shape[-2:] == (32, 32)


def test_outputs_are_clipped_and_the_model_left_as_it_was():
    model = Grey(3.0).train()
    tiles = contact_sheet(model, [walk(2)]).tiles
    assert (tiles[:, 1] == 1).all() and tiles.max() == 1 and tiles.min() == 0
    assert model.training and not tiles.requires_grad


def test_scenes_are_chosen_by_coverage_among_the_well_lit_and_by_error_among_all():
    image, mask = lit_pictures([3] * 11 + [1, 0])  # the last two, and the largest, are dark
    coverage = torch.tensor([0.11, 0.1, 0.09, 0.08, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01, 0.5, 0.6])
    error = torch.tensor([5.0, math.nan, 1, 2, 3, 4, 6, 7, 8, 9, math.nan, 12, 10])
    rows, chosen = chosen_rows(image, mask, error, coverage)
    assert rows == ["small", "medium", "large", "largest", "median", "second worst", "worst"]
    # ranks 1, 4, 7, 9 of 0 to 10, smallest first; errors 1 to 10 and 12, the sixth of eleven is 6
    assert chosen == [9, 6, 3, 1, 6, 12, 11]
    assert chosen_rows(image, mask, error.flip(0), coverage)[1][:4] == chosen[:4]  # the same for every model


def test_well_lit_is_half_of_the_sphere_but_not_a_quarter():
    image, mask = lit_pictures([1, 2, 1])
    rows, chosen = chosen_rows(image, mask, torch.full((3,), math.nan), torch.tensor([0.1, 0.2, 0.3]))
    assert chosen == [1] * 4 and rows == ["small", "medium", "large", "largest"]


def test_a_perfect_model_has_an_order_too_and_an_infinite_error_is_the_worst():
    image, mask = lit_pictures([0, 0, 0])
    assert chosen_rows(image, mask, torch.zeros(3), torch.zeros(3)) == (["median", "second worst", "worst"], [1, 1, 2])
    assert chosen_rows(image, mask, torch.tensor([math.inf, 1.0, 0.0]), torch.zeros(3))[1] == [1, 1, 0]


def test_two_known_errors_have_no_ranks():
    image, mask = lit_pictures([0, 0, 0])
    assert chosen_rows(image, mask, torch.tensor([1.0, math.nan, 2.0]), torch.zeros(3)) == ([], [])


def test_a_sheet_of_chosen_scenes_has_their_pictures():
    batch = walk(4, 16, "light_x")
    error, coverage = torch.tensor([0.3, 0.1, 0.2, 0.4]), batch["mask"].flatten(1).mean(1)
    sheet = contact_sheet(Perfect(), [{name: part[:3] for name, part in batch.items()},
                                      {name: part[3:] for name, part in batch.items()}], error, coverage)
    assert sheet.rows[-3:] == ["median", "second worst", "worst"]
    assert torch.equal(sheet.tiles[-3:, 0], batch["image"][[0, 0, 3]])  # of 0.1, 0.2, 0.3, 0.4
    assert torch.equal(sheet.tiles[:, 0], sheet.tiles[:, 1]) and len(sheet.tiles) == len(sheet.rows) == 7


def test_scores_become_text_by_coverage():
    nan = math.nan
    frame = coverage_frame({
        "coverage": torch.tensor([0.0, 0.01, 0.03, 0.03], dtype=torch.float64),  # a row holds its upper edge
        "box_mse": torch.tensor([nan, 0.1, 0.01, 0.03]), "silhouette_iou": torch.tensor([nan, 0.5, 0.25, 1.0]),
        "highlight_error": torch.tensor([nan, nan, 3.0, nan]), "flip": torch.tensor([0.0, 0.1, 0.2, 0.3]),
        "ssim": torch.tensor([1.0, 0.9, 0.8, 0.6]), "lpips": torch.zeros(4)})
    assert list(frame) == ["Coverage", "Pictures", "PSNR in the box, dB", "Silhouette IoU", "Highlight error, px",
                           "FLIP", "SSIM"]
    assert frame.to_numpy().tolist() == [
        ["empty", 1, "n/a", "n/a", "n/a", "0.0000", "1.000"],
        ["0-1 %", 1, "10.0", "0.500", "n/a", "0.1000", "0.900"],
        ["1-5 %", 2, "17.0", "0.625", "3.0", "0.2500", "0.700"],  # mean squared error 0.02
        ["all", 4, "13.3", "0.583", "3.0", "0.1500", "0.825"],  # 0.14 / 3
    ]


def test_what_is_not_a_number_is_not_available():
    assert (text(math.nan, ".1f"), text(math.inf, ".1f"), text(0.25, ".3f")) == ("n/a", "inf", "0.250")
