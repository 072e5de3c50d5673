"""Does a curve still move, and where to? Numbers for the later parts of a training."""

from collections.abc import Iterable

import pandas as pd


def swing(values: Iterable[float]) -> float:
    """How unsteady a training ended: standard deviation over mean of the last third of a positive curve."""
    last = thirds(values)[2]
    return float(last.std() / last.mean())


def drift(values: Iterable[float]) -> float:
    """Whether a positive curve rises in the end: mean of its last third over that of the middle one, minus 1."""
    _, middle, last = thirds(values)
    return float(last.mean() / middle.mean() - 1)


def change(values: Iterable[float]) -> float:
    """Mean of a curve's last third minus that of its first."""
    first, _, last = thirds(values)
    return float(last.mean() - first.mean())


def thirds(values: Iterable[float]) -> tuple[pd.Series, pd.Series, pd.Series]:
    """A curve's three parts, of equal length but for one or two values; gaps (NaN) are left out beforehand."""
    curve = pd.Series(list(values), dtype=float).dropna()
    first, second = round(len(curve) / 3), round(2 * len(curve) / 3)
    return curve.iloc[:first], curve.iloc[first:second], curve.iloc[second:]
