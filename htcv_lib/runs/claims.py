"""The reports' conclusions as testable claims, and how the runs decide them.

The rules are those of the page `book/claims.md`; `claim_files` reads the claims. A claim is one testable part of one
sentence; a headline is a conclusion, with all claims that bear on it, one of which decides it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from math import isfinite, nan
from statistics import fmean
from typing import Any, NamedTuple

from scipy import stats

from htcv_lib.runs.statistics import Estimate, equivalence, holm, mean_interval, one_sided, wilson

SUPPORTED, CONTRADICTED, NO_DIFFERENCE = "supported", "contradicted", "no practical difference"
UNDECIDED, NOT_TESTABLE = "undecided", "not testable"
NOT_LEARNED, NOT_OCCURRED = "neither learned it", "did not occur"  # at this size
IN_SIMULATION, FAILS_IN_SIMULATION = "holds in simulation", "fails in simulation"
WORDS = (SUPPORTED, IN_SIMULATION, NO_DIFFERENCE, UNDECIDED, NOT_LEARNED, NOT_OCCURRED, FAILS_IN_SIMULATION,
         CONTRADICTED, NOT_TESTABLE)
ANSWERS = ("true", "false", "not shown")  # in the report's own files, or by proof
ENOUGH = 5  # paired seeds from which on the p-value decides
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
    gate: bool = True  # counts only where a network has learned something; False: it is about failing
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

    @property
    def sides(self) -> list[list[str]]:
        """The variants that are compared, or the one that is measured."""
        named = [self.test[side] for side in ("better", "worse", "variant") if side in self.test]
        return [[side] if isinstance(side, str) else list(side) for side in named]


@dataclass(frozen=True)
class Headline:
    """A conclusion of a report, and the claims that bear on it."""

    id: str
    family: str
    says: str
    claims: tuple[str, ...]
    decided_by: str = ""  # the claim whose test answers it in our reruns; empty: none can
    report: Mapping[str, str] = field(default_factory=dict)  # "word", one of ANSWERS, "because", and "see", an erratum


@dataclass(frozen=True)
class Gate:
    """What a variant must do before its comparisons count: beat what learned nothing, by a margin."""

    metrics: Sequence[str]  # patterns of the metrics it guards
    by: str  # the metric it looks at
    says: str  # why nothing counts where it is shut
    margin: float = 0.0
    baseline: str | Mapping[str, str] = ""  # a variant, with {parameters} of the one that is judged, or patterns of
    # variants -> the baseline of each; empty: the margin itself is the level
    lower_is_better: bool = False
    word: str = NOT_LEARNED


class Verdict(NamedTuple):
    """What the references say about a claim."""

    claim: Claim
    word: str  # one of WORDS
    so_far: str  # while undecided: the word the interval alone would give, were there seeds enough; else ""
    estimate: Estimate | None  # paired difference in the claimed direction, a mean, or a share (collapse); its
    # interval is the one that says the word: of 90 % for "no practical difference", else of 95 %
    p_adjusted: float | None  # Holm, over the headlines of the family or over its other tests; None for too few seeds
    n: int  # (paired) seeds
    runs: list[str]  # whose records were used
    profile: str = ""  # the size they have
    values: Mapping[int, float] = {}  # seed -> what is tested: a difference, a mean, 1 for a collapse
    shut: str = ""  # why it does not count, where nothing was learned

    @property
    def preliminary(self) -> str:
        """"preliminary, n = 3" while there are too few seeds to decide, else ""."""
        few = self.word not in (NOT_TESTABLE, NOT_LEARNED, NOT_OCCURRED) and self.n < ENOUGH
        return f"preliminary, n = {self.n}" if few else ""


class Judged(NamedTuple):
    """A headline with both answers."""

    headline: Headline
    verdict: Verdict | None  # of the claim that decides it
    details: list[Verdict]  # of all its claims


class Seeds(NamedTuple):
    """The references of one family as tests see them."""

    values: Callable[[str, str, str], Mapping[int, float]]  # (variant, metric, profile) -> seed -> value
    profiles: Sequence[str]  # the largest first
    parameters: Callable[[str, str], Mapping[str, Any]] = lambda variant, profile: {}
    counted: frozenset[str] = frozenset()  # metrics that are 1 in some runs and 0 in others
    computed: frozenset[str] = frozenset()  # variants that train nothing


class _Evidence(NamedTuple):
    """A claim with its numbers, before the p-values of its family are adjusted."""

    estimate: Estimate
    word: str  # what the intervals alone say, however few the seeds
    p: float  # of that word
    runs: list[str]
    profile: str
    values: Mapping[int, float]
    shut: Gate | None


def decide(claims: Iterable[Claim], seeds: Seeds, headlines: Sequence[Headline] = (),
           gates: Sequence[Gate] = ()) -> list[Verdict]:
    """The verdicts on the claims of one family, in their order.

    Each claim is decided at the largest size that has `ENOUGH` seeds, else at the one with most. The p-values are
    adjusted by Holm's method over the headlines' tests, and over all others: as many as are listed, whatever has run.
    """
    claims = list(claims)
    evidence = {claim.id: _weigh(claim, seeds, gates) for claim in claims if not claim.not_testable}
    heads = {headline.decided_by for headline in headlines}
    adjusted: dict[str, float] = {}
    for group in ([name for name in evidence if (name in heads) is leading] for leading in (True, False)):
        usable = {name for name in group if evidence[name].estimate.n >= ENOUGH and isfinite(evidence[name].p)}
        found = holm([evidence[name].p if name in usable else 1.0 for name in group])
        adjusted |= {name: p for name, p in zip(group, found, strict=True) if name in usable}
    return [_verdict(claim, evidence.get(claim.id), adjusted.get(claim.id)) for claim in claims]


def judge(headlines: Iterable[Headline], verdicts: Iterable[Verdict]) -> list[Judged]:
    """Every headline with the verdict that decides it and those on all its claims."""
    by_name = {verdict.claim.id: verdict for verdict in verdicts}
    return [Judged(headline, by_name.get(headline.decided_by), [by_name[name] for name in headline.claims])
            for headline in headlines]


def _verdict(claim: Claim, found: _Evidence | None, p: float | None) -> Verdict:
    if found is None:
        return Verdict(claim, NOT_TESTABLE, "", None, None, 0, [])
    known = (found.estimate, p, found.estimate.n, found.runs, found.profile, found.values)
    if found.shut:
        return Verdict(claim, found.shut.word, "", *known, found.shut.says)
    decided = p is not None and p < ALPHA
    word, so_far = (found.word, "") if decided else (UNDECIDED, "" if found.word == UNDECIDED else found.word)
    if claim.simulation:
        soft = {SUPPORTED: IN_SIMULATION, CONTRADICTED: FAILS_IN_SIMULATION}
        word, so_far = (soft.get(name, name) for name in (word, so_far))
    return Verdict(claim, word, so_far, *known)


def _weigh(claim: Claim, seeds: Seeds, gates: Sequence[Gate]) -> _Evidence:
    tables = {profile: _tested(claim, seeds, profile) for profile in seeds.profiles}
    profile = next((name for name in tables if len(tables[name]) >= ENOUGH),
                   max(tables, key=lambda name: len(tables[name]), default=""))  # of equals, the largest
    by_seed = tables.get(profile, {})
    runs = [f"{claim.family}/{variant}/s{seed}" for side in claim.sides for variant in side for seed in by_seed]
    values = list(by_seed.values())
    if not claim.collapse and claim.metric not in seeds.counted and all(
            variant in seeds.computed and len(set(seeds.values(variant, claim.metric, profile).values())) == 1
            for side in claim.sides for variant in side):
        values = values[:1]
    if claim.collapse:
        estimate, words = _shares(values)
    else:
        estimate, words = _words(claim, values)
    word, p = min(words.items(), key=lambda item: item[1]) if len(values) > 1 else (UNDECIDED, nan)
    if word == NO_DIFFERENCE or (word == SUPPORTED and claim.test.get("same")):
        estimate = mean_interval(values, level=0.90) if p < ALPHA else estimate
    shut = _shut(claim, seeds, profile, gates) if values and claim.gate else None
    return _Evidence(estimate, word if p < ALPHA else UNDECIDED, p, runs, profile, by_seed, shut)


def _tested(claim: Claim, seeds: Seeds, profile: str) -> dict[int, float]:
    """Seed -> what is tested: the difference in the claimed direction, the mean, or whether a run collapsed.

    A main effect first averages its variants seed by seed.
    """
    tables = [[seeds.values(variant, claim.metric, profile) for variant in side] for side in claim.sides]
    shared = sorted(set.intersection(*(set(table) for side in tables for table in side)))
    means = [{seed: sum(table[seed] for table in side) / len(side) for seed in shared} for side in tables]
    if claim.single:
        return means[0]
    if claim.collapse:
        sign, bound = _bound(claim.test)
        return {seed: float(sign * value >= sign * bound) for seed, value in means[0].items()}
    sign = -1 if claim.test.get("lower_is_better") else 1
    return {seed: sign * (means[0][seed] - means[1][seed]) for seed in shared}


def _bound(test: Mapping[str, Any]) -> tuple[int, float]:
    """1 and the least, or -1 and the most, that a claim allows: held against `sign * value`."""
    return (1, test["at_least"]) if "at_least" in test else (-1, test["at_most"])


def _words(claim: Claim, values: Sequence[float]) -> tuple[Estimate, dict[str, float]]:
    """The estimate, and for each word that a t test can give its p-value: two-sided beyond a bound, and of equivalence.

    An interval of 95 % that lies beyond the margin is a p below 0.05; one of 90 % within it likewise.
    """
    test = claim.test
    if len(values) < 2:
        return mean_interval(values), {}
    if "at_least" in test or "at_most" in test:  # a level, or the size of a difference
        sign, bound = _bound(test)
        signed = [sign * value for value in values]
        return mean_interval(values, against=bound), {SUPPORTED: 2 * one_sided(signed, sign * bound, above=True),
                                                      CONTRADICTED: 2 * one_sided(signed, sign * bound, above=False)}
    margin = test["margin"]
    better, worse = 2 * one_sided(values, margin, above=True), 2 * one_sided(values, -margin, above=False)
    if test.get("same"):
        return mean_interval(values), {SUPPORTED: equivalence(values, margin), CONTRADICTED: min(better, worse)}
    return mean_interval(values), {SUPPORTED: better, CONTRADICTED: worse, NO_DIFFERENCE: equivalence(values, margin)}


def _shares(reached: Sequence[float]) -> tuple[Estimate, dict[str, float]]:
    """k of n runs with Wilson's interval; "most" is more than half, by the exact binomial test."""
    n, hits = len(reached), round(sum(reached))
    if not n:
        return Estimate(nan, nan, nan, nan, 0), {}
    more, less = (min(1.0, 2 * float(stats.binomtest(hits, n, 0.5, side).pvalue)) for side in ("greater", "less"))
    return Estimate(hits / n, *wilson(hits, n), min(more, less), n), {SUPPORTED: more, CONTRADICTED: less}


def _shut(claim: Claim, seeds: Seeds, profile: str, gates: Sequence[Gate]) -> Gate | None:
    """What keeps a claim from counting at this size: none of its variants has learned anything; None if one has."""
    gate = next((gate for gate in gates if any(fnmatch(claim.metric, pattern) for pattern in gate.metrics)), None)
    learned = [_learned(gate, variant, seeds, profile) for side in claim.sides for variant in side] if gate else []
    return gate if learned and not any(each is not False for each in learned) else None


def _learned(gate: Gate, variant: str, seeds: Seeds, profile: str) -> bool | None:
    """Whether a variant beats the baseline by the margin, in the mean over seeds; None if that is not on record."""
    own, level = seeds.values(variant, gate.by, profile), {0: 0.0}
    if gate.baseline:
        named = gate.baseline if isinstance(gate.baseline, str) else next(
            (name for pattern, name in gate.baseline.items() if fnmatch(variant, pattern)), "")
        baseline = named.format_map(dict(seeds.parameters(variant, profile)))
        if variant == baseline:
            return False
        level = seeds.values(baseline, gate.by, profile)
    if not own or not level:
        return None
    gain = fmean(own.values()) - fmean(level.values())
    return gain * (-1 if gate.lower_is_better else 1) >= gate.margin
