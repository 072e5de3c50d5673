import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import directed_hausdorff

from htcv_lib.image import grey
from htcv_lib.metrics.edges import edge_map, edge_points, hausdorff, hausdorff_reported, otsu_threshold

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
