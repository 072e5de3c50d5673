from types import SimpleNamespace

import pytest
import torch

from htcv_lib.decomposer.scores import constancy


def half(low: float, high: float, channels: int = 3, frames: int = 4) -> torch.Tensor:
    """One sequence whose frames are `low` on the left and `high` on the right: standard deviation (high - low) / 2."""
    values = torch.full((1, channels, frames, 6, 8), low)
    values[..., 4:] = high
    return values


def test_one_frame_that_carries_everything_leaves_the_others_grey():
    frames = half(0.5, 0.5, frames=10)
    frames[:, :, 3] = half(0.2, 0.8)[:, :, 0]
    found = constancy(frames)
    assert found["grey_frames"].item() == pytest.approx(0.9)
    assert found["best_contrast"].item() == pytest.approx(0.3)
    assert found["contrast"].item() == pytest.approx(0.03)


def test_a_frame_with_contrast_in_one_channel_is_not_grey():
    frames = half(0.5, 0.5)
    frames[:, 0] = half(0.4, 0.6)[:, 0]
    assert constancy(frames)["grey_frames"].item() == 0


def test_a_decomposition_is_measured_layer_by_layer():
    pred = SimpleNamespace(original=half(0.2, 0.4, frames=1), light=half(0.0, 0.0, 1), shadow=half(0.5, 1.0, 1),
                           occlusion=half(0.3, 0.31), mask=half(0.0, 0.4, 1))
    found = {name: value.item() for name, value in constancy(pred).items()}
    assert found == pytest.approx({
        "original_contrast": 0.1, "light_contrast": 0, "shadow_contrast": 0.25, "occlusion_contrast": 0.005,
        "grey_original": 0, "grey_occlusion": 1, "light_mean": 0, "shadow_mean": 0.75, "mask_mean": 0.2,
        "mask_saturated": 0})


@pytest.mark.parametrize(("level", "saturated"), [(0.0, 1), (0.005, 1), (0.02, 0), (0.98, 0), (0.999, 1), (1.0, 1)])
def test_a_mask_is_saturated_when_its_mean_is_nearly_nothing_or_nearly_all(level, saturated):
    layer = half(level, level, 1)
    pred = SimpleNamespace(original=layer, light=layer, shadow=layer, occlusion=layer, mask=layer)
    assert constancy(pred)["mask_saturated"].item() == saturated


def test_sequences_are_measured_apart():
    frames = torch.cat([half(0.2, 0.8), half(0.5, 0.5)])
    assert constancy(frames)["grey_frames"].tolist() == [0, 1]
