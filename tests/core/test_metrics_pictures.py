"""Scores of pictures: errors, similarity, spectra, edges, FLIP and a network's distance."""

import math

import numpy as np
import pytest
import skimage.metrics
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from scipy.spatial.distance import directed_hausdorff

from htcv_lib.data.files import find
from htcv_lib.data.manifest import load_manifest
from htcv_lib.image import grey
from htcv_lib.metrics.edges import edge_map, edge_points, hausdorff, hausdorff_reported, otsu_threshold
from htcv_lib.metrics.flip import flip_error, flip_map
from htcv_lib.metrics.pictures import (
    bits_per_dim,
    checkerboard_energy,
    gradient_energy,
    image_ssim,
    lpips_distance,
    psnr_of,
)


def test_an_error_of_a_hundredth_is_20_db():
    assert psnr_of(0.01) == pytest.approx(20)
    assert psnr_of(torch.tensor([0.1, 0.001])).tolist() == pytest.approx([10, 30])
    assert psnr_of(0.0) == math.inf


def test_ssim_agrees_with_scikit_image_and_is_one_for_the_same_image():
    generator = torch.Generator().manual_seed(0)
    image, pred = (torch.rand(2, 3, 13, 17, generator=generator) for _ in range(2))
    pred = 0.6 * image + 0.4 * pred
    ours = image_ssim(pred, image)
    for i in range(2):
        _, full = skimage.metrics.structural_similarity(
            image[i].numpy(), pred[i].numpy(), data_range=1.0, channel_axis=0, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, full=True)
        assert ours[i].item() == pytest.approx(full[:, 5:-5, 5:-5].mean(), abs=1e-4)  # no padding
    assert image_ssim(image, image).tolist() == pytest.approx([1, 1])


def test_ssim_of_an_image_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match="at least 11"):
        image_ssim(torch.rand(1, 1, 10, 12), torch.rand(1, 1, 10, 12))


def test_gradient_energy_worked_by_hand_and_a_quarter_at_half_the_contrast():
    image = torch.tensor([[[[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]]]])
    # down: 0, 0, -1 squared, mean 1/3; across: 1, 0 and 1, -1 squared, mean 3/4
    assert gradient_energy(image).tolist() == pytest.approx([1 / 3 + 3 / 4])
    assert gradient_energy(image / 2).tolist() == pytest.approx([(1 / 3 + 3 / 4) / 4])


def test_a_uniform_guess_over_256_levels_is_8_bits():
    assert bits_per_dim(12 * math.log(256), 12) == pytest.approx(8)


def test_a_checkerboard_is_nothing_but_alternation():
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    board = ((rows + columns) % 2).float().expand(1, 3, 8, 8)
    stripes = (columns % 2).float().expand(1, 3, 8, 8)
    assert checkerboard_energy(torch.cat((board, stripes))).tolist() == pytest.approx([1, 1])


def test_a_slow_wave_has_none_and_a_mixture_its_share():
    x = torch.arange(16, dtype=torch.float64)
    wave = (2 * torch.pi * x / 8).sin().expand(1, 1, 16, 16)
    fast = (torch.pi * x).cos().expand(1, 1, 16, 16)
    assert float(checkerboard_energy(wave)) == pytest.approx(0, abs=1e-12)
    # variances: sin 1/2, alternation 1, scaled by 0.1 squared
    assert float(checkerboard_energy(0.5 + wave + 0.1 * fast)) == pytest.approx(0.01 / 0.51)


def test_noise_has_its_share_of_the_bins():
    noise = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    bins = (32 + 32 - 1) / (32 * 32 - 1)
    assert float(checkerboard_energy(noise).mean()) == pytest.approx(bins, rel=0.05)


def test_one_colour_has_no_answer_and_odd_sides_are_refused():
    assert checkerboard_energy(torch.full((2, 3, 8, 8), 0.3)).isnan().all()
    with pytest.raises(ValueError, match="even"):
        checkerboard_energy(torch.zeros(1, 3, 7, 8))


FOUND_BY_OPENCV = """
.....##....#..#.
....##.##..#....
...##...##.#....
#.##.....##....#
..#...#...#..#.#
.#........#....#
..#..#....#...#.
..##.#.#.##...##
...##...##.#....
#...##.##..#..##
##...##....#...#
.#.#....#..#...#
""".split()  # version 4.12: cvtColor, threshold (Otsu), Canny with 0.3 of it and it


def square(left: int, top: int, side: int = 12) -> torch.Tensor:
    image = torch.zeros(1, 3, 40, 52)
    image[..., top:top + side, left:left + side] = 0.8
    return image


def test_edges_are_those_opencv_finds_in_a_picture_of_formulas():
    y, x = np.mgrid[:12, :16]
    disc = np.where((x - 6) ** 2 + (y - 5) ** 2 < 18, 200 + 3 * y, 7 * x)
    values = np.stack([(37 * x + 11 * y * y) % 256 // 4, disc, np.where(x > 11, 90, 0) + 2 * y])
    image = torch.from_numpy(values)[None] / 255
    grey_levels = (grey(image) * 255).round().byte()[:, 0]
    assert otsu_threshold(grey_levels).tolist() == [91]
    assert ["".join(".#"[pixel] for pixel in row) for row in edge_map(image)[0].int().tolist()] == FOUND_BY_OPENCV


def test_the_distance_agrees_with_scipy(spheres):
    pred, target = spheres[:6], spheres[6:]
    points = zip(edge_points(pred), edge_points(target), strict=True)
    expected = [max(directed_hausdorff(a, b)[0], directed_hausdorff(b, a)[0]) for a, b in points]
    assert hausdorff(pred, target).tolist() == pytest.approx(expected)
    assert hausdorff(target, pred).tolist() == pytest.approx(expected)
    assert hausdorff_reported(pred, target).tolist() == pytest.approx(expected)


def test_a_square_moved_by_five_pixels_is_five_away_and_a_speck_counts_in_full():
    assert hausdorff(square(10, 8), square(15, 8)).item() == 5
    speck = square(10, 8)
    speck[..., 20:23, 45:48] = 0.8  # 23 to the right of the square's last column
    assert hausdorff(speck, square(10, 8)).item() > 23
    assert hausdorff(square(10, 8), speck).item() == hausdorff(speck, square(10, 8)).item()


def test_an_empty_edge_map_costs_the_diagonal_and_two_cost_nothing():
    pred, target = torch.cat([square(10, 8), square(10, 8) * 0, square(10, 8) * 0, square(10, 8)]), square(10, 8)
    target = torch.cat([target, target, target * 0, target * 0])
    diagonal = math.hypot(40, 52)
    assert hausdorff(pred, target).tolist() == pytest.approx([0, diagonal, 0, diagonal])
    assert hausdorff(pred, target, missing=7.0).tolist() == [0, 7, 0, 7]


def test_the_report_leaves_out_perfect_and_empty_pictures():
    black, here, there = square(10, 8) * 0, square(10, 8), square(15, 8)
    pred, target = torch.cat([here, black, black, here, there]), torch.cat([here, here, black, black, here])
    assert hausdorff_reported(pred, target).isnan().tolist() == [True, True, True, True, False]


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


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_distance_is_the_packages_and_leaves_the_random_numbers_alone():
    import lpips

    torch.manual_seed(3)
    pred, target = torch.rand(2, 3, 64, 80), torch.rand(2, 3, 64, 80)
    before = torch.random.get_rng_state()
    ours = lpips_distance(torch.cat([pred, target]), torch.cat([target, target]))
    assert torch.equal(torch.random.get_rng_state(), before)
    theirs = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    weights = load_file(load_manifest("imagenet_backbones/sample").files[0].bundled)
    for place, number in enumerate((0, 3, 6, 8, 10)):  # of AlexNet's convolutions
        convolution = getattr(theirs.net, f"slice{place + 1}")[-2 if number else 0]
        convolution.weight.data = weights[f"features.{number}.weight"].float()
        convolution.bias.data = weights[f"features.{number}.bias"].float()
    expected = theirs(2 * pred - 1, 2 * target - 1).flatten()
    assert ours[:2].tolist() == pytest.approx(expected.tolist(), rel=1e-5) and ours[0] > 0
    assert ours[2:].tolist() == [0, 0]


def test_half_precision_weights_give_the_distance_of_single_precision():
    paths = [file for file in load_manifest("imagenet_backbones").files if "alexnet" in file.name and find(file)]
    if not paths:
        pytest.skip("the ImageNet backbones are not here")
    full, half = load_file(find(paths[0])[1]), load_file(load_manifest("imagenet_backbones/sample").files[0].bundled)
    assert list(full) == list(half)
    assert all(torch.equal(full[name].half(), half[name]) for name in full)


def test_the_distance_takes_grey_and_small_pictures_as_the_enlarged_ones():
    generator = torch.Generator().manual_seed(0)
    pred, target = (torch.rand(2, 1, 28, 28, generator=generator) for _ in range(2))
    large = [F.interpolate(x.expand(-1, 3, -1, -1), size=64, mode="bilinear") for x in (pred, target)]
    assert lpips_distance(pred, target).tolist() == pytest.approx(lpips_distance(*large).tolist(), rel=1e-5)
    assert lpips_distance(pred[..., :14], target[..., :14]).shape == (2,)


def test_a_blurred_picture_is_nearer_than_one_of_another_structure():
    torch.manual_seed(0)
    picture = F.interpolate(torch.rand(1, 3, 8, 8), size=64, mode="bicubic").clamp(0, 1)
    other = F.interpolate(torch.rand(1, 3, 8, 8), size=64, mode="bicubic").clamp(0, 1)
    assert lpips_distance(F.avg_pool2d(picture, 3, 1, 1), picture) < 0.5 * lpips_distance(other, picture)
