"""The files of claims, `book/claims/<family>.yml`: read, checked, and unfolded into claims.

`TESTS` lists the kinds of test a claim can have; exactly one each.
A file is nested: section > place > sentence > tests. What stands further up holds below, unless something else is said
there:

    report: Session 18
    margins: {accuracy: 0.005}  # metric -> margin
    lower_is_better: [loss]  # metrics, in the claimed direction
    sections:
      Part A:
        observation 1:
        - observation: The sentence, in our words; or `explanation`.
          tests:  # each begins with its id and our restatement; the keys of a single one may stand in the sentence
          - a-wins: A has a higher accuracy than B.
            compare: {better: a, worse: b, metric: accuracy}

Above the sections may stand what gates them and what they add up to:

    gates:  # which metrics count only where a variant beats what learned nothing
    - {metrics: [accuracy], by: accuracy, baseline: majority, margin: 0.01, says: neither beats the commonest class}
    headlines:
    - id: a-or-b
      says: A is better than B.
      decided_by: a-wins
      report: {word: "true", because: Its own table says so., see: an-erratum}
      claims: [a-wins]
"""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from htcv_lib.runs.claims import ANSWERS, NOT_LEARNED, NOT_OCCURRED, Claim, Gate, Headline
from htcv_lib.runs.plan import Book, Family, read_yaml
from htcv_lib.runs.project import Project

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
KINDS = ("observation", "explanation")
INHERITED = {"simulation", "revised", "note", "gate", *TESTS}  # in a test, its sentence, or at the top
SIZES = ("at_least", "at_most", "same")
HEADLINE = ({"id", "says", "report", "claims"}, {"decided_by"})
REPORT = ({"word", "because"}, {"see"})  # what the report's own files say
GATE = ({"metrics", "by", "says"}, {"margin", "baseline", "lower_is_better", "word"})


class ClaimFile(NamedTuple):
    """All that one file says."""

    claims: list[Claim]
    headlines: list[Headline]
    gates: list[Gate]


def load_claims(project: Project, family: str = "") -> list[Claim]:
    """The claims of one family, or of all in the order of the book; a family without a file has none.

    Errors: ValueError, one line that names the file, the claim and the key that is wrong.
    """
    return [claim for file in load_files(project, family).values() for claim in file.claims]


def load_files(project: Project, family: str = "") -> dict[str, ClaimFile]:
    """Family -> its file, for those that have one, in the order of the book. Errors: as `load_claims`."""
    families = Book.load(project).families
    for path in sorted(project.claims.glob("*.yml")):
        if path.stem not in families:
            raise ValueError(f"claims/{path.name}: no family {path.stem!r} in the table of runs")
    return {name: read_file(project.claims_of(name), families[name]) for name in ([family] if family else families)
            if project.claims_of(name).is_file()}


def read_file(path: Path, family: Family | None = None) -> ClaimFile:
    """Read and check one file, named for its family.

    Args:
        family: Whose runs and metrics the tests must name; None leaves that unchecked.

    Errors: as `load_claims`.
    """
    where = f"claims/{path.name}"
    file = read_yaml(path, where)
    if not file:
        return ClaimFile([], [], [])
    _check_keys(file, {"report", "sections"}, {"margins", "lower_is_better", "headlines", "gates", *INHERITED}, where)
    for key, kind in (("margins", dict), ("lower_is_better", list)):
        if not isinstance(file.get(key, kind()), kind):
            raise ValueError(f"{where}: {key} must be a {'mapping' if kind is dict else 'list'}")
    for metric, margin in file.get("margins", {}).items():
        _check_number(margin, f"{where}: margins: {metric}")
    for metric in [*file.get("margins", {}), *file.get("lower_is_better", [])]:
        if family and metric not in family.metrics:
            raise ValueError(f"{where}: {family.name} has no metric {metric!r}")
    claims: dict[str, Claim] = {}
    for report, sentence, place in _sentences(file, where):
        for entry in _tests(file, sentence, place):
            at = f"{where}: {entry['id']}"
            if entry["id"] in claims:
                raise ValueError(f"{at}: duplicate id {entry['id']!r}")
            claims[entry["id"]] = claim = _checked({**entry, "family": path.stem, "report": report}, at)
            if family:
                _check_names(claim, family, at)
    return ClaimFile(list(claims.values()), _headlines(file, claims, path.stem, where), _gates(file, family, where))


def _headlines(file: Mapping[str, Any], claims: Mapping[str, Claim], family: str, where: str) -> list[Headline]:
    """The headlines; where there are any, every claim belongs to exactly one."""
    found, placed = [], {}
    for entry in file.get("headlines", []):
        at = f"{where}: headline {entry.get('id', '?')}"
        _check_keys(entry, *HEADLINE, at)
        _check_keys(entry["report"], *REPORT, f"{at}: report")
        if entry["report"]["word"] not in ANSWERS:
            raise ValueError(f"{at}: report: word must be one of {', '.join(ANSWERS)}, in quotes")
        for name in entry["claims"]:
            if name not in claims:
                raise ValueError(f"{at}: no claim {name!r}")
            if name in placed:
                raise ValueError(f"{at}: {name} belongs to {placed[name]} already")
            placed[name] = entry["id"]
        decisive = entry.get("decided_by", "")
        if decisive and (decisive not in entry["claims"] or claims[decisive].not_testable):
            raise ValueError(f"{at}: decided_by must be one of its claims, and testable")
        found.append(Headline(**{**entry, "family": family, "claims": tuple(entry["claims"])}))
    if found and set(placed) != set(claims):
        raise ValueError(f"{where}: under no headline: {', '.join(sorted(set(claims) - set(placed)))}")
    return found


def _gates(file: Mapping[str, Any], family: Family | None, where: str) -> list[Gate]:
    """The gates; a metric or a baseline that is not there would leave one open for ever, so it is an error."""
    gates = []
    for entry in file.get("gates", []):
        _check_keys(entry, *GATE, f"{where}: gates")
        _check_number(entry.get("margin", 0), f"{where}: gates: margin")
        if not isinstance(entry["metrics"], list):
            raise ValueError(f"{where}: gates: metrics must be a list, not {entry['metrics']!r}")
        for metric in [entry["by"], *entry["metrics"]]:
            if family and not any(fnmatch(known, metric) for known in family.metrics):
                raise ValueError(f"{where}: gates: {family.name} has no metric {metric!r}")
        if entry.get("word", NOT_LEARNED) not in (NOT_LEARNED, NOT_OCCURRED):
            raise ValueError(f"{where}: gates: word must be {NOT_LEARNED!r} or {NOT_OCCURRED!r}, not {entry['word']!r}")
        baseline = entry.get("baseline", "")
        for name in filter(None, [baseline] if isinstance(baseline, str) else baseline.values()):
            pattern = re.sub(r"\{.*?\}", "*", name)  # a template names at least one run
            if family and not any(fnmatch(variant, pattern) for variant in family.variants):
                raise ValueError(f"{where}: gates: {family.name} has no run {name!r} as a baseline")
        gates.append(Gate(**entry))
    return gates


def _sentences(file: Mapping[str, Any], where: str) -> Iterator[tuple[dict[str, str], Any, str]]:
    """Where in the report each sentence stands, the sentence, and how an error calls it."""
    for section, places in _mapping(file["sections"], f"{where}: sections").items():
        for place, sentences in _mapping(places, f"{where}: {section}").items():
            report = {"file": file["report"], "section": section, "where": place}
            if not isinstance(sentences, list):
                raise ValueError(f"{where}: {section}, {place}: expected a list of sentences")
            for number, sentence in enumerate(sentences, start=1):
                yield report, sentence, f"{where}: {section}, {place}, sentence {number}"


def _tests(file: Mapping[str, Any], sentence: Any, where: str) -> Iterator[dict[str, Any]]:
    """The claims of one sentence, each with what it inherits; its id is the first key that is none of ours."""
    kinds = [kind for kind in KINDS if kind in _mapping(sentence, where)]
    if len(kinds) != 1:
        raise ValueError(f"{where}: needs one of {' or '.join(KINDS)}, has {' and '.join(kinds) or 'neither'}")
    shared = {key: value for key, value in sentence.items() if key not in (*KINDS, "tests")}
    above = {key: file[key] for key in INHERITED & set(file)}
    if "tests" in sentence:
        _check_keys(shared, set(), INHERITED, where)
        above, tests = _below(above, shared), sentence["tests"]
    else:
        tests = [shared]
    for test in tests if isinstance(tests, list) else [None]:
        own = dict(_mapping(test, f"{where}: tests"))
        name = next((key for key in own if key not in INHERITED), None)
        if name is None:
            raise ValueError(f"{where}: missing the id of a test, with its restatement")
        entry = {"id": name, "kind": kinds[0], "says": sentence[kinds[0]], "statement": own.pop(name)}
        _check_keys(own, set(), INHERITED, f"{where}: {name}")
        yield {**_with_defaults(_below(above, own), file), **entry}


def _below(above: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What holds for an entry: its own keys, and those above; of a test above, no more than belongs to its own test."""
    tests = set(TESTS) & set(own)
    merged = {key: value for key, value in above.items() if not tests or key not in TESTS} | dict(own)
    for name in tests & set(above):
        if isinstance(own[name], dict) and isinstance(above[name], dict):
            merged[name] = {**above[name], **own[name]}
    return merged


def _with_defaults(entry: dict[str, Any], file: Mapping[str, Any]) -> dict[str, Any]:
    """Differences get the margin and the direction that the file states for their metric."""
    for name in ("compare", "effect"):
        if isinstance(entry.get(name), dict):
            test = dict(entry[name])
            metric = str(test.get("metric"))
            if metric in file.get("margins", {}):
                test.setdefault("margin", file["margins"][metric])
            if not test.setdefault("lower_is_better", metric in file.get("lower_is_better", ())):
                del test["lower_is_better"]
            entry[name] = test
    return entry


def _checked(entry: dict[str, Any], where: str) -> Claim:
    """A claim from its keys, or a ValueError that says which one is missing or wrong."""
    for key in ("says", "statement"):
        if not isinstance(entry[key], str) or not entry[key].strip():
            raise ValueError(f"{where}: {entry['kind'] if key == 'says' else 'the restatement'} must be a sentence")
    tests = [name for name in TESTS if name in entry]
    if len(tests) != 1:
        raise ValueError(f"{where}: needs exactly one of {', '.join(TESTS)}, has {', '.join(tests) or 'none'}")
    test = entry[tests[0]]
    if tests[0] == "not_testable":
        if not isinstance(test, str) or not test.strip():
            raise ValueError(f"{where}: not_testable must give the reason")
    else:
        _check_test(tests[0], test, where)
    return Claim(**entry)


def _check_test(name: str, test: Any, where: str) -> None:
    _check_keys(test, *TESTS[name], f"{where}: {name}")
    sizes = [key for key in SIZES if key in test]
    if len(sizes) > 1 or (name in ("single", "collapse") and not sizes):
        raise ValueError(f"{where}: {name} needs {'one' if not sizes else 'only one'} of at_least, at_most")
    for key in {"margin", "at_least", "at_most"} & set(test):
        _check_number(test[key], f"{where}: {key}")
    if "margin" in test and test["margin"] <= 0:
        raise ValueError(f"{where}: margin must be positive")
    for key in {"metric", "variant"} & set(test):
        if not isinstance(test[key], str):
            raise ValueError(f"{where}: {key} must be one name, not {test[key]!r}")
    for side in {"better", "worse"} & set(test):
        wanted = str if name == "compare" else list
        if not isinstance(test[side], wanted) or not test[side]:
            raise ValueError(f"{where}: {side} must be {'one variant' if wanted is str else 'a list of variants'}")


def _check_number(value: Any, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{where} must be a number, not {value!r}")


def _check_names(claim: Claim, family: Family, where: str) -> None:
    """Its runs and its metric are those of the table."""
    for side in {"better", "worse", "variant"} & set(claim.test):
        named = claim.test[side]
        for variant in [named] if isinstance(named, str) else named:
            if variant not in family.variants:
                raise ValueError(f"{where}: {side}: no run {f'{family.name}/{variant}'!r} in the table of runs")
    if claim.metric and claim.metric not in family.metrics:
        raise ValueError(f"{where}: metric: {family.name} has no metric {claim.metric!r}")


def _mapping(entry: Any, where: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected a mapping")
    return entry


def _check_keys(entry: Any, required: set[str], optional: set[str], where: str) -> None:
    missing, unknown = required - set(_mapping(entry, where)), set(entry) - required - optional
    if missing or unknown:
        both = (("missing", missing), ("unknown", unknown))
        parts = [f"{word} {', '.join(sorted(map(str, keys)))}" for word, keys in both if keys]
        raise ValueError(f"{where}: {'; '.join(parts)}")
