import pytest
import torch

from htcv_lib.mask_depth.baselines import (
    EmptyMask,
    FullMask,
    MeanMaskDepth,
    PasteDetector,
    PasteMask,
    RowDepth,
    best_threshold,
)

# two pictures of 2 x 2 pixels
MASKS = torch.tensor([[[[0.0, 1], [0, 1]]], [[[0.0, 0], [0, 1]]]])
DEPTHS = torch.tensor([[[[0.8, 0.6], [0.2, 0.2]]], [[[1.0, 0.8], [0.4, 0.2]]]])
PICTURES = torch.rand(3, 6, 2, 2)


def batches():
    return [{"mask": MASKS[i : i + 1], "depth": DEPTHS[i : i + 1]} for i in range(2)]


def test_the_mean_is_that_of_all_pictures_and_the_same_for_every_picture():
    output = MeanMaskDepth().fit(batches())(PICTURES)
    assert output.mask.shape == output.depth.shape == (3, 1, 2, 2) and output.raw.shape == (3, 2, 2, 2)
    for i in range(3):
        torch.testing.assert_close(output.mask[i, 0], torch.tensor([[0.0, 0.5], [0, 1]]))
        torch.testing.assert_close(output.depth[i, 0], torch.tensor([[0.9, 0.7], [0.3, 0.2]]))


def test_a_larger_batch_counts_for_more():
    output = MeanMaskDepth().fit([{"mask": MASKS, "depth": DEPTHS}, {"mask": 1 + 0 * MASKS[:1], "depth": DEPTHS[:1]}])
    assert output.mean[0, 0, 0].item() == pytest.approx(1 / 3)


def test_the_empty_mask_has_one_depth():
    output = EmptyMask().fit(batches())(PICTURES)
    assert output.mask.abs().max() == 0
    torch.testing.assert_close(output.depth, torch.full((3, 1, 2, 2), 0.525))


def test_the_full_mask_covers_everything_at_one_depth():
    output = FullMask().fit(batches())(PICTURES)
    assert output.mask.min() == 1
    torch.testing.assert_close(output.depth, torch.full((3, 1, 2, 2), 0.525))


def test_row_depth_is_equal_along_rows():
    output = RowDepth().fit(batches())(PICTURES)
    assert output.mask.abs().max() == 0
    torch.testing.assert_close(output.depth[1, 0], torch.tensor([[0.8, 0.8], [0.25, 0.25]]))


def test_a_fitted_baseline_is_restored_from_its_state():
    fitted = RowDepth().fit(batches())
    assert set(fitted.state_dict()) == {"mean"}


def pictures(count, seed, noise=0.1):
    """Smooth pictures with a square in which noise was left out (or not, with noise 0)."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(count, 3, 1, 1, generator=generator).expand(-1, -1, 32, 32).clone()
    mask = torch.zeros(count, 1, 32, 32)
    mask[:, :, 8:20, 10:24] = 1
    image += noise * (1 - mask) * torch.randn(image.shape, generator=generator)
    return {"image": image.clamp(0, 1), "mask": mask}


def iou(pred, mask):
    pred, mask = pred > 0.5, mask > 0.5
    return ((pred & mask).sum() / (pred | mask).sum()).item()


def test_a_square_without_the_noise_around_it_is_found():
    detector = PasteDetector().fit([pictures(4, 0), pictures(4, 1)], pixels=4000)
    test = pictures(4, 2)
    found = detector(test["image"])
    assert found.shape == (4, 1, 32, 32) and 0 <= found.min() and found.max() <= 1
    assert iou(found, test["mask"]) > 0.75


def test_a_paste_without_traces_is_not_found():
    detector = PasteDetector().fit([pictures(8, 0)], pixels=4000)
    generator = torch.Generator().manual_seed(3)
    clean = torch.rand(4, 3, 32, 32, generator=generator) * 0.2 + 0.4
    assert iou(detector(clean), pictures(4, 0)["mask"]) < 0.25


def test_evidence_is_local():
    detector = PasteDetector()
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    other = image.clone()
    other[..., :20] = 0.5
    differs = (detector.features(image) != detector.features(other)).any(1)[0]
    assert differs[:, :20].any() and not differs[:, 20 + 7 + 2 :].any()  # half the surroundings and of a filter


def test_brightness_is_no_evidence():
    detector = PasteDetector()
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.5
    torch.testing.assert_close(detector.features(image), detector.features(image + 0.3), atol=2e-2, rtol=1e-3)


def test_the_filters_take_no_constant_and_have_different_responses():
    kernels = PasteDetector().kernels
    assert kernels.sum((1, 2, 3)).abs().max() < 1e-6 and kernels.abs().amax((1, 2, 3)).tolist() == [1] * len(kernels)


def test_the_threshold_is_the_one_with_the_highest_overlap():
    score = torch.tensor([0.9, 0.1, 0.8, 0.3, 0.2, 0.7])
    y = torch.tensor([1.0, 0, 1, 1, 0, 0])
    # called in turn: IoU 1/3, 2/3, 2/4, 3/4, 3/5, 3/6; the fourth is the best, between 0.3 and 0.2
    assert best_threshold(score, y).item() == pytest.approx(0.25)


def test_fitting_again_gives_the_same_detector_and_none_is_fitted_without_an_object():
    first, second = (PasteDetector().fit([pictures(2, 0)], pixels=1000) for _ in range(2))
    assert torch.equal(first.weight, second.weight) and torch.equal(first.bias, second.bias)
    empty = pictures(2, 0)
    with pytest.raises(ValueError, match="no pixel drawn belongs to an object"):
        PasteDetector().fit([{"image": empty["image"], "mask": 0 * empty["mask"]}], pixels=1000)


def test_as_a_baseline_it_returns_a_mask_and_one_depth():
    detector = PasteDetector().fit([pictures(4, 0)], pixels=2000)
    image = torch.cat([pictures(2, 1)["image"]] * 2, dim=1)  # with a background behind
    output = PasteMask(detector, 0.4)(image)
    assert torch.equal(output.mask, detector(image[:, :3])) and output.raw.shape == (2, 2, 32, 32)
    assert output.depth.unique().tolist() == pytest.approx([0.4])
