import math

import pytest

from htcv_lib.neural_renderer.game import change, drift, swing, thirds


def test_thirds_leave_gaps_out_and_share_what_is_left():
    assert [part.tolist() for part in thirds([1, math.nan, 2, 3, 4, math.nan, 5, 6])] == [[1, 2], [3, 4], [5, 6]]
    assert [len(part) for part in thirds(range(7))] == [2, 3, 2]


def test_a_curve_that_rises_again_drifts_upwards():
    assert drift([9, 7, 2, 2, 3, 3]) == pytest.approx(0.5)
    assert change([9, 7, 2, 2, 3, 3]) == pytest.approx(-5)


def test_only_the_end_can_be_unsteady():
    assert swing([9, 1, 5, 5, 2, 2]) == 0
    assert swing([0, 0, 0, 0, 1, 3]) == pytest.approx(math.sqrt(2) / 2)


def test_too_short_a_curve_has_no_answer():
    assert math.isnan(swing([1.0])) and math.isnan(drift([])) and math.isnan(change([]))
