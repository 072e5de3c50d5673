import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion

from htcv_lib.metrics.segmentation import boundary_confusion, boundary_iou, boundary_labels


def test_the_band_is_what_an_erosion_takes_away():
    labels = torch.ones(1, 6, 8, dtype=torch.int64)
    labels[0, 1:6, 1:7] = 0  # 5 x 6 pixels; eroded by one: 3 x 4
    band = boundary_labels(labels, 2)  # d = round(0.02 * 10) at least 1
    assert (band == 0).sum() == 30 - 12
    assert band[0, 2:5, 2:6].eq(2).all()


def test_an_object_at_the_edge_of_the_image_has_its_outline_there():
    band = boundary_labels(torch.zeros(1, 5, 5, dtype=torch.int64), 1)
    assert band[0].tolist() == [[0] * 5] + [[0, 1, 1, 1, 0]] * 3 + [[0] * 5]


def test_it_agrees_with_erosion_of_each_mask_by_scipy():
    generator = torch.Generator().manual_seed(2)
    coarse = torch.randint(0, 3, (2, 3, 4), generator=generator)
    labels = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)  # (2, 24, 32), diagonal 40
    bands = boundary_labels(labels, 3, dilation_ratio=0.05)  # d = 2
    for image, band in zip(labels.numpy(), bands.numpy(), strict=True):
        for c in range(3):
            eroded = binary_erosion(image == c, np.ones((3, 3)), iterations=2)
            assert np.array_equal(band == c, (image == c) & ~eroded)


def test_identical_maps_score_one_and_absent_classes_nothing():
    labels = torch.tensor([[[0, 0, 1], [0, 1, 1]]])
    iou = boundary_iou(labels, labels, 3)
    assert iou[:2].tolist() == [1.0, 1.0] and iou[2].isnan()


def test_bands_of_a_shifted_square_worked_by_hand():
    target = torch.ones(1, 6, 12, dtype=torch.int64)
    target[0, 1:5, 1:5] = 0  # 4 x 4: 12 pixels in its band, 2 x 2 inside
    pred = target.roll(1, dims=2)
    # the bands share row 1 and row 4 (3 pixels each), and (2, 4), (3, 4) against (2, 2), (3, 2) not: 6 in all
    assert boundary_iou(pred, target, 2)[0].item() == pytest.approx(6 / (12 + 12 - 6))


def test_counts_of_batches_add_up():
    generator = torch.Generator().manual_seed(3)
    pred, target = (torch.randint(0, 2, (4, 6, 9), generator=generator) for _ in range(2))
    parts = boundary_confusion(pred[:1], target[:1], 2) + boundary_confusion(pred[1:], target[1:], 2)
    assert torch.equal(parts, boundary_confusion(pred, target, 2))
