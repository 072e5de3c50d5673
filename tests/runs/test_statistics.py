"""Statistics of repeated runs: worked by hand, and against scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from htcv_lib.runs.statistics import holm, mean_interval, paired_difference, spell_mean, wilson


def test_the_interval_of_one_two_three_is_two_plus_minus_4_303_over_root_3():
    found = mean_interval([1.0, 2.0, 3.0])
    half = 4.302653 / math.sqrt(3)  # t quantile for two degrees of freedom, standard deviation 1
    assert (found.mean, found.n) == (2.0, 3)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-5)


def test_a_paired_difference_agrees_with_scipy():
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 12))
    found, theirs = paired_difference(a, b, level=0.9), stats.ttest_rel(a, b)
    interval = theirs.confidence_interval(0.9)
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_seeds_are_paired_by_number_and_not_by_place():
    found = paired_difference({2: 0.5, 0: 0.1, 1: 0.3}, {0: 0.0, 1: 0.2, 2: 0.4, 7: 9.0})
    assert found.n == 3
    assert found.mean == pytest.approx(0.1)
    assert found.high - found.low == pytest.approx(0.0, abs=1e-12)  # every pair differs by 0.1


def test_lists_of_unequal_length_are_not_paired():
    with pytest.raises(ValueError, match="equal length"):
        paired_difference([1.0, 2.0], [1.0])


def test_one_pair_has_a_mean_but_no_interval():
    found = paired_difference([0.9], [0.8])
    assert found.mean == pytest.approx(0.1)
    assert all(math.isnan(value) for value in (found.low, found.high, found.p))


def test_nothing_to_pair_is_n_0_and_no_error():
    assert paired_difference({0: 1.0}, {1: 1.0}).n == 0


def test_equal_runs_are_certain_that_they_differ_from_another_value():
    assert mean_interval([0.2, 0.2, 0.2]).p == 0.0
    assert mean_interval([0.2, 0.2, 0.2], against=0.2).p == 1.0


@pytest.mark.parametrize(("values", "about", "said"), [
    ([1, 2, 3], {"unit": "dB"}, "2.0\u00a0±\u00a02.5"),  # 4.303 / root 3
    ([-0.5], {}, "\u22120.5"),
    ([-0.01], {}, "0.0"),
    ([0, 1, 0], {"unit": "runs"}, "1 of 3"),
    ([0], {"unit": "runs"}, "0 of 1"),
    ([0, 0, 1], {"unit": "fraction", "format": ".0%"}, "33%\u00a0(0%\u00a0to\u00a0100%)"),
    ([0.1, 0.2, 0.9], {"better": "lower"}, "0.4\u00a0(0.1\u00a0to\u00a00.9)"),
    ([-0.1, 0.0, 0.1], {"better": "lower"}, "0.0\u00a0±\u00a00.2"),
])
def test_a_mean_is_spelled_with_half_an_interval_that_is_possible_alone_or_as_a_count(values, about, said):
    assert spell_mean(values, {"format": ".1f", **about}) == said


def test_a_run_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        mean_interval([0.1, math.nan])


def test_holm_by_hand():
    # sorted: 0.01 * 4, 0.02 * 3 = 0.06, 0.03 * 2 = 0.06, 0.5 * 1
    assert holm([0.02, 0.5, 0.01, 0.03]) == pytest.approx([0.06, 0.5, 0.04, 0.06])


def test_holm_never_lets_a_larger_p_become_the_smaller_one():
    # 0.02 * 3 = 0.06; then 0.021 * 2 = 0.042 may not undercut it
    assert holm([0.021, 0.02, 0.9]) == pytest.approx([0.06, 0.06, 0.9])
    assert holm([0.4, 0.6]) == pytest.approx([0.8, 0.8])
    assert holm([]) == []


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (1, 3)])
def test_wilson_agrees_with_scipy(k, n):
    interval = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson(k, n) == pytest.approx((interval.low, interval.high))


def test_wilson_of_nothing_says_nothing_and_of_too_many_is_refused():
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)
