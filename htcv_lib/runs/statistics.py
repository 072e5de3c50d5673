"""What repeated runs say: intervals, paired differences, several tests at once."""

from collections.abc import Mapping, Sequence
from math import inf, nan
from typing import NamedTuple

import numpy as np
from scipy import stats


class Estimate(NamedTuple):
    """A mean with its interval; NaN where the runs are too few to say."""

    mean: float
    low: float
    high: float
    p: float  # two-sided, against zero (`paired_difference`) or the value a function names
    n: int
    level: float = 0.95  # of the interval


def spell_mean(values: Sequence[float], about: Mapping[str, str], spec: str = "") -> str:
    """[20.4, 20.6] with ".1f" -> "20.5 ± 1.3", half of the width of the 95 % interval; one value alone is just itself.

    Args:
        about: The metric, as `metrics.yml` has it. Of unit "runs" are those that are 1 in some runs and 0 in others:
            these are counted, [0, 1, 0] -> "1 of 3".
        spec: A Python format; unset, the metric's own.

    An interval that would leave what is possible says nothing: the lowest and the highest value stand in its place,
    "33.3% (0.0% to 100.0%)". A number below zero starts with a minus sign, not a hyphen.
    """
    unit, spec = about.get("unit", ""), spec or about.get("format", ".3g")
    if unit == "runs":
        return f"{round(sum(values))} of {len(values)}"
    if len(values) == 1:
        return minus(format(values[0], spec))
    estimate = mean_interval(values)
    floor = 0.0 if unit == "fraction" or about.get("better") == "lower" else -inf
    top = 1.0 if unit == "fraction" else inf
    least, most = min(values), max(values)
    shown = minus(format(estimate.mean, spec))
    if estimate.low < floor <= least or estimate.high > top >= most:
        return f"{shown} ({minus(format(least, spec))} to {minus(format(most, spec))})".replace(" ", "\u00a0")
    half = format((estimate.high - estimate.low) / 2, spec)
    return f"{shown}\u00a0±\u00a0{half}"  # never broken at the end of a line


def minus(text: str) -> str:
    """A number that starts with a hyphen starts with a minus sign; rounded to nothing, with no sign."""
    if text.startswith("-") and not any(digit in text for digit in "123456789"):
        return text[1:]
    return text.replace("-", "\u2212", 1) if text.startswith("-") else text


def mean_interval(values: Sequence[float], level: float = 0.95, against: float = 0.0) -> Estimate:
    """Student's t interval of a mean over runs, and the p-value of "the true mean is `against`".

    Runs that all agree have an interval of no width; one run has none (NaN).
    """
    values = np.asarray(list(values), dtype=float)
    if not np.isfinite(values).all():
        raise ValueError("a value is not finite; leave such runs out and say so")
    n = len(values)
    if n == 0:
        return Estimate(nan, nan, nan, nan, 0)
    mean = float(values.mean())
    if n == 1:
        return Estimate(mean, nan, nan, nan, 1)
    error = float(values.std(ddof=1)) / np.sqrt(n)
    if error <= 1e-12 * max(1.0, abs(mean)):  # equal but for rounding
        return Estimate(mean, mean, mean, 1.0 if np.isclose(mean, against) else 0.0, n, level)
    found = stats.ttest_1samp(values, against)
    return Estimate(mean, *map(float, found.confidence_interval(level)), float(found.pvalue), n, level)


def paired_difference(a: Mapping[int, float] | Sequence[float], b: Mapping[int, float] | Sequence[float],
                      level: float = 0.95, against: float = 0.0) -> Estimate:
    """Mean of a - b with its t interval, over pairs.

    Args:
        a, b: Seed -> value, paired by seed (seeds that only one side has are left out); or two sequences of
            equal length, paired by place.
    """
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        seeds = sorted(a.keys() & b.keys())
        differences = [a[seed] - b[seed] for seed in seeds]
    elif isinstance(a, Mapping) or isinstance(b, Mapping) or len(a) != len(b):
        raise ValueError("pairs need two mappings from seed to value, or two sequences of equal length")
    else:
        differences = [one - other for one, other in zip(a, b, strict=True)]
    return mean_interval(differences, level, against)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979), in the order given: compare each with the level itself.

    The smallest is multiplied by the number of tests, the next by one less, and none may fall below an earlier one.
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, (len(p_values) - rank) * float(p_values[place])))
        adjusted[place] = highest
    return adjusted


def one_sided(values: Sequence[float], bound: float, above: bool) -> float:
    """The p-value of Student's t test that the true mean is beyond `bound`; runs that all agree are certain.

    Args:
        above: Beyond means above; otherwise below.
    """
    values = np.asarray(list(values), dtype=float)
    if np.ptp(values) <= 1e-12 * max(1.0, abs(float(values.mean()))):
        return 0.0 if (values.mean() > bound if above else values.mean() < bound) else 1.0
    return float(stats.ttest_1samp(values, bound, alternative="greater" if above else "less").pvalue)


def equivalence(values: Sequence[float], margin: float) -> float:
    """The larger p of the two one-sided t tests "above -margin" and "below margin" (Schuirmann, 1987)."""
    return max(one_sided(values, -margin, above=True), one_sided(values, margin, above=False))


def wilson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (1927) for a share, k of n; of nothing, all there is."""
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is not a share")
    return tuple(stats.binomtest(k, n).proportion_ci(level, method="wilson")) if n else (0.0, 1.0)
