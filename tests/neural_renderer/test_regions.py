import math

import pytest
import skimage.metrics
import torch

from htcv_lib.image import ssim_map
from htcv_lib.neural_renderer.regions import (
    box_mask,
    box_mse,
    box_ssim,
    brightest_spot,
    flat_ssim,
    highlight_error,
    picture_silhouette,
    silhouette_iou,
    ssim_reported,
    stretched,
    visible_box,
)


def test_the_box_ends_at_the_outer_sides_of_the_outermost_pixels():
    mask = torch.zeros(2, 1, 5, 7)
    mask[0, 0, 1, 4] = mask[0, 0, 3, 2] = 1
    assert visible_box(mask)[0].tolist() == [2, 1, 5, 4]


def test_an_empty_mask_has_no_box():
    assert visible_box(torch.zeros(1, 1, 3, 4)).isnan().all()


def test_a_full_mask_has_the_picture_as_its_box():
    assert visible_box(torch.ones(1, 1, 3, 4)).tolist() == [[0, 0, 4, 3]]


def test_a_box_holds_the_pixels_whose_centres_are_within_its_margin():
    box = torch.tensor([[5.0, 4.0, 7.0, 5.0], [-20.0, 2.0, -18.0, 4.0], [math.nan] * 4])
    mask = box_mask(box, (8, 10), margin=2.0)
    columns, rows = mask[0, 0].any(dim=0), mask[0, 0].any(dim=1)
    assert columns.nonzero().flatten().tolist() == [3, 4, 5, 6, 7, 8]  # centres 3.5 to 8.5 within 3 to 9
    assert rows.nonzero().flatten().tolist() == [2, 3, 4, 5, 6]
    assert mask[0].sum() == 30 and mask[1:].sum() == 0


def test_an_error_outside_the_box_does_not_count_and_one_inside_is_shared_by_its_pixels_only():
    target = torch.zeros(2, 3, 30, 40)
    pred = target.clone()
    pred[0, :, 20:, 30:] = 1.0
    pred[1, 0, 6, 7] = 0.6  # one channel of one pixel
    box = torch.tensor([[6.0, 6.0, 8.0, 7.0]]).repeat(2, 1)  # 10 x 9 pixels with the margin of 4
    assert box_mse(pred, target, box).tolist() == pytest.approx([0, 0.36 / 270])


def test_a_box_outside_the_picture_has_no_score():
    box = torch.tensor([[50.0, 5.0, 60.0, 15.0]])
    image = torch.rand(1, 3, 30, 40)
    assert box_mse(image, image, box).isnan().all() and box_ssim(image, image, box).isnan().all()


def test_ssim_in_a_box_is_scikit_images_map_averaged_there(spheres):
    target, pred = spheres[:3], (0.8 * spheres[:3] + 0.2 * spheres[3:6])
    box = torch.tensor([[10.0, 8.0, 24.0, 20.0]]).repeat(3, 1)
    ours = box_ssim(pred, target, box)
    for i in range(3):
        _, full = skimage.metrics.structural_similarity(
            target[i].double().numpy(), pred[i].double().numpy(), data_range=1.0, channel_axis=0,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True)
        assert torch.allclose(ssim_map(pred[i], target[i]), torch.from_numpy(full), atol=1e-9)
        assert ours[i].item() == pytest.approx(full[:, 4:24, 6:28].mean(), abs=1e-9)
    assert box_ssim(target, target, box).tolist() == pytest.approx([1, 1, 1])


def test_the_silhouette_holds_unlit_pixels_and_the_iou_is_counted_in_pixels():
    target = torch.zeros(3, 3, 5, 8)
    target[:2, :, 1:3, 2:6] = 0.03  # eight pixels with ambient light only
    pred = torch.zeros(3, 3, 5, 8)
    pred[0, :, 1:3, 4:8] = 0.5  # eight pixels, four of them shared
    pred[0, 0, 0, 0] = 0.03  # noise in one channel: not half the ambient light on average
    assert picture_silhouette(target).sum(dim=(1, 2, 3)).tolist() == [8, 8, 0]
    iou = silhouette_iou(pred, target)
    assert iou[:2].tolist() == pytest.approx([4 / 12, 0]) and iou[2].isnan()


def test_the_brightest_spot_is_white_not_colourful():
    image = torch.zeros(1, 3, 9, 14)
    image[:, 0, 1, 1] = 1.0  # pure red
    image[..., 5, 8] = image[..., 5, 9] = 0.9
    image[..., 6, 8] = 0.8  # not 95 % of the peak
    assert brightest_spot(image).tolist() == [[9.0, 5.5]]
    assert brightest_spot(image * 0.01).isnan().all()


def test_a_highlight_is_off_by_pixels_and_a_black_prediction_by_the_diagonal():
    def spot(x: int, y: int, value: float) -> torch.Tensor:
        image = torch.zeros(1, 3, 30, 40)
        image[..., y, x] = value
        return image

    target = torch.cat([spot(10, 10, 1.0), spot(10, 10, 1.0), spot(10, 10, 1.0), spot(10, 10, 0.3)])
    pred = torch.cat([spot(13, 14, 0.2), spot(10, 10, 0.9), spot(0, 0, 0.0), spot(10, 10, 0.3)])
    error = highlight_error(pred, target)
    assert error[:3].tolist() == pytest.approx([5, 0, 50]) and error[3].isnan()  # the last target has no highlight


def test_the_reported_ssim_is_scikit_images_of_bytes_with_range_one(spheres):
    pred, target = spheres[:6], spheres[6:]
    ours = ssim_reported(pred, target)
    for i in range(6):
        x, y = ((image[i].permute(1, 2, 0) * 255 + 0.5).to(torch.uint8).numpy() for image in (target, pred))
        theirs = skimage.metrics.structural_similarity(x, y, channel_axis=-1, data_range=1)
        assert ours[i].item() == pytest.approx(theirs, abs=1e-6)


def test_range_one_of_stretched_pictures_agrees_with_scikit_image(spheres):
    pred, target = stretched(spheres[:6] * 0.4), stretched(spheres[6:])
    ours = flat_ssim(pred, target)
    for i in range(6):
        theirs = skimage.metrics.structural_similarity(
            target[i].double().numpy(), pred[i].double().numpy(), channel_axis=0, data_range=1)
        assert ours[i].item() == pytest.approx(theirs, abs=1e-6)


def test_grey_levels_nobody_sees_destroy_the_reported_score_only():
    target = torch.zeros(1, 3, 20, 30)
    pred = torch.randint(0, 3, target.shape, generator=torch.Generator().manual_seed(0)) / 255
    assert ssim_reported(target, target).item() == pytest.approx(1)
    assert ssim_reported(pred, target).item() < 0.01
    assert flat_ssim(pred, target).item() > 0.7


def test_stretching_gives_each_picture_its_own_extremes():
    image = torch.tensor([[[[0.2, 0.3, 0.4]]], [[[0.5, 0.5, 0.5]]]])
    assert stretched(image).flatten().tolist() == pytest.approx([0, 0.5, 1, 0, 0, 0])
