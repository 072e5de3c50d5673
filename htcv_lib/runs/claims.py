"""The reports' conclusions as testable claims, and how the runs decide them.

The rules are those of the page `book/claims.md`; `claim_files` reads the claims.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any, NamedTuple

from scipy import stats

from htcv_lib.runs.statistics import Estimate, holm, mean_interval, wilson

SUPPORTED, CONTRADICTED, NO_DIFFERENCE = "supported", "contradicted", "no practical difference"
UNDECIDED, NOT_TESTABLE, IN_SIMULATION = "undecided", "not testable", "holds in simulation"
WORDS = (SUPPORTED, IN_SIMULATION, NO_DIFFERENCE, UNDECIDED, CONTRADICTED, NOT_TESTABLE)
ENOUGH = 10  # paired seeds that decide
ALPHA = 0.05


@dataclass(frozen=True)
class Claim:
    """One testable part of one sentence of a report."""

    id: str
    family: str
    report: Mapping[str, str]  # file, section, where
    kind: str  # observation or explanation
    says: str  # the report's sentence, in our words
    statement: str  # our restatement, which the test decides
    compare: Mapping[str, Any] | None = None
    effect: Mapping[str, Any] | None = None
    single: Mapping[str, Any] | None = None
    collapse: Mapping[str, Any] | None = None
    not_testable: str = ""  # the reason
    simulation: bool = False  # decided on data that only stand in for the report's own
    revised: bool = False  # its test was chosen or changed after its first results were known
    note: str = ""

    @property
    def test(self) -> Mapping[str, Any]:
        """The one test this claim has; empty if it is not testable."""
        return self.compare or self.effect or self.single or self.collapse or {}

    @property
    def metric(self) -> str:
        return self.test.get("metric", "")

    @property
    def margin(self) -> float | None:
        return self.test.get("margin")

    @property
    def where(self) -> str:
        """Where in the report the sentence stands."""
        return f"{self.report['section']}, {self.report['where']}"


class Verdict(NamedTuple):
    """What the references say about a claim."""

    claim: Claim
    word: str  # one of WORDS
    so_far: str  # while undecided: the word the interval alone would give, were there seeds enough; else ""
    estimate: Estimate | None  # paired difference in the claimed direction, a mean, or a share (collapse); its
    # interval is the one that says the word: of 90 % for "no practical difference", else of 95 %
    p_adjusted: float | None  # Holm, within the family; None where too few seeds to test
    n: int  # (paired) seeds
    runs: list[str]  # whose records were used

    @property
    def preliminary(self) -> str:
        """"preliminary, n = 3" while there are too few seeds to decide, else ""."""
        few = self.word != NOT_TESTABLE and self.n < ENOUGH
        return f"preliminary, n = {self.n}" if few else ""


Values = Callable[[str, str], Mapping[int, float]]  # (variant, metric) -> seed -> value


class _Evidence(NamedTuple):
    """A claim with its numbers, before the p-values of its family are adjusted."""

    estimate: Estimate
    p: float
    runs: list[str]
    holds: bool  # the whole interval says so
    fails: bool  # the whole interval says the opposite
    equal: bool  # no practical difference

    @property
    def word(self) -> str:
        """What the intervals alone say, however few the seeds."""
        return SUPPORTED if self.holds else CONTRADICTED if self.fails else NO_DIFFERENCE if self.equal else UNDECIDED


def decide(claims: Iterable[Claim], values: Values) -> list[Verdict]:
    """The verdicts, in the order of the claims.

    Args:
        values: Gives the references of one and the same profile and data set; seeds are paired by number.
    """
    claims = list(claims)
    evidence = [None if claim.not_testable else _weigh(claim, values) for claim in claims]
    adjusted: list[float | None] = [None] * len(claims)
    for family in {claim.family for claim in claims}:
        tested = [k for k, (claim, found) in enumerate(zip(claims, evidence, strict=True))
                  if found and claim.family == family and found.estimate.n >= ENOUGH and isfinite(found.p)]
        for k, p in zip(tested, holm([evidence[k].p for k in tested]), strict=True):
            adjusted[k] = p
    return [_verdict(*parts) for parts in zip(claims, evidence, adjusted, strict=True)]


def _verdict(claim: Claim, found: _Evidence | None, p: float | None) -> Verdict:
    if found is None:
        return Verdict(claim, NOT_TESTABLE, "", None, None, 0, [])
    decided = p is not None and (p < ALPHA or found.word == NO_DIFFERENCE)
    word = found.word if decided else UNDECIDED
    so_far = "" if decided or found.word == UNDECIDED else found.word
    if claim.simulation:
        word, so_far = (IN_SIMULATION if name == SUPPORTED else name for name in (word, so_far))
    return Verdict(claim, word, so_far, found.estimate, p, found.estimate.n, found.runs)


def _weigh(claim: Claim, values: Values) -> _Evidence:
    if claim.compare or claim.effect:
        return _weigh_difference(claim, claim.test, values)
    test = claim.test
    by_seed = values(test["variant"], test["metric"])
    runs = [f"{claim.family}/{test['variant']}/s{seed}" for seed in sorted(by_seed)]
    if claim.collapse:
        return _weigh_collapse(list(by_seed.values()), test, runs)
    sign, level = _bound(test)
    found = mean_interval(by_seed.values(), against=level)
    low, high = sorted((sign * found.low, sign * found.high))
    return _Evidence(found, found.p, runs, low >= sign * level, high < sign * level, False)


def _bound(test: Mapping[str, Any]) -> tuple[int, float]:
    """1 and the least, or -1 and the most, that a claim allows: held against `sign * value`."""
    return (1, test["at_least"]) if "at_least" in test else (-1, test["at_most"])


def _weigh_difference(claim: Claim, test: Mapping[str, Any], values: Values) -> _Evidence:
    """Paired differences in the claimed direction; a main effect first averages its variants seed by seed."""
    sides = [[test[side]] if isinstance(test[side], str) else list(test[side]) for side in ("better", "worse")]
    tables = [[values(variant, test["metric"]) for variant in side] for side in sides]
    seeds = sorted(set.intersection(*(set(table) for side in tables for table in side)))
    runs = [f"{claim.family}/{variant}/s{seed}" for side in sides for variant in side for seed in seeds]
    sign = -1 if test.get("lower_is_better") else 1
    better, worse = ([sum(table[seed] for table in side) / len(side) for seed in seeds] for side in tables)
    differences = [sign * (one - other) for one, other in zip(better, worse, strict=True)]
    d, near = mean_interval(differences), mean_interval(differences, level=0.90)
    margin = test["margin"]
    inside = near.low > -margin and near.high < margin
    if test.get("same"):  # supported by equivalence (two one-sided tests), contradicted by a difference that matters
        p = _equivalence_p(differences, margin) if abs(d.mean) < margin else d.p
        return _Evidence(near if inside else d, p, runs, inside, d.low > margin or d.high < -margin, False)
    if "at_least" in test or "at_most" in test:  # the size of the difference, against its bound
        sign, bound = _bound(test)
        low, high = sorted((sign * d.low, sign * d.high))
        p = mean_interval(differences, against=bound).p
        return _Evidence(d, p, runs, low > sign * bound, high < sign * bound, False)
    beyond = d.low > margin or d.high < -margin
    return _Evidence(near if inside and not beyond else d, d.p, runs, d.low > margin, d.high < -margin, inside)


def _weigh_collapse(reached: Sequence[float], test: Mapping[str, Any], runs: list[str]) -> _Evidence:
    """k of n runs, with Wilson's interval; "most" is more than half."""
    n = len(reached)
    hits = [value >= test["at_least"] if "at_least" in test else value <= test["at_most"] for value in reached]
    low, high = wilson(sum(hits), n) if n else (nan, nan)
    p = float(stats.binomtest(sum(hits), n, 0.5).pvalue) if n else nan
    found = Estimate(sum(hits) / n if n else nan, low, high, p, n)
    return _Evidence(found, p, runs, low > 0.5, high < 0.5, False)


def _equivalence_p(differences: Sequence[float], margin: float) -> float:
    """The larger p of the two one-sided t tests "below -margin" and "above margin" (Schuirmann, 1987)."""
    sides = [mean_interval(differences, against=bound).p for bound in (-margin, margin)]
    return max(sides) / 2  # one-sided, for a mean between the bounds
