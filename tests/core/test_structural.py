import math

import pytest
import torch
from pytorch_msssim import ssim
from pytorch_msssim.ssim import _ssim
from scipy import ndimage

from htcv_lib.image import _windows, similarity_maps
from htcv_lib.losses.similarity import SCALE_WEIGHTS, ms_ssim_loss, ssim_loss


def pictures(*size: int, dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Two related pictures with structure at several scales."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(3, *size, generator=generator, dtype=dtype)
    smooth = torch.nn.functional.avg_pool2d(noise[2], 5, stride=1, padding=2)
    return 0.5 * noise[0] + 0.5 * smooth, 0.3 * noise[0] + 0.2 * noise[1] + 0.5 * smooth


def bell(window: int) -> torch.Tensor:
    values = torch.tensor([math.exp(-((k - window // 2) ** 2) / (2 * 1.5**2)) for k in range(window)])
    return values / values.sum()


def test_windows_inside_the_picture_agree_with_pytorch_msssim():
    x, y = pictures(2, 2, 30, 41)
    ours = (1 - similarity_maps(x, y, 11, "inside")[0].mean()) / 2
    assert ours.item() == pytest.approx((1 - ssim(x, y, data_range=1.0).item()) / 2, abs=1e-6)


def test_the_loss_mirrors_the_borders_as_kornia_does():
    x, y = (image.double() for image in pictures(1, 1, 14, 19))
    kernel = bell(11).double().numpy()

    def blurred(image: torch.Tensor) -> torch.Tensor:  # SciPy's "mirror" does not repeat the outermost pixel
        rows = ndimage.correlate1d(image[0, 0].numpy(), kernel, axis=0, mode="mirror")
        return torch.from_numpy(ndimage.correlate1d(rows, kernel, axis=1, mode="mirror"))

    mx, my = blurred(x), blurred(y)
    vx, vy, cov = blurred(x * x) - mx**2, blurred(y * y) - my**2, blurred(x * y) - mx * my
    expected = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    assert ssim_loss(x, y).item() == pytest.approx((1 - expected.mean().item()) / 2, abs=1e-7)


def test_equal_pictures_cost_nothing_and_flat_ones_differ_in_luminance_alone():
    x, _ = pictures(2, 1, 48, 33)
    assert ssim_loss(x, x).item() == pytest.approx(0, abs=1e-6)
    assert ms_ssim_loss(x, x).item() == pytest.approx(0, abs=1e-6)
    low, high = (torch.full((1, 1, 12, 12), value, dtype=torch.float64) for value in (0.2, 0.6))
    luminance = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim_loss(low, high).item() == pytest.approx((1 - luminance) / 2, abs=1e-12)


@pytest.mark.parametrize(("size", "scales"), [((64, 96), 2), ((84, 90), 3), ((44, 30), 1)])
def test_several_scales_agree_with_the_product_of_pytorch_msssims_factors(size, scales):
    # a window of 21 fits 64 -> 32, 84 -> 42 -> 21, and 30 only once
    x, y = pictures(2, 2, *size)
    weights = torch.tensor(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    expected, window = 1.0, bell(21).expand(2, 1, 1, 21)
    a, b = x, y
    for scale, weight in enumerate(weights):
        whole, contrast = _ssim(a, b, 1.0, window)
        expected = expected * ((1 + (whole if scale == scales - 1 else contrast)) / 2) ** weight
        a, b = (torch.nn.functional.avg_pool2d(image, 2) for image in (a, b))
    assert ms_ssim_loss(x, y).item() == pytest.approx((1 - expected.mean().item()) / 2, abs=1e-5)


def test_five_scales_at_80_pixels_shrink_the_window_and_too_many_are_refused():
    x, y = pictures(1, 1, 80, 80)
    assert 0 < ms_ssim_loss(x, y, scales=5).item() < 0.5
    assert ms_ssim_loss(x, y, scales=2).item() == ms_ssim_loss(x, y).item()
    for wrong in ({"scales": 6}, {"scales": 0}, {"window": 81}):
        with pytest.raises(ValueError, match="do not fit"):
            ms_ssim_loss(x, y, **wrong)


def test_an_anticorrelated_picture_has_a_finite_gradient_at_every_scale():
    x = pictures(1, 1, 64, 64)[0].requires_grad_()
    ms_ssim_loss(x, 1 - x.detach()).backward()
    assert x.grad.isfinite().all() and x.grad.abs().max() > 0


@pytest.mark.parametrize("loss", [lambda x, y: ssim_loss(x, y, window=5), lambda x, y: ms_ssim_loss(x, y, window=5)])
def test_gradients_agree_with_finite_differences(loss):
    x, y = pictures(1, 1, 11, 13, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda image: loss(image, y), x.requires_grad_())


def test_autocast_does_not_round_the_products():
    x, y = pictures(1, 1, 32, 32)
    plain = ssim_loss(x, y).item()
    with torch.autocast("cpu", torch.bfloat16):
        assert ssim_loss(x, y).item() == plain


def test_a_window_first_used_without_gradients_serves_a_training_afterwards():
    _windows.cache_clear()
    x, y = pictures(1, 1, 16, 16)
    with torch.inference_mode():
        before = ssim_loss(x, y).item()
    loss = ssim_loss(x.requires_grad_(), y)
    loss.backward()
    assert loss.item() == before and x.grad.abs().max() > 0


def test_pictures_smaller_than_the_window_and_even_windows_are_refused():
    small = torch.rand(1, 1, 5, 20)
    with pytest.raises(ValueError, match="does not fit"):
        ssim_loss(small, small)
    with pytest.raises(ValueError, match="odd"):
        ssim_loss(small, small, window=4)
