"""Scores of a network that is trained in stages."""

import math
from types import SimpleNamespace

import pytest
import torch

from htcv_lib.decomposer.stages import describe_masks, evaluate_views, scores_of_stage, shadow_likeness

SCORES = {"original_psnr": 20.0, "irradiance_mae": 0.1, "mask_iou": 0.5, "occlusion_mae": 0.2,
          "recomposition_psnr": 25.0}


@pytest.mark.parametrize(("stage", "count"), [("original", 1), ("lighting", 2), ("mask", 3), ("joint", 3), ("rgb", 5)])
def test_heads_that_no_stage_has_trained_have_no_score(stage, count):
    assert list(scores_of_stage(stage, SCORES)) == list(SCORES)[:count]


def test_an_occlusion_branch_that_copies_and_covers_everything():
    image = torch.rand(2, 3, 4, 12, 12)
    label = torch.zeros(2, 1, 4, 12, 12)
    label[..., :6] = 1
    everywhere = SimpleNamespace(mask=torch.full((2, 1, 4, 12, 12), 0.6), occlusion=image + 0.1)
    found = describe_masks(everywhere, {"image": image, "pseudo_mask": (label * 255).to(torch.uint8)})
    assert found["mask_share"] == 1 and found["mask_label_iou"] == pytest.approx(0.5)
    assert found["occlusion_copy_psnr"] == pytest.approx(20, abs=1e-3)  # 10 log10(1 / 0.1 ** 2)


def test_a_shadow_that_shows_the_picture_is_told_from_one_that_does_not():
    half = torch.zeros(2, 3, 1, 8, 8)
    half[..., :4] = 1  # left white, right black
    painted = SimpleNamespace(shadow=0.2 + 0.6 * half[:, :1].expand(-1, -1, 4, -1, -1))
    assert shadow_likeness(painted, (half * 255).to(torch.uint8))["shadow_picture_correlation"] == pytest.approx(1)
    other = SimpleNamespace(shadow=painted.shadow.transpose(3, 4).contiguous())  # upper half light, lower half dark
    assert shadow_likeness(other, half)["shadow_picture_correlation"] == pytest.approx(0, abs=1e-9)


def test_views_drawn_with_a_known_error_have_its_psnr():
    image = torch.rand(3, 3, 2, 12, 12) * 0.5
    batches = [{"image": image[:2]}, {"image": image[2:]}]
    found = evaluate_views(lambda views: views + 0.01, batches)
    assert found["recomposition_psnr"] == pytest.approx(40, abs=1e-3) and 0.9 < found["recomposition_ssim"] < 1
    assert math.isinf(evaluate_views(lambda views: views, batches)["recomposition_psnr"])
