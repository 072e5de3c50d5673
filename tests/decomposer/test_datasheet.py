import math

import pytest
import torch

from htcv_lib.decomposer.datasheet import light_level, noise_level, sequence_statistics
from htcv_lib.image import srgb


def constant(*levels, size=16):
    """One sequence whose views have these stored values, (1, 3, T, size, size)."""
    return torch.tensor(levels).view(1, 1, -1, 1, 1).expand(1, 3, -1, size, size)


def test_exposure_is_counted_by_pixels():
    image = constant(0.5, 0.0, 1.0, 0.5).clone()
    image[0, 0, 3, :8] = 1.0  # half of the pixels, in one colour
    found = sequence_statistics(image)
    assert found["overexposed"] == pytest.approx((1 + 0.5) / 4) and found["underexposed"] == pytest.approx(1 / 4)
    assert found["frame mean"] == pytest.approx((0.5 + 0 + 1 + 0.5 + 0.5 / 6) / 4)
    assert found["frame std"] == pytest.approx(math.sqrt(0.25 * 5 / 36) / 4)  # 1/6 of the values differ by a half
    assert (found["sequences"], found["views"]) == (1, 4)
    assert math.isnan(found["occluded"]) and math.isnan(found["best view"])


def test_baselines_are_psnr_against_the_clean_picture():
    found = sequence_statistics(constant(0.4, 0.5, 0.9), constant(0.5))
    assert found["mean of views"] == pytest.approx(20)  # 0.6: off by 0.1
    assert found["median of views"] == pytest.approx(100) and found["best view"] == pytest.approx(100)  # the cap
    assert sequence_statistics(constant(0.4, 0.49, 0.9), constant(0.5))["best view"] == pytest.approx(40)


def test_occlusion_is_counted_by_pixels_and_by_views():
    mask = torch.zeros(1, 1, 4, 16, 16)
    mask[0, 0, 1, :, :8], mask[0, 0, 2, 0, 0] = 0.6, 0.4
    found = sequence_statistics(constant(0.5, 0.5, 0.5, 0.5), constant(0.5), mask)
    assert found["occluded"] == pytest.approx(1 / 8) and found["occluded views"] == pytest.approx(1 / 4)


def test_half_of_the_light_is_one_stop_less():
    clean = torch.full((3, 16, 16), 0.5)
    light = torch.full((1, 3, 16, 16), 0.5)
    light[..., 8:] = 0.25
    level = light_level(srgb(light), srgb(clean))
    assert torch.allclose(level[..., :4], torch.zeros(1, 8, 4), atol=1e-4)
    assert level[0, 0, 7].item() == pytest.approx(math.log2(0.26 / 0.51), abs=1e-3)  # with the floor of 0.01
    found = sequence_statistics(srgb(light)[None].transpose(1, 2), srgb(clean)[None, :, None])
    assert found["light contrast"] == pytest.approx(-math.log2(0.26 / 0.51) / 2, abs=1e-3)


def test_hidden_and_overexposed_pixels_tell_nothing_about_light():
    clean, frames = torch.full((3, 16, 16), 0.5), torch.full((1, 3, 16, 16), 0.5)
    hidden = torch.zeros(1, 16, 16, dtype=torch.bool)
    frames[..., :8, :], hidden[:, :, :4] = 1.0, True
    frames[..., 8, 15] = 0.99  # one of the four pixels of its block
    level = light_level(frames, clean, hidden)[0]
    assert level[:4].isnan().all() and level[:, :2].isnan().all()
    assert torch.allclose(level[4:, 2:], torch.zeros(4, 6), atol=1e-5)


def test_the_spread_of_levels_is_between_views():
    light = torch.tensor([0.1, 0.2, 0.4]).view(1, 1, 3, 1, 1).expand(1, 3, 3, 16, 16)
    found = sequence_statistics(srgb(light), srgb(torch.full((1, 3, 1, 16, 16), 0.2)))
    stops = torch.tensor([0.11, 0.21, 0.41]).log2()
    assert found["level spread"] == pytest.approx(stops.std().item(), abs=1e-3)
    assert found["light level"] == pytest.approx(0, abs=1e-3) and found["light contrast"] == pytest.approx(0, abs=1e-3)


def test_noise_is_measured_whatever_the_slope():
    torch.manual_seed(0)
    slope = torch.linspace(0, 1, 64).expand(2, 3, 64, 64)
    assert noise_level(slope).max() < 1e-6
    assert noise_level(slope + 0.02 * torch.randn(2, 3, 64, 64)).tolist() == pytest.approx([0.02] * 2, rel=0.05)


def test_bytes_count_as_shares_and_wrong_shapes_are_refused():
    image = (constant(0.2, 0.6) * 255).round().to(torch.uint8)
    assert sequence_statistics(image) == pytest.approx(sequence_statistics(constant(0.2, 0.6)), nan_ok=True)
    with pytest.raises(ValueError, match="originals must have shape"):
        sequence_statistics(image, image)
    with pytest.raises(ValueError, match="masks must have shape"):
        sequence_statistics(image, None, image)
