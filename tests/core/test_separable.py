import pytest
import torch
from scipy import ndimage

from htcv_lib.image import separable_filter

BORDERS = {"replicate": "nearest", "symmetric": "reflect"}  # ours -> SciPy's


@pytest.mark.parametrize("border", BORDERS)
def test_a_filter_agrees_with_scipy_also_where_the_kernel_is_wider_than_the_image(border):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 4, 9, generator=generator, dtype=torch.float64)
    down, across = torch.rand(13, generator=generator), torch.rand(5, generator=generator)
    ours = separable_filter(images, down, across, border)
    kernel = torch.outer(down.double(), across.double()).numpy()
    for image, filtered in zip(images.flatten(0, 1), ours.flatten(0, 1), strict=True):
        expected = ndimage.correlate(image.numpy(), kernel, mode=BORDERS[border])
        assert torch.allclose(filtered, torch.from_numpy(expected), atol=1e-12)


def test_single_precision_images_stay_so_and_an_unknown_border_is_refused():
    kernel = torch.ones(3)
    assert separable_filter(torch.ones(1, 2, 3), kernel, kernel).dtype == torch.float32
    with pytest.raises(ValueError, match="replicate"):
        separable_filter(torch.ones(1, 2, 3), kernel, kernel, border="zeros")
