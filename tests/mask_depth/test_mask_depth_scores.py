import torch

from htcv_lib.mask_depth.scores import score_mask_depth
from htcv_lib.metrics.pictures import image_ssim

HIGHER = ("mask_iou", "mask_dice", "boundary_f", "delta1", "delta2", "delta3", "depth_ssim")
LOWER = ("mask_rmse", "depth_rmse", "abs_rel")


def test_every_image_gets_every_score_and_a_perfect_one_the_best():
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(2, 1, 20, 24)
    mask[..., 5:15, 6:16] = 1
    depth = 0.1 + 0.8 * torch.rand(2, 1, 20, 24, generator=generator)
    pred_mask, pred_depth = mask.clone(), depth.clone()
    pred_mask[1] = mask[1].roll(5, dims=-1)
    pred_depth[1] = 0.5
    scores = score_mask_depth(pred_mask, pred_depth, mask, depth)
    assert set(scores) == {*HIGHER, *LOWER}
    for name, values in scores.items():
        assert values.shape == (2,) and values.dtype == torch.float64, name
    torch.testing.assert_close(torch.stack([scores[name][0] for name in HIGHER]), torch.ones(7).double())
    assert [scores[name][0].item() for name in LOWER] == [0, 0, 0]
    assert all(scores[name][1] < 1 for name in HIGHER) and all(scores[name][1] > 0 for name in LOWER)
    torch.testing.assert_close(scores["depth_ssim"], image_ssim(pred_depth, depth).double())
