import math

import numpy as np
import pytest
import torch

from htcv_lib.decomposer.scores import irradiance_scores, layer_correlation, layer_mae, mean_where


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
