import math

import pytest
import skimage.metrics
import torch

from htcv_lib.metrics.pictures import bits_per_dim, gradient_energy, image_ssim, psnr_of


def test_an_error_of_a_hundredth_is_20_db():
    assert psnr_of(0.01) == pytest.approx(20)
    assert psnr_of(torch.tensor([0.1, 0.001])).tolist() == pytest.approx([10, 30])
    assert psnr_of(0.0) == math.inf


def test_ssim_agrees_with_scikit_image_and_is_one_for_the_same_image():
    generator = torch.Generator().manual_seed(0)
    image, pred = (torch.rand(2, 3, 13, 17, generator=generator) for _ in range(2))
    pred = 0.6 * image + 0.4 * pred
    ours = image_ssim(pred, image)
    for i in range(2):
        _, full = skimage.metrics.structural_similarity(
            image[i].numpy(), pred[i].numpy(), data_range=1.0, channel_axis=0, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, full=True)
        assert ours[i].item() == pytest.approx(full[:, 5:-5, 5:-5].mean(), abs=1e-4)  # no padding
    assert image_ssim(image, image).tolist() == pytest.approx([1, 1])


def test_ssim_of_an_image_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match="at least 11"):
        image_ssim(torch.rand(1, 1, 10, 12), torch.rand(1, 1, 10, 12))


def test_gradient_energy_worked_by_hand_and_a_quarter_at_half_the_contrast():
    image = torch.tensor([[[[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]]]])
    # down: 0, 0, -1 squared, mean 1/3; across: 1, 0 and 1, -1 squared, mean 3/4
    assert gradient_energy(image).tolist() == pytest.approx([1 / 3 + 3 / 4])
    assert gradient_energy(image / 2).tolist() == pytest.approx([(1 / 3 + 3 / 4) / 4])


def test_a_uniform_guess_over_256_levels_is_8_bits():
    assert bits_per_dim(12 * math.log(256), 12) == pytest.approx(8)
