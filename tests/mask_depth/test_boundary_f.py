import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from htcv_lib.mask_depth.scores import boundary_f_score, outline


def disc(x: float, y: float, radius: float, size: tuple[int, int] = (60, 80)) -> torch.Tensor:
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in size), indexing="ij")
    return ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).float()[None, None]


def edge_by_hand(mask: np.ndarray) -> np.ndarray:
    """A pixel is on the outline if its right, lower or lower right neighbour in the image has the other value."""
    height, width = mask.shape
    edge = np.zeros_like(mask)
    for i in range(height):
        for j in range(width):
            below, right = min(i + 1, height - 1), min(j + 1, width - 1)
            edge[i, j] = len({mask[i, j], mask[below, j], mask[i, right], mask[below, right]}) > 1
    return edge


def f_by_distances(pred: torch.Tensor, target: torch.Tensor, radius: int) -> float:
    first, second = (edge_by_hand(mask[0, 0].numpy() > 0.5) for mask in (pred, target))
    precision = (ndimage.distance_transform_edt(~second)[first] <= radius).mean()
    recall = (ndimage.distance_transform_edt(~first)[second] <= radius).mean()
    return 2 * precision * recall / (precision + recall)


def test_an_outline_is_where_a_mask_ends():
    mask = torch.zeros(1, 1, 4, 5)
    mask[..., 1:3, 1:3] = 1
    expected = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 1, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]])
    assert outline(mask > 0.5)[0, 0].int().tolist() == expected.tolist()


@pytest.mark.parametrize(("shift", "tolerance"), [(1, 0.008), (3, 0.024), (4, 0.02), (6, 0.05)])
def test_the_score_agrees_with_distances_from_scipy(shift, tolerance):
    pred, target = disc(30 + shift, 28, 14), disc(30, 28, 15)
    radius = math.ceil(tolerance * 100)  # the diagonal of 60 x 80
    assert boundary_f_score(pred, target, tolerance).item() == pytest.approx(f_by_distances(pred, target, radius))


def test_a_shift_within_the_tolerance_costs_nothing_and_a_far_one_everything():
    target = disc(30, 30, 12)
    assert boundary_f_score(disc(31, 30, 12), target).item() == 1
    assert boundary_f_score(disc(30, 30, 5), target).item() == 0


def test_every_image_of_a_batch_is_scored_alone_and_empty_masks_have_their_scores():
    empty, object_ = torch.zeros(1, 1, 60, 80), disc(30, 30, 12)
    pred = torch.cat([object_, empty, empty, object_])
    target = torch.cat([object_, empty, object_, empty])
    assert boundary_f_score(pred, target).tolist() == [1, 1, 0, 0]
