import numpy as np
import pytest
import torch
from htcv_lib.metrics.decomposition_as_reported import score_as_reported
from PIL import Image
from skimage.metrics import mean_squared_error, structural_similarity

from htcv_lib.decomposer.layers import Decomposition


@pytest.fixture
def case() -> tuple[Decomposition, dict[str, torch.Tensor]]:
    """One sequence of 2 views, 16 x 20 pixels, 8-bit values; a third of each view is occluded."""
    generator = torch.Generator().manual_seed(0)

    def noise(channels: int, frames: int) -> torch.Tensor:
        return (255 * torch.rand(1, channels, frames, 16, 20, generator=generator)).round() / 255

    mask = torch.zeros(1, 1, 2, 16, 20)
    mask[..., 4:12, 3:16] = 1
    pred = Decomposition(noise(3, 1), 0.3 * noise(1, 2), noise(1, 2), noise(3, 2), mask, None)
    return pred, {"image": noise(3, 2), "original": noise(3, 1), "mask": mask}


def eight_bits(picture: torch.Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] -> (H, W, 3) uint8."""
    return (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def by_scikit_image(pred: torch.Tensor, target: torch.Tensor) -> tuple[float, float]:
    first, second = eight_bits(pred), eight_bits(target)
    greys = [np.array(Image.fromarray(picture).convert("L")) for picture in (first, second)]
    return structural_similarity(*greys), mean_squared_error(first, second)


def test_the_scores_are_scikit_images_of_the_files_the_report_would_have_written(case):
    pred, truth = case
    scores = score_as_reported(pred, truth)
    ssim, mse = by_scikit_image(pred.original[0, :, 0], truth["original"][0, :, 0])
    assert scores["original_ssim_reported"].item() == pytest.approx(ssim, abs=1e-3)
    assert scores["original_mse_reported"].item() == pytest.approx(mse)
    free = 1 - truth["mask"]
    views = [by_scikit_image((pred.relit() * free)[0, :, t], (truth["image"] * free)[0, :, t]) for t in range(2)]
    ssim, mse = np.mean(views, axis=0)
    assert scores["relit_ssim_reported"].item() == pytest.approx(ssim, abs=1e-3)
    assert scores["relit_mse_reported"].item() == pytest.approx(mse, rel=1e-3)


def test_blackened_pixels_flatter_the_error_by_their_share(case):
    pred, truth = case
    scores = score_as_reported(pred, truth)
    share = 1 - 8 * 13 / (16 * 20)
    outside = 48.1308 - 10 * np.log10(scores["relit_mse_reported"].item() / share)
    assert scores["relit_psnr_outside"].item() == pytest.approx(outside, abs=1e-3)


def test_the_published_mean_squared_error_is_the_psnr_we_quote(case):
    pred, truth = case
    grey = truth["original"] + 0 * truth["image"]
    shift = np.sqrt(3478.6) / 255
    flat = pred._replace(original=torch.full_like(truth["original"], 0.2 + shift))
    scores = score_as_reported(flat, {"image": grey, "original": torch.full_like(truth["original"], 0.2)})
    assert set(scores) == {"original_ssim_reported", "original_mse_reported"}  # no mask, no views
    assert 48.1308 - 10 * np.log10(scores["original_mse_reported"].item()) == pytest.approx(12.7, abs=0.1)
