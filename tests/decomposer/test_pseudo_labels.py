import numpy as np
import pytest
import torch
from PIL import Image, ImageChops, ImageFilter
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu
from skimage.metrics import structural_similarity
from torch import Tensor

from htcv_lib.decomposer.labels import lighting_labels, occlusion_labels, residual_labels

LEVEL = 1 / 255


def painting(size: tuple[int, int] = (40, 48), seed: int = 0) -> Tensor:
    """(1, 3, 1, H, W): smooth noise with details, 8-bit values between 0.3 and 0.7."""
    noise = torch.rand(3, *size, generator=torch.Generator().manual_seed(seed)).numpy()
    soft = gaussian_filter(noise, (0, 1.2, 1.2))
    soft = 0.3 + 0.4 * (soft - soft.min()) / np.ptp(soft)
    return ((torch.from_numpy(soft).float() * 255).round() / 255)[None, :, None]


def shifted(original: Tensor, views: int = 4) -> Tensor:
    """Views of a painting, each a little darker than the one before."""
    return torch.cat([original * (1 - 0.03 * t) for t in range(views)], dim=2)


@pytest.fixture
def patches() -> tuple[Tensor, Tensor]:
    """A view with a bright patch on the left and a dark one on the right, and its clean picture."""
    original = painting()
    image = original.clone()
    image[..., 10:20, 6:14] += 0.2
    image[..., 10:20, 34:42] -= 0.2
    return image, original


def test_a_bright_patch_is_light_and_a_dark_one_shadow_and_nothing_else_is_either(patches):
    image, original = patches
    light, shadow, relit = lighting_labels(image, original, radius=0)
    bright, dark = torch.zeros(1, 1, 1, 40, 48), torch.zeros(1, 1, 1, 40, 48)
    bright[..., 10:20, 6:14], dark[..., 10:20, 34:42] = 0.2, 0.2
    torch.testing.assert_close(light, bright, atol=LEVEL / 2 + 1e-6, rtol=0)
    torch.testing.assert_close(shadow, 1 - dark, atol=LEVEL / 2 + 1e-6, rtol=0)
    assert torch.equal(relit[dark.expand_as(relit) + bright.expand_as(relit) == 0],
                       original[dark.expand_as(relit) + bright.expand_as(relit) == 0])


def test_a_shadow_measured_as_difference_and_used_as_factor_stays_too_bright():
    original = torch.full((1, 3, 1, 4, 4), 0.6)
    relit = lighting_labels(original * 0.5, original, radius=0).relit
    assert relit.mean().item() == pytest.approx(0.6 * (1 - 0.3), abs=LEVEL)  # not 0.3


@pytest.mark.parametrize("order", ["light_first", "light_last"])
def test_both_orders_are_their_formulas(patches, order):
    image, original = patches
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    difference = image + noise - original
    light, shadow = (torch.from_numpy(gaussian_filter(part.clamp_min(0).numpy().astype(float), (0, 0, 0, 3, 3),
                                                      mode="nearest")) for part in (difference, -difference))
    expected = {"light_first": (original + light).clamp(max=1) * (1 - shadow),
                "light_last": (original * (1 - shadow) + light).clamp(max=1)}
    found = lighting_labels(image + noise, original, radius=3 / 48, order=order).relit
    torch.testing.assert_close(found.double(), expected[order], atol=1.5 * LEVEL, rtol=0)
    assert (expected["light_first"] - expected["light_last"]).abs().max() > 2 * LEVEL


def test_the_labels_are_those_of_pillow_but_for_its_approximate_gaussian(patches):
    image, original = (Image.fromarray((values[0, :, 0].permute(1, 2, 0) * 255).round().byte().numpy())
                       for values in patches)
    light = ImageChops.subtract(image, original).filter(ImageFilter.GaussianBlur(4))
    shadow = ImageChops.invert(ImageChops.subtract(original, image)).filter(ImageFilter.GaussianBlur(4))
    pictures = [light, shadow, ImageChops.multiply(ImageChops.add(original, light), shadow)]
    found = lighting_labels(*patches, radius=4 / 48)
    for label, picture in zip(found, pictures, strict=True):
        expected = np.asarray(picture).astype(float).transpose(2, 0, 1)
        if label.shape[1] == 1:
            expected = expected.mean(axis=0, keepdims=True)
        assert np.abs(label[0, :, 0].numpy() * 255 - expected).max() <= 3


def test_labels_are_8_bit_values_of_the_agreed_shapes():
    generator = torch.Generator().manual_seed(0)
    image, original = torch.rand(2, 3, 4, 16, 20, generator=generator), painting((16, 20)).repeat(2, 1, 1, 1, 1)
    labels = lighting_labels(image, original)
    assert [tuple(label.shape) for label in labels] == [(2, 1, 4, 16, 20), (2, 1, 4, 16, 20), (2, 3, 4, 16, 20)]
    for label in labels:
        assert label.dtype == torch.float32 and 0 <= label.min() and label.max() <= 1
        torch.testing.assert_close(label * 255, (label * 255).round(), atol=1e-4, rtol=0)


def test_the_blur_follows_the_size_of_the_picture():
    def width(side: int) -> float:
        original = torch.full((1, 3, 1, side, side), 0.2)
        image = original.clone()
        image[..., side // 2:side // 2 + side // 8] = 1.0
        light = lighting_labels(image, original).light[0, 0, 0, 0]
        return float((light > light.max() / 2).sum()) / side

    assert width(32) == pytest.approx(width(128), abs=1 / 32)


def test_one_coloured_light_becomes_its_mean_over_channels():
    original = torch.full((1, 3, 1, 4, 4), 0.2)
    image = original + torch.tensor([0.6, 0.3, 0.0]).view(1, 3, 1, 1, 1)
    labels = lighting_labels(image, original)
    assert labels.light.mean().item() == pytest.approx(0.3, abs=LEVEL)
    torch.testing.assert_close(labels.relit, image, atol=LEVEL, rtol=0)


def test_wrong_orders_and_shapes_are_refused(patches):
    with pytest.raises(ValueError, match="light_last, light_first"):
        lighting_labels(*patches, order="shadow_last")
    with pytest.raises(ValueError, match="originals"):
        lighting_labels(patches[0], patches[1][:, :, 0])


def with_square(image: Tensor, views: slice) -> tuple[Tensor, Tensor]:
    """The views with a striped square pasted into some of them, and its mask."""
    image, mask = image.clone(), torch.zeros_like(image[:, :1])
    mask[:, :, views, 12:28, 14:32] = 1
    stripes = (torch.arange(image.shape[-1]) % 4 < 2).float().expand_as(image)
    return torch.where(mask > 0, stripes, image), mask


def test_a_pasted_square_is_found_by_both_mask_labels_and_nothing_else_is():
    clean = shifted(painting())
    image, mask = with_square(clean, slice(0, 4))
    found = occlusion_labels(image, clean)
    assert found.shape == mask.shape and set(found.unique().tolist()) == {0, 1}
    assert (found * mask).sum() > 0.95 * mask.sum()
    # windows of 11 pixels widen it
    grown = torch.nn.functional.max_pool2d(mask[:, 0], 13, stride=1, padding=6)[:, None]
    assert ((found > 0) <= (grown > 0)).all()
    residual = residual_labels(image, clean)
    assert (residual <= mask).all() and residual.sum() > 0.9 * mask.sum()


def test_a_view_without_an_occluder_gets_one_from_otsu():
    clean = shifted(painting())
    noisy = clean + 0.01 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    found = occlusion_labels(noisy.clamp(0, 1), clean)
    assert found.any() and not residual_labels(noisy, clean).any()


def test_equal_pictures_have_no_occluders():
    flat = torch.full((1, 3, 3, 16, 20), 0.4)
    assert not occlusion_labels(flat, flat).any()


def test_the_occlusion_labels_are_those_of_scikit_image_step_by_step():
    clean = shifted(painting(), views=2)
    image, _ = with_square(clean, slice(0, 1))
    image = (image + 0.01 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    views, lit = (np.tensordot([0.299, 0.587, 0.114], values[0].double().numpy(), 1) for values in (image, clean))
    expected = []
    for view in views:
        votes = []
        for other in lit:
            # scikit-image's reflection is ours: the border pixel is repeated
            unlike = 1 - structural_similarity(view, other, data_range=1.0, gaussian_weights=True, sigma=1.5,
                                               use_sample_covariance=False, full=True)[1]
            levels = (255 * (unlike - unlike.min()) / np.ptp(unlike)).astype(np.uint8)
            kernel = np.array([1, 4, 6, 4, 1]) / 16
            padded = np.pad(levels.astype(float), 2, mode="edge")
            rows = sum(weight * padded[i:i + 40] for i, weight in enumerate(kernel))
            blurred = (sum(weight * rows[:, i:i + 48] for i, weight in enumerate(kernel)) + 0.5).astype(np.uint8)
            votes.append(blurred > threshold_otsu(blurred))
        expected.append(np.all(votes, axis=0))
    found = occlusion_labels(image, clean)[0, 0].numpy() > 0
    assert np.mean(found != np.stack(expected)) < 0.002


def test_the_residual_asks_any_channel():
    image, relit = torch.full((1, 3, 2, 2, 3), 0.5), torch.full((1, 3, 2, 2, 3), 0.5)
    relit[0, 2, 1, 0, 1] = 0.39
    relit[0, 1, 0, 1, 2] = 0.41
    found = residual_labels(image, relit)
    assert found.shape == (1, 1, 2, 2, 3) and found.nonzero().tolist() == [[0, 0, 1, 0, 1]]
    assert residual_labels(image, relit, threshold=0.08).sum() == 2
