import pytest
import skimage.metrics
import torch

from htcv_lib.neural_renderer.regions import flat_ssim, mean_l1_reported, ssim_reported, stretched


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


def test_the_mean_difference_is_twice_that_of_pictures_from_zero_to_one():
    pred, target = torch.zeros(2, 3, 2, 4), torch.zeros(2, 3, 2, 4)
    pred[0, :, 0, 0] = 0.5  # 3 of 24 numbers
    assert mean_l1_reported(pred, target).tolist() == pytest.approx([2 * 0.5 * 3 / 24, 0])


def test_stretching_gives_each_picture_its_own_extremes():
    image = torch.tensor([[[[0.2, 0.3, 0.4]]], [[[0.5, 0.5, 0.5]]]])
    assert stretched(image).flatten().tolist() == pytest.approx([0, 0.5, 1, 0, 0, 0])
