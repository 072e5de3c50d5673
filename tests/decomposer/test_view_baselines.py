import numpy as np
import pytest
import torch

from htcv_lib.decomposer.baselines import MeanOfViews, MedianOfViews


def test_mean_and_median_of_three_views_of_a_pixel():
    views = torch.tensor([0.1, 0.9, 0.2]).view(1, 1, 3, 1, 1).expand(1, 3, 3, 2, 4)
    assert MeanOfViews()(views).unique().tolist() == pytest.approx([0.4])
    assert MedianOfViews()(views).unique().tolist() == pytest.approx([0.2])


@pytest.mark.parametrize("views", [1, 2, 5, 10])
def test_mean_and_median_are_numpys(views):
    image = torch.rand(2, 3, views, 4, 5)
    mean, median = MeanOfViews()(image), MedianOfViews()(image)
    assert mean.shape == median.shape == (2, 3, 1, 4, 5)
    assert np.allclose(mean, image.numpy().mean(2, keepdims=True), atol=1e-6)
    assert np.allclose(median, np.median(image.numpy(), axis=2, keepdims=True), atol=1e-6)


def test_a_pixel_occluded_in_less_than_half_of_the_views_is_restored_by_the_median_alone():
    image = torch.full((1, 3, 10, 2, 2), 0.3)
    image[:, :, :4] = 0.9
    assert torch.allclose(MedianOfViews()(image), torch.tensor(0.3))
    assert torch.allclose(MeanOfViews()(image), torch.tensor(0.54))
