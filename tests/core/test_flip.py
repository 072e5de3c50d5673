
import pytest
import torch

from htcv_lib.metrics.flip import flip_error, flip_map


def test_flip_agrees_with_nvidias_evaluator_on_noise_and_on_lit_spheres(spheres):
    evaluator = pytest.importorskip("flip_evaluator")
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(4, 3, *spheres.shape[-2:], generator=generator)
    target = torch.cat([noise[:2], spheres[:4], spheres[:1]])
    pred = torch.cat([noise[2:], spheres[4:8], spheres[:1] * 0.9])
    for density in (67.0206, 25.0):
        ours_map, ours = flip_map(pred, target, density), flip_error(pred, target, density)
        for i in range(len(pred)):
            reference, tested = (images[i].permute(1, 2, 0).contiguous().numpy() for images in (target, pred))
            theirs_map, theirs, _ = evaluator.evaluate(reference, tested, "LDR", applyMagma=False,
                                                       parameters={"ppd": density})
            assert ours[i].item() == pytest.approx(theirs, abs=1e-4)
            assert torch.allclose(ours_map[i], torch.from_numpy(theirs_map[..., 0]), atol=1e-3)


def test_white_against_black_worked_by_hand():
    # Lab: white (100, 0, 0), black (0, 0, 0); 100^0.7 = 25.12. Green and blue, the largest distance: chroma faded,
    # (87.7, -75.6, 73.0) and (32.3, 25.6, -34.8), 55.4 + 147.9 = 203.3, ^0.7 = 41.28; knee 0.4 * 41.28 = 16.51.
    # 0.95 + 0.05 * (25.12 - 16.51) / (41.28 - 16.51) = 0.9674; a flat picture has no edges or points.
    assert flip_error(torch.ones(1, 3, 6, 9), torch.zeros(1, 3, 6, 9)).item() == pytest.approx(0.9674, abs=1e-4)


def test_equal_pictures_have_no_error_and_every_picture_of_a_batch_its_own(spheres):
    pred = torch.cat([spheres[1:2], spheres[1:]])
    errors = flip_error(pred, spheres)
    assert errors[1:].tolist() == [0.0] * (len(spheres) - 1)
    assert errors[0].item() > 0.01
    assert errors[0].item() == pytest.approx(flip_error(pred[:1], spheres[:1]).item(), abs=1e-6)
    assert errors[0].item() == pytest.approx(flip_error(spheres[:1], pred[:1]).item(), abs=1e-6)


def test_grey_pictures_and_pairs_of_different_size_are_refused():
    with pytest.raises(ValueError, match="3, H, W"):
        flip_error(torch.rand(1, 1, 6, 9), torch.rand(1, 1, 6, 9))
    with pytest.raises(ValueError, match="3, H, W"):
        flip_error(torch.rand(1, 3, 6, 9), torch.rand(1, 3, 9, 6))
