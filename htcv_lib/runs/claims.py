"""The reports' conclusions as testable claims, read from `book/claims.yml`, and how the runs decide them.

The rules are those of the page `book/claims.md`. `TESTS` lists the kinds of test a claim can have; exactly one each.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from scipy import stats

from htcv_lib.runs.statistics import Estimate, holm, mean_interval, wilson

SUPPORTED, CONTRADICTED, NO_DIFFERENCE = "supported", "contradicted", "no practical difference"
UNDECIDED, NOT_TESTABLE, IN_SIMULATION = "undecided", "not testable", "holds in simulation"
WORDS = (SUPPORTED, IN_SIMULATION, NO_DIFFERENCE, UNDECIDED, CONTRADICTED, NOT_TESTABLE)
ENOUGH = 10  # paired seeds that decide
ALPHA = 0.05

# test -> keys it must have, keys it may have
TESTS = {
    # one variant against another, paired by seed. at_least and at_most claim a size; same claims there is none
    "compare": ({"better", "worse", "metric", "margin"}, {"at_least", "at_most", "same", "lower_is_better"}),
    # the mean of several variants against the mean of others: a main effect of the grid
    "effect": ({"better", "worse", "metric", "margin"}, {"lower_is_better"}),
    # the mean of one variant reaches a level, or stays below one
    "single": ({"variant", "metric"}, {"at_least", "at_most"}),
    # most runs of one variant end at or beyond a level, k of n
    "collapse": ({"variant", "metric"}, {"at_least", "at_most"}),
    "not_testable": (set(), set()),
}
REQUIRED = {"id", "family", "report", "kind", "says", "statement"}
OPTIONAL = {"simulation", "revised", "note"}


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


def load_claims(path: Path) -> list[Claim]:
    """Read and check the list. Errors: ValueError naming the claim and what is wrong with it."""
    entries = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or []
    if not isinstance(entries, list):
        raise ValueError(f"{Path(path).name}: expected a list of claims")
    claims = [_checked(entry, f"{Path(path).name}: claim {place}") for place, entry in enumerate(entries, start=1)]
    seen: set[str] = set()
    for claim in claims:
        if claim.id in seen:
            raise ValueError(f"{Path(path).name}: duplicate id {claim.id!r}")
        seen.add(claim.id)
    return claims


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


def _checked(entry: Any, where: str) -> Claim:
    """A claim from its YAML mapping, or a ValueError that says which key is missing, unknown or wrong."""
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected a mapping")
    where += f" ({entry['id']})" if "id" in entry else ""
    _check_keys(entry, REQUIRED, OPTIONAL | set(TESTS), where)
    if entry["kind"] not in ("observation", "explanation"):
        raise ValueError(f"{where}: kind must be observation or explanation, not {entry['kind']!r}")
    _check_keys(entry["report"], {"file", "section", "where"}, set(), f"{where}: report")
    tests = [name for name in TESTS if name in entry]
    if len(tests) != 1:
        raise ValueError(f"{where}: needs exactly one of {', '.join(TESTS)}, has {', '.join(tests) or 'none'}")
    test = entry[tests[0]]
    if tests[0] == "not_testable":
        if not isinstance(test, str) or not test.strip():
            raise ValueError(f"{where}: not_testable must give the reason")
        return Claim(**entry)
    _check_keys(test, *TESTS[tests[0]], f"{where}: {tests[0]}")
    sizes = [key for key in ("at_least", "at_most", "same") if key in test]
    if len(sizes) > 1 or (tests[0] in ("single", "collapse") and not sizes):
        raise ValueError(f"{where}: {tests[0]} needs {'one' if not sizes else 'only one'} of at_least, at_most")
    for key in {"margin", "at_least", "at_most"} & set(test):
        if isinstance(test[key], bool) or not isinstance(test[key], int | float):
            raise ValueError(f"{where}: {key} must be a number, not {test[key]!r}")
    if "margin" in test and test["margin"] <= 0:
        raise ValueError(f"{where}: margin must be positive")
    for side in {"better", "worse"} & set(test):
        wanted = str if tests[0] == "compare" else list
        if not isinstance(test[side], wanted) or not test[side]:
            raise ValueError(f"{where}: {side} must be {'one variant' if wanted is str else 'a list of variants'}")
    return Claim(**entry)


def _check_keys(entry: Any, required: set[str], optional: set[str], where: str) -> None:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected a mapping")
    missing, unknown = required - set(entry), set(entry) - required - optional
    if missing or unknown:
        both = (("missing", missing), ("unknown", unknown))
        parts = [f"{word} {', '.join(sorted(map(str, keys)))}" for word, keys in both if keys]
        raise ValueError(f"{where}: {'; '.join(parts)}")
