import pytest
import torch

from htcv_lib.mask_depth.baselines import EmptyMask, MeanMaskDepth, RowDepth

# two pictures of 2 x 2 pixels
MASKS = torch.tensor([[[[0.0, 1], [0, 1]]], [[[0.0, 0], [0, 1]]]])
DEPTHS = torch.tensor([[[[0.8, 0.6], [0.2, 0.2]]], [[[1.0, 0.8], [0.4, 0.2]]]])
PICTURES = torch.rand(3, 6, 2, 2)


def batches():
    return [{"mask": MASKS[i : i + 1], "depth": DEPTHS[i : i + 1]} for i in range(2)]


def test_the_mean_is_that_of_all_pictures_and_the_same_for_every_picture():
    output = MeanMaskDepth().fit(batches())(PICTURES)
    assert output.mask.shape == output.depth.shape == (3, 1, 2, 2) and output.raw.shape == (3, 2, 2, 2)
    for i in range(3):
        torch.testing.assert_close(output.mask[i, 0], torch.tensor([[0.0, 0.5], [0, 1]]))
        torch.testing.assert_close(output.depth[i, 0], torch.tensor([[0.9, 0.7], [0.3, 0.2]]))


def test_a_larger_batch_counts_for_more():
    output = MeanMaskDepth().fit([{"mask": MASKS, "depth": DEPTHS}, {"mask": 1 + 0 * MASKS[:1], "depth": DEPTHS[:1]}])
    assert output.mean[0, 0, 0].item() == pytest.approx(1 / 3)


def test_the_empty_mask_has_one_depth():
    output = EmptyMask().fit(batches())(PICTURES)
    assert output.mask.abs().max() == 0
    torch.testing.assert_close(output.depth, torch.full((3, 1, 2, 2), 0.525))


def test_row_depth_is_equal_along_rows():
    output = RowDepth().fit(batches())(PICTURES)
    assert output.mask.abs().max() == 0
    torch.testing.assert_close(output.depth[1, 0], torch.tensor([[0.8, 0.8], [0.25, 0.25]]))


def test_a_fitted_baseline_is_restored_from_its_state():
    fitted = RowDepth().fit(batches())
    assert set(fitted.state_dict()) == {"mean"}
