"""Names beside points: near, free, unambiguous."""

import numpy as np
import pytest

from htcv_lib.figures.trade import free_places

ROOM = (0.0, 0.0, 10.0, 10.0)
NOTHING = np.empty((0, 2))


def box(centre, size):
    return (*(centre - np.array(size) / 2), *(centre + np.array(size) / 2))


def test_a_name_with_reach_zero_stands_on_its_point():
    assert free_places([[5, 5]], [[1, 0.2]], NOTHING, ROOM, (0, 0.2)).tolist() == [[5, 5]]


def test_a_name_stands_right_of_its_point_at_the_reach_when_nothing_is_in_the_way():
    centre = free_places([[5, 5]], [[1.0, 0.2]], NOTHING, ROOM, (0.1,))[0]
    left = centre[0] - 0.5
    assert 5.05 < left < 5.15 and abs(centre[1] - 5) < 0.2


def test_what_must_not_be_covered_is_not_covered():
    avoid = np.array([[x, y] for x in np.linspace(5.1, 6.2, 12) for y in np.linspace(4.5, 5.5, 11)])  # all the right
    centre = free_places([[5, 5]], [[1.0, 0.2]], avoid, ROOM, (0.1,))[0]
    left, bottom, right, top = box(centre, (1.0, 0.2))
    assert not ((avoid[:, 0] > left) & (avoid[:, 0] < right) & (avoid[:, 1] > bottom) & (avoid[:, 1] < top)).any()


def test_names_of_one_point_do_not_overlap():
    centres = free_places([[5, 5]] * 4, [[1.0, 0.2]] * 4, NOTHING, ROOM, (0, 0.2, 0.4))
    for i in range(4):
        for j in range(i):
            apart = np.abs(centres[i] - centres[j])
            assert apart[0] >= 1.0 - 1e-9 or apart[1] >= 0.2 - 1e-9


def test_a_name_at_the_edge_turns_inwards():
    left, _, right, _ = box(free_places([[9.9, 5]], [[1.0, 0.2]], NOTHING, ROOM, (0.1,))[0], (1.0, 0.2))
    assert 0 <= left and right <= 10


def test_a_name_is_nearest_to_its_own_point():
    anchors = np.array([[5.0, 5.0], [6.15, 5.05]])  # right of the first there is room, but it ends at the second
    centre = free_places(anchors, [[1.0, 0.2], [1.0, 0.2]], NOTHING, ROOM, (0.1,))[0]
    assert centre[0] + 0.5 < 6.0
    assert pytest.approx(centre[0], abs=0.7) == 4.8
