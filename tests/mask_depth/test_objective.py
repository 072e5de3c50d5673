"""Objective and scores of networks for mask and depth, on predictors whose answers are known."""

import pytest
import torch
from torch import nn

from htcv_lib.mask_depth.losses import mask_depth_loss
from htcv_lib.mask_depth.objective import (
    Predicted,
    evaluate_mask_depth,
    mask_depth_objective,
    predict_mask_depth,
    score_pictures_of,
    score_pseudo_truth,
    summarize_mask_depth,
)
from htcv_lib.mask_depth.output import MaskDepth


class Oracle(nn.Module):
    """Reads mask and depth off the picture's channels, and notes the mode it is called in."""

    def __init__(self, shift: float = 0.0):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))
        self.modes = []

    def forward(self, image):
        self.modes.append(self.training)
        return MaskDepth(image[:, :1], image[:, 1:2] + self.shift, image[:, :2])


def picture(batch):
    return batch["image"]


def batches(count=3, size=16):
    """Pictures whose channels are their own truth; the last one holds no object."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(count, 3, size, size, generator=generator) * 0.5 + 0.25
    image[:, 0] = 0
    image[: count - 1, 0, 4:9, 4:9] = 1  # odd sides: some energy at the finest period
    return [{"image": part, "mask": part[:, :1], "depth": part[:, 1:2]} for part in image.split(2)]


def test_the_objective_is_the_loss_of_what_the_network_is_shown():
    batch = batches()[0]
    terms = mask_depth_objective(Oracle(0.1), batch, mask_depth_loss("l1_mean"), picture)
    assert terms["loss"].item() == pytest.approx(0.05)  # half of the depth's mean error
    assert terms["mask"].item() == 0


def test_a_perfect_prediction_scores_perfectly_and_an_empty_picture_is_seen_empty():
    scores = evaluate_mask_depth(Oracle(), batches(), picture)
    assert (scores["mask_iou"], scores["boundary_f"], scores["empty_right"], scores["delta1"]) == (1, 1, 1, 1)
    assert scores["depth_rmse"] == 0
    assert scores["mask_checkerboard"] == pytest.approx(1)


def test_depth_off_by_a_constant_has_this_rmse_and_the_loss_is_weighted_by_pictures():
    model = Oracle(0.1)
    scores = evaluate_mask_depth(model, batches(), picture, loss=mask_depth_loss("l1_sum"))
    assert len(model.modes) == 2  # one pass gives the scores and the loss
    assert scores["depth_rmse"] == pytest.approx(0.1, rel=1e-5)
    one = 0.1 * 16 * 16  # of a picture; batches of two pictures and of one
    assert scores["loss"] == pytest.approx((2 * 2 * one + one) / 3, rel=1e-5)


def test_scores_of_the_mask_leave_out_pictures_without_an_object():
    data = batches()
    pred = predict_mask_depth(Oracle(), data, picture)
    missed = Predicted(torch.zeros_like(pred.mask), pred.depth)
    found = summarize_mask_depth(score_pictures_of(missed, data))
    assert found["mask_iou"] == 0  # with the third picture it would be 1/3
    assert found["empty_right"] == 1
    assert "mask_checkerboard" not in found  # flat


def test_one_pixel_called_in_an_empty_picture_is_a_false_alarm():
    data = batches()
    pred = predict_mask_depth(Oracle(), data, picture)
    alarm = pred.mask.clone()
    alarm[2, 0, 0, 0] = 0.6
    assert summarize_mask_depth(score_pictures_of(Predicted(alarm, pred.depth), data))["empty_right"] == 0


def test_predicting_is_done_in_evaluation_mode_and_leaves_the_mode_alone():
    model = Oracle().train()
    pred = predict_mask_depth(model, batches(), picture)
    assert model.modes == [False, False] and model.training
    assert pred.mask.shape == (3, 1, 16, 16)


def test_no_batches_is_an_error():
    with pytest.raises(ValueError, match="no batches to evaluate"):
        predict_mask_depth(Oracle(), [], picture)


def test_pseudo_truth_is_judged_up_to_scale_and_shift_and_exchanged_ends_are_counted():
    generator = torch.Generator().manual_seed(1)
    truth = torch.rand(2, 1, 12, 12, generator=generator)
    mask = (truth > 0.5).float()
    depth = torch.stack([0.3 * truth[0] + 0.2, 1 - truth[1]])
    found = score_pseudo_truth(Predicted(mask, depth), mask, truth)
    assert found["real_mask_iou"] == 1
    assert found["real_depth_rmse"] == pytest.approx(0, abs=1e-6)
    assert found["real_depth_order"] == 0.5
