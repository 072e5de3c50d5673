"""Pseudo-labels of a whole set."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops, ImageFilter
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from htcv_lib.data.batches import Batches
from htcv_lib.decomposer.labels import (
    lighting_labels,
    occlusion_labels,
    residual_labels,
    score_found_masks,
    score_labels,
    with_pseudo_labels,
)
from htcv_lib.decomposer.sequences import SequenceSet

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


class Lit(NamedTuple):
    original: Tensor

    def relit(self, order: str) -> Tensor:
        return self.original.expand(-1, -1, 4, -1, -1)


class KnowsThePicture(nn.Module):
    """Relights with the median of the views."""

    def forward(self, image: Tensor, heads) -> Lit:
        assert heads == ("original", "lighting") and not self.training
        return Lit(image.median(dim=2, keepdim=True).values)


@pytest.fixture
def sequences() -> SequenceSet:
    """Three sequences of four views of a smooth picture; one view of each has a dark square."""
    ramp = torch.linspace(60, 200, 24).expand(3, 3, 1, 24, 24)
    images = ramp.repeat(1, 1, 4, 1, 1).clone()
    for place in range(3):
        images[place, :, place, 8:16, 4 + 4 * place : 12 + 4 * place] = 5
    return SequenceSet(images.to(torch.uint8), ramp.to(torch.uint8))


def test_labels_of_a_set_are_those_of_its_sequences_whatever_the_batch(sequences):
    image, original = sequences.images.float() / 255, sequences.originals.float() / 255
    expected = lighting_labels(image, original)
    mask = occlusion_labels(image, expected.relit)
    for size in (2, 8):
        batch = next(iter(Batches(with_pseudo_labels(sequences, batch_size=size), 3)))
        torch.testing.assert_close(batch["pseudo_relit"], expected.relit)
        torch.testing.assert_close(batch["pseudo_light"], expected.light)
        torch.testing.assert_close(batch["pseudo_shadow"], expected.shadow)
        assert torch.equal(batch["pseudo_mask"], mask) and 0 < mask.mean() < 0.5


def test_the_residual_of_a_model_that_knows_the_picture_is_the_occluder(sequences):
    model = KnowsThePicture().train()
    labelled = with_pseudo_labels(sequences, "residual", model)
    square = torch.zeros(3, 1, 4, 24, 24, dtype=torch.uint8)
    for place in range(3):
        square[place, 0, place, 8:16, 4 + 4 * place : 12 + 4 * place] = 255
    assert torch.equal(labelled.pseudo["pseudo_mask"], square)
    assert model.training  # as it was


@pytest.mark.parametrize(("mask", "model"), [("residual", None), ("ssim", KnowsThePicture()), ("otsu", None)])
def test_a_mask_that_cannot_be_made_is_refused(sequences, mask, model):
    with pytest.raises(ValueError, match="residual with a model"):
        with_pseudo_labels(sequences, mask, model)


# Pseudo-labels against the truth.


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(2)
    original = 0.2 + 0.6 * torch.rand(2, 3, 1, 12, 12, generator=generator)
    shadow = torch.linspace(0.4, 1, 12).expand(2, 1, 3, 12, 12)
    light = torch.zeros(2, 1, 3, 12, 12)
    mask = torch.zeros(2, 1, 3, 12, 12)
    mask[:, :, 0, :6] = 1
    return {"image": original * shadow, "original": original, "shadow": shadow, "light": light, "mask": mask,
            "pseudo_shadow": shadow, "pseudo_light": light, "pseudo_relit": original * shadow,
            "pseudo_mask": mask, "pseudo_residual": mask.roll(3, dims=3)}


def test_true_labels_have_no_error_and_a_mask_moved_by_half_its_height_a_third_of_overlap(batch):
    found = score_labels([batch])
    assert found["shadow_mae"] == 0 and found["shadow_correlation"] == pytest.approx(1)
    assert found["mask_iou"] == 1 and found["mask_share"] == pytest.approx(1 / 6)  # half of one view of three
    assert found["mask_iou_residual"] == pytest.approx(3 / 9)  # rows 3 to 5 of 0 to 8


def test_what_an_occluder_hides_does_not_count_against_a_label(batch):
    wrong = torch.where(batch["mask"] > 0.5, 0.0, batch["shadow"])
    assert score_labels([batch | {"pseudo_shadow": wrong}])["shadow_mae"] == 0
    assert score_labels([batch | {"pseudo_shadow": batch["shadow"] - 0.2}])["shadow_mae"] == pytest.approx(0.2)


def test_irradiance_is_read_from_the_labels_own_relit_picture(batch):
    known = {name: value for name, value in batch.items() if name not in ("shadow", "light")}
    linear = ((batch["shadow"] + 0.055) / 1.055) ** 2.4  # of a white pigment, where sRGB has its curve
    white = known | {"original": torch.ones(2, 3, 1, 12, 12), "pseudo_relit": batch["shadow"].expand(-1, 3, -1, -1, -1),
                     "irradiance": linear.expand(-1, 3, -1, -1, -1)}
    assert score_labels([white])["irradiance_correlation"] == pytest.approx(1, abs=1e-4)


def test_found_masks_are_ranked_by_what_is_sparse(batch):
    cut = batch["mask"] * 0  # a threshold that found nothing
    sparse = (batch["mask"] * 0.2).expand(-1, 3, -1, -1, -1)
    found = score_found_masks(lambda image: SimpleNamespace(mask=cut, sparse=sparse), [batch])
    assert found["mask_iou"] == 0 and found["mask_auprc"] == pytest.approx(1)
    plain = score_found_masks(lambda image: SimpleNamespace(mask=cut), [batch])
    assert plain["mask_auprc"] == pytest.approx(72 / 432)  # the share of positives
