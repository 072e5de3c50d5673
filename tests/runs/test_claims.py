"""Claims: the file is checked, and every verdict word is reached by a case made for it."""

import math
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats
from statsmodels.stats.multitest import multipletests

from htcv_lib.runs.chapter import project_verdicts, published_claims
from htcv_lib.runs.claim_files import TESTS, load_claims, load_files, read_file
from htcv_lib.runs.claims import ENOUGH, WORDS, Claim, Gate, Headline, Seeds, decide, judge
from htcv_lib.runs.freshness import chapter_inputs
from htcv_lib.runs.plan import Book, Family
from htcv_lib.runs.project import Project

BOOK = Project(Path(__file__).parents[2])
SPREAD = (-0.001, 0.001) * 5  # ten seeds, mean zero: a half width of 0.00075 at 95 %
BASE = {"id": "a", "family": "toy", "report": {"file": "f", "section": "s", "where": "w"}, "kind": "observation",
        "says": "A is better.", "statement": "A is better by accuracy."}
PAIR = {"better": "a", "worse": "b", "metric": "accuracy", "margin": 0.005}


def claim(**extra) -> Claim:
    return Claim(**{**BASE, **extra})


def runs_with(**means):
    """Ten seeds per variant around a mean; variant b is flat, so differences keep the spread."""
    table = {name: {seed: mean + (0 if name == "b" else SPREAD[seed]) for seed in range(10)}
             for name, mean in means.items()}
    return lambda variant, metric: table.get(variant, {})


def seeds_from(values, **extra) -> Seeds:
    """References of one size, from (variant, metric) -> seed -> value."""
    return Seeds(lambda variant, metric, profile: values(variant, metric), ["full"], **extra)


def first(the_claim: Claim, values, **extra):
    return decide([the_claim], seeds_from(values, **extra))[0]


@pytest.mark.parametrize(("a", "word"), [
    (0.72, "supported"), (0.68, "contradicted"), (0.7, "no practical difference"), (0.705, "undecided")])
def test_a_comparison_reaches_each_word(a, word):
    verdict = first(claim(compare=PAIR), runs_with(a=a, b=0.7))
    assert verdict.word == word
    assert verdict.estimate.mean == pytest.approx(a - 0.7)
    assert verdict.n == 10 and verdict.preliminary == ""
    assert verdict.runs[0] == "toy/a/s0" and len(verdict.runs) == 20


def test_a_real_but_small_difference_is_not_support():
    # the interval excludes zero (p is tiny) but lies inside the margin
    verdict = first(claim(compare=PAIR), runs_with(a=0.702, b=0.7))
    assert verdict.p_adjusted < 0.001
    assert verdict.word == "no practical difference"


@pytest.mark.parametrize(("n", "said"), [(4, ("undecided", "supported", "preliminary, n = 4")),
                                         (5, ("supported", "", ""))])
def test_from_five_pairs_on_the_p_value_decides_and_fewer_only_lean(n, said):
    values = runs_with(a=0.72, b=0.7)
    verdict = first(claim(compare=PAIR), lambda variant, metric: dict(list(values(variant, metric).items())[:n]))
    assert (verdict.word, verdict.so_far, verdict.preliminary) == said
    assert (verdict.p_adjusted is None) is (n < ENOUGH)


def test_a_difference_is_held_against_the_margin_and_not_against_zero():
    values = runs_with(a=0.7065, b=0.7)
    verdict = first(claim(compare=PAIR), values)
    differences = [values("a", "")[seed] - values("b", "")[seed] for seed in range(10)]
    assert verdict.p_adjusted == pytest.approx(2 * stats.ttest_1samp(differences, 0.005, alternative="greater").pvalue)
    assert dict(verdict.values) == pytest.approx(dict(enumerate(differences)))


def test_so_far_needs_the_whole_interval():
    base = {0: 0.7, 1: 0.7}
    wide = first(claim(compare=PAIR), lambda variant, metric: {"a": {0: 0.71, 1: 0.75}, "b": base}[variant])
    assert (wide.word, wide.so_far, wide.n) == ("undecided", "", 2)
    below = first(claim(compare=PAIR), lambda variant, metric: {"a": {0: 0.6, 1: 0.601}, "b": base}[variant])
    assert (below.word, below.so_far) == ("undecided", "contradicted")


def test_one_seed_has_no_interval_and_says_nothing_so_far():
    verdict = first(claim(compare=PAIR), lambda variant, metric: {0: {"a": 0.69, "b": 0.7}[variant]})
    assert (verdict.word, verdict.so_far, verdict.n) == ("undecided", "", 1)
    assert math.isnan(verdict.estimate.low)


def test_no_runs_are_undecided_without_a_leaning():
    verdict = first(claim(compare=PAIR), lambda variant, metric: {})
    assert (verdict.word, verdict.so_far, verdict.n, verdict.runs) == ("undecided", "", 0, [])


def test_only_seeds_that_both_variants_have_count():
    table = {"a": {0: 0.8, 1: 0.9, 5: 0.1}, "b": {1: 0.7, 0: 0.6, 2: 0.0}}
    verdict = first(claim(compare=PAIR), lambda variant, metric: table[variant])
    assert verdict.n == 2
    assert verdict.estimate.mean == pytest.approx(0.2)
    assert verdict.runs == ["toy/a/s0", "toy/a/s1", "toy/b/s0", "toy/b/s1"]


def test_a_metric_where_lower_is_better_turns_the_sign():
    verdict = first(claim(compare={**PAIR, "lower_is_better": True}), runs_with(a=0.68, b=0.7))
    assert verdict.word == "supported"
    assert verdict.estimate.mean == pytest.approx(0.02)


def test_a_causal_guess_is_not_testable_whatever_the_runs_say():
    verdict = first(claim(not_testable="a guess about causes"), runs_with(a=0.72, b=0.7))
    assert (verdict.word, verdict.estimate, verdict.p_adjusted) == ("not testable", None, None)


def test_on_substitute_data_a_claim_holds_or_fails_in_simulation():
    assert first(claim(compare=PAIR, simulation=True), runs_with(a=0.72, b=0.7)).word == "holds in simulation"
    assert first(claim(compare=PAIR, simulation=True), runs_with(a=0.68, b=0.7)).word == "fails in simulation"


@pytest.mark.parametrize(("a", "word"), [(0.7, "supported"), (0.72, "contradicted"), (0.68, "contradicted"),
                                         (0.705, "undecided")])
def test_a_claim_of_sameness_is_supported_by_equivalence(a, word):
    assert first(claim(compare={**PAIR, "same": True}), runs_with(a=a, b=0.7)).word == word


@pytest.mark.parametrize(("size", "a", "word"), [
    ({"at_least": 0.015}, 0.72, "supported"), ({"at_least": 0.015}, 0.71, "contradicted"),
    ({"at_least": 0.015}, 0.7152, "undecided"), ({"at_most": 0.015}, 0.71, "supported"),
    ({"at_most": 0.015}, 0.72, "contradicted")])
def test_a_claim_about_size_is_held_against_its_bound(size, a, word):
    assert first(claim(compare={**PAIR, **size}), runs_with(a=a, b=0.7)).word == word


def test_a_main_effect_averages_the_variants_of_a_side_seed_by_seed():
    effect = {"better": ["a", "c"], "worse": ["b", "b"], "metric": "accuracy", "margin": 0.005}
    verdict = first(claim(effect=effect), runs_with(a=0.74, b=0.7, c=0.70))
    assert verdict.estimate.mean == pytest.approx(0.02)
    assert verdict.word == "supported"


@pytest.mark.parametrize(("a", "word"), [(0.72, "supported"), (0.68, "contradicted"), (0.7, "undecided")])
def test_a_level_is_reached_if_the_whole_interval_is_beyond_it(a, word):
    single = {"variant": "a", "metric": "accuracy", "at_least": 0.7}
    assert first(claim(single=single), runs_with(a=a, b=0)).word == word


@pytest.mark.parametrize(("a", "word"), [(0.72, "contradicted"), (0.68, "supported"), (0.7, "undecided")])
def test_a_level_is_not_exceeded_if_the_whole_interval_is_below_it(a, word):
    single = {"variant": "a", "metric": "accuracy", "at_most": 0.7}
    verdict = first(claim(single=single), runs_with(a=a, b=0))
    assert verdict.word == word
    assert verdict.estimate.mean == pytest.approx(a)  # the level itself, not its distance from the bound


@pytest.mark.parametrize(("collapsed", "word", "low"), [(10, "supported", 0.7225), (0, "contradicted", 0.0),
                                                       (6, "undecided", 0.3127)])
def test_collapses_are_counted_with_wilsons_interval(collapsed, word, low):
    test = {"variant": "a", "metric": "accuracy", "at_most": 0.1}
    verdict = first(claim(collapse=test), lambda *_: {seed: 0.0 if seed < collapsed else 0.8 for seed in range(10)})
    assert verdict.word == word
    assert verdict.estimate.mean == collapsed / 10
    assert verdict.estimate.low == pytest.approx(low, abs=1e-4)


def test_what_is_computed_and_not_trained_is_one_value_however_many_seeds():
    single = {"variant": "a", "metric": "accuracy", "at_least": 0.7}
    verdict = first(claim(single=single), lambda *_: dict.fromkeys(range(10), 0.9), computed=frozenset("a"))
    assert (verdict.word, verdict.so_far, verdict.n) == ("undecided", "", 1)
    counted = first(claim(single=single), lambda *_: dict.fromkeys(range(10), 0.9), counted=frozenset({"accuracy"}),
                    computed=frozenset("a"))
    assert (counted.word, counted.n) == ("supported", 10)
    trained = first(claim(single=single), lambda *_: dict.fromkeys(range(10), 0.9))
    assert (trained.word, trained.n) == ("supported", 10)  # ten trainings that all agree


def test_holm_counts_what_is_listed_headlines_apart_from_the_rest_whatever_has_run():
    offsets = (0.02, 0.0, 0.03, -0.01, 0.02, 0.0, 0.03, 0.0, 0.01, 0.01)
    table = {"a": {seed: 0.72 + offset for seed, offset in enumerate(offsets)}, "b": dict.fromkeys(range(10), 0.7),
             "few": {0: 0.9}}
    claims = [claim(compare=PAIR), claim(id="again", compare=PAIR), claim(id="head", compare=PAIR),
              claim(id="few", compare={**PAIR, "better": "few"}), claim(id="why", not_testable="a guess")]
    seeds, headline = seeds_from(lambda variant, metric: table[variant]), Headline("h", "toy", "So.", ("head",), "head")
    one, two, head, few, _ = decide(claims, seeds, [headline])
    assert one.p_adjusted == two.p_adjusted == pytest.approx(3 * head.p_adjusted)
    assert few.p_adjusted is None
    (judged,) = judge([headline], decide(claims, seeds, [headline]))
    assert judged.verdict == head and judged.details == [head]


def test_a_claim_that_holds_alone_may_be_undecided_among_many():
    offsets = (0.02, 0.01) * 4 + (0.04, 0.0)
    table = {"a": {seed: 0.7 + offset for seed, offset in enumerate(offsets)}, "b": dict.fromkeys(range(10), 0.7)}
    pair = {**PAIR, "margin": 0.001}

    def word(count):
        claims = [claim(id=str(k), compare=pair) for k in range(count)]
        return decide(claims, seeds_from(lambda variant, metric: table[variant]))[0].word

    assert word(1) == "supported"
    assert word(200) == "undecided"


@pytest.mark.parametrize(("large", "small", "said"), [(5, 10, ("large", 5)), (4, 10, ("small", 10)),
                                                      (3, 3, ("large", 3)), (0, 2, ("small", 2))])
def test_a_claim_is_decided_at_the_largest_size_that_has_the_seeds(large, small, said):
    sizes = {"large": large, "small": small}
    values = runs_with(a=0.72, b=0.7)
    seeds = Seeds(lambda variant, metric, profile: dict(list(values(variant, metric).items())[:sizes[profile]]),
                  ["large", "small"])
    (verdict,) = decide([claim(compare=PAIR)], seeds)
    assert (verdict.profile, verdict.n) == said


GATE = Gate(["acc*"], "accuracy", "Neither beats nothing.", 0.1, "nothing-{kind}")


@pytest.mark.parametrize(("nothing", "word"), [(0.5, "supported"), (0.615, "supported"), (0.65, "neither learned it")])
def test_a_comparison_counts_only_if_one_side_has_learned_something(nothing, word):
    values = runs_with(a=0.72, b=0.7, **{"nothing-x": nothing})
    seeds = seeds_from(values, parameters=lambda variant, profile: {"kind": "x"})
    (verdict,) = decide([claim(compare=PAIR)], seeds, gates=[GATE])
    assert (verdict.word, verdict.shut) == (word, "" if word == "supported" else GATE.says)
    (about_failing,) = decide([claim(compare=PAIR, gate=False)], seeds, gates=[GATE])
    assert about_failing.word == "supported"


def test_a_gate_may_name_baselines_by_pattern_and_lets_pass_what_it_cannot_see():
    values = runs_with(a=0.72, b=0.7, low=0.71, **{"low-b": 0.2})
    pair = claim(compare={**PAIR, "better": "low-b", "worse": "b"})
    gate = Gate(["*"], "accuracy", "No.", 0.05, {"low*": "b", "*": "low"}, word="did not occur")
    (verdict,) = decide([pair], seeds_from(values), gates=[gate])
    assert verdict.word == "did not occur"
    (open_gate,) = decide([pair], seeds_from(values), gates=[Gate(["*"], "accuracy", "No.", 0.05, "unrecorded")])
    assert open_gate.word == "contradicted"


SENTENCE = {"observation": "A is better.", "a": "A is better by accuracy."}
TOY = Family("toy", "Toy", {"runs": {"a": {}, "b": {}, "c": {}}, "metrics": {"accuracy": {}}})


def load(tmp_path: Path, *sentences, family: Family | None = None, **top) -> list[Claim]:
    """The claims of a file with these sentences in one place."""
    path = tmp_path / "toy.yml"
    path.write_text(yaml.safe_dump({"report": "f", **top, "sections": {"s": {"w": list(sentences)}}}, sort_keys=False))
    return read_file(path, family).claims


def test_a_sentence_with_one_test_is_one_claim(tmp_path):
    assert load(tmp_path, {**SENTENCE, "compare": PAIR}) == [claim(compare=PAIR)]


def test_a_sentence_with_two_tests_gives_two_claims(tmp_path):
    single = {"variant": "a", "metric": "accuracy", "at_least": 0.5}
    tests = [{"a": "A is better by accuracy.", "compare": PAIR}, {"level": "A is good.", "single": single}]
    first_test, second = load(tmp_path, {"observation": "A is better.", "tests": tests})
    assert first_test == claim(compare=PAIR)
    assert second == claim(id="level", statement="A is good.", single=single)


def test_what_stands_above_holds_below_unless_it_is_said_otherwise(tmp_path):
    tests = [{"a": "A.", "effect": {"metric": "accuracy"}}, {"b": "B.", "effect": {"metric": "loss", "margin": 2}},
             {"c": "C.", "not_testable": "Nobody knows.", "simulation": False, "note": "Another."}]
    sentence = {"explanation": "Because.", "revised": True, "note": "One.", "tests": tests,
                "effect": {"better": ["a"], "worse": ["b"]}}
    one, two, three = load(tmp_path, sentence, simulation=True, margins={"accuracy": 0.1, "loss": 1},
                           lower_is_better=["loss"])
    assert one.effect == {"better": ["a"], "worse": ["b"], "metric": "accuracy", "margin": 0.1}
    assert two.effect == {"better": ["a"], "worse": ["b"], "metric": "loss", "margin": 2, "lower_is_better": True}
    assert three.effect is None and three.not_testable == "Nobody knows."
    assert [c.simulation for c in (one, two, three)] == [True, True, False]
    assert [c.note for c in (one, two, three)] == ["One.", "One.", "Another."]
    assert all(c.revised and c.kind == "explanation" and c.says == "Because." for c in (one, two, three))


def test_a_claim_may_go_against_the_direction_of_its_metric(tmp_path):
    (found,) = load(tmp_path, {**SENTENCE, "compare": {**PAIR, "lower_is_better": False}}, lower_is_better=["accuracy"])
    assert found.compare == PAIR


@pytest.mark.parametrize(("change", "message"), [
    ({"surprise": 1}, "toy.yml: s, w, sentence 1: a: unknown surprise"),
    ({"drop": "observation"}, "toy.yml: s, w, sentence 1: needs one of observation or explanation, has neither"),
    ({"explanation": "Why."}, "has observation and explanation"),
    ({"drop": "a"}, "sentence 1: missing the id of a test"),
    ({"a": None}, "toy.yml: a: the restatement must be a sentence"),
    ({"compare": {k: v for k, v in PAIR.items() if k != "margin"}}, "toy.yml: a: compare: missing margin"),
    ({"compare": {**PAIR, "margin": "half"}}, "margin must be a number"),
    ({"compare": {**PAIR, "margin": 0}}, "margin must be positive"),
    ({"compare": {**PAIR, "at_least": 1, "at_most": 2}}, "only one of"),
    ({"compare": {**PAIR, "better": ["a", "c"]}}, "better must be one variant"),
    ({"compare": {**PAIR, "better": "d"}}, "toy.yml: a: better: no run 'toy/d' in the table of runs"),
    ({"compare": {**PAIR, "metric": "loss"}}, "toy.yml: a: metric: toy has no metric 'loss'"),
    ({"compare": {**PAIR, "metric": ["loss"]}}, "metric must be one name"),
    ({"not_testable": "why"}, "exactly one of"),
    ({"drop": "compare"}, "has none"),
    ({"drop": "compare", "single": {"variant": "a", "metric": "accuracy"}}, "single needs one of at_least, at_most"),
    ({"drop": "compare", "not_testable": ""}, "must give the reason"),
    ({"tests": []}, "sentence 1: unknown a"),
])
def test_a_claim_with_a_mistake_is_refused_by_name(tmp_path, change, message):
    sentence = {**SENTENCE, "compare": PAIR, **change}
    sentence.pop(sentence.pop("drop", ""), None)
    with pytest.raises(ValueError, match=message) as refused:
        load(tmp_path, sentence, family=TOY)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("text", "message"), [
    ("report: f\n", "toy.yml: missing sections"),
    ("sections: {}\nreports: f\n", "toy.yml: missing report; unknown reports"),
    ("report: f\nsections: {s: [1]}\n", "toy.yml: s: expected a mapping"),
    ("report: f\nsections: {s: {w: 1}}\n", "toy.yml: s, w: expected a list"),
    ("report: f\nsections:\n  s:\n    w: []\n    w: []\n", "toy.yml: line 5: 'w' stands here twice"),
    ("report: f: g\n", "toy.yml: line 1: mapping values"),
])
def test_a_file_with_a_mistake_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "toy.yml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_file(path)


@pytest.mark.parametrize(("top", "message"), [
    ({"gates": [{"metrics": ["*"], "by": "acuracy", "says": "No."}]}, "toy has no metric 'acuracy'"),
    ({"margins": {"accuracy": float("nan")}}, "margins: accuracy must be a number, not nan"),
    ({"margins": {"accuracy": "wide"}}, "margins: accuracy must be a number, not 'wide'"),
    ({"lower_is_better": ["acuracy"]}, "toy has no metric 'acuracy'"),
    ({"gates": [{"metrics": ["ac_*"], "by": "accuracy", "says": "No."}]}, "gates: toy has no metric 'ac_.'"),
    ({"gates": [{"metrics": ["*"], "by": "accuracy", "says": "No.", "margin": "wide"}]}, "margin must be a number"),
    ({"gates": [{"metrics": ["*"], "by": "accuracy", "says": "No.", "baseline": "z"}]}, "no run 'z' as a baseline"),
    ({"gates": [{"metrics": ["*"], "by": "accuracy", "says": "No.", "baseline": {"*": "z-{k}"}}]}, "no run 'z-{k}'"),
    ({"gates": [{"metrics": ["*"], "by": "accuracy", "says": "No.", "word": "nothing"}]}, "word must be"),
    ({"headlines": [{"id": "h", "says": "So.", "claims": ["a"], "report": {"word": "yes", "because": "b"}}]},
     "headline h: report: word must be one of true"),
    ({"headlines": [{"id": "h", "says": "So.", "claims": ["z"], "report": {"word": "true", "because": "b"}}]},
     "headline h: no claim 'z'"),
    ({"headlines": [{"id": "h", "says": "So.", "claims": ["a"], "decided_by": "b",
                     "report": {"word": "true", "because": "b"}}]}, "decided_by must be one of its claims"),
    ({"headlines": [{"id": "h", "says": "So.", "claims": [], "report": {"word": "true", "because": "b"}}]},
     "under no headline: a")])
def test_a_gate_or_a_headline_with_a_mistake_is_refused(tmp_path, top, message):
    test = {**SENTENCE, "compare": {"better": "a", "worse": "b", "metric": "accuracy", "margin": 0.1}}
    with pytest.raises(ValueError, match=message):
        load(tmp_path, test, family=TOY, **top)


def test_two_claims_with_one_id_are_refused(tmp_path):
    with pytest.raises(ValueError, match="duplicate id 'a'"):
        load(tmp_path, {**SENTENCE, "compare": PAIR}, {**SENTENCE, "compare": PAIR})


def test_a_family_needs_no_file_and_a_file_needs_its_family(toy):
    assert load_claims(toy) == load_claims(toy, "toy") == []
    toy.claims.mkdir()
    toy.claims_of("sixth").write_text("report: f\nsections: {}\n")
    with pytest.raises(ValueError, match="claims/sixth.yml: no family 'sixth'"):
        load_claims(toy)


def test_a_sixth_family_needs_only_its_own_file(toy):
    shutil.copytree(toy.notebooks / "toy", toy.notebooks / "sixth")
    toy.claims.mkdir()
    toy.claims_of("sixth").write_text("""
report: f
sections:
  s:
    w:
    - observation: Two is better.
      two: Two has the higher value.
      compare: {better: two, worse: one, metric: value, margin: 0.5}
""")
    assert [(found.family, found.id) for found in load_claims(toy)] == [("sixth", "two")]
    assert load_claims(toy, "toy") == []


def test_a_chapter_depends_on_the_claims_of_its_own_family(toy):
    before = chapter_inputs(toy, "toy", [])
    toy.claims.mkdir()
    toy.claims_of("sixth").write_text("report: f\nsections: {}\n")
    assert chapter_inputs(toy, "toy", []) == before
    toy.claims_of("toy").write_text("report: f\nsections: {}\n")
    assert chapter_inputs(toy, "toy", []) != before


def test_every_headline_of_the_book_can_be_decided_by_the_seeds_of_profile_full():
    seeds = Counter(run.name.rpartition("/")[0] for run in Book.load(BOOK).runs("full", None))
    few = set()
    for family, file in load_files(BOOK).items():
        decisive = {headline.decided_by for headline in file.headlines}
        variants = {v for claim in file.claims if claim.id in decisive for side in claim.sides for v in side}
        few |= {f"{family}/{variant}" for variant in variants if seeds[f"{family}/{variant}"] < ENOUGH}
    assert sorted(few) == []


def test_the_book_lists_every_observation_of_session_18_and_its_claims_can_be_decided():
    claims = load_claims(BOOK, "pets_unet")
    assert {c.where for c in claims} == {f"Part A, observation {k}" for k in (1, 2, 3)}
    verdicts = decide(claims, seeds_from(lambda variant, metric: {seed: 0.7 + seed / 1000 for seed in range(10)}))
    assert {verdict.word for verdict in verdicts} <= set(WORDS)
    assert all(c.margin == {"accuracy": 0.005, "mean_iou": 0.01}[c.metric] for c in claims if not c.not_testable)
    assert set(TESTS) >= {name for c in claims for name in TESTS if getattr(c, name)}


MARGINS = {"psnr": 0.5, "swap_success": 0.05, "recognised": 0.05, "style_kept": 0.1, "sharpness": 0.1,
           "label_nll": 0.05}


def test_the_book_lists_part_b_of_session_18_from_its_goal_to_its_last_observation():
    claims = load_claims(BOOK, "vae")
    places = dict.fromkeys(c.where.removeprefix("Part B, ") for c in claims)
    assert list(places) == ["introduction", "structure, purpose of the label loss", "settings of the CIFAR10 VAE",
                            "observation 1", "observation 2", "observation 3"]  # in the report's order
    verdicts = decide(claims, seeds_from(lambda variant, metric: {seed: 0.7 + seed / 1000 for seed in range(10)}))
    assert {verdict.word for verdict in verdicts} <= set(WORDS)
    assert all(c.margin == MARGINS[c.metric] for c in claims if c.compare)


def recomputed(entry: dict, enough: int) -> tuple[str, float]:
    """The word of one published test and its p-value, from its values alone, by scipy; "" where none can be given."""
    values, test = list(entry["values"].values()), entry["test"]
    if entry["kind"] == "collapse":
        sides = {"supported": "greater", "contradicted": "less"}
        found = {word: min(1, 2 * stats.binomtest(round(sum(values)), len(values), 0.5, side).pvalue)
                 for word, side in sides.items()} if values else {}
    else:
        def beyond(bound: float, side: str) -> float:
            if np.ptp(values) < 1e-12:  # all trainings agree
                return float(not (values[0] > bound if side == "greater" else values[0] < bound))
            return stats.ttest_1samp(values, bound, alternative=side).pvalue

        if len(values) < 2 or entry["n"] == 1:
            return "constant", math.nan
        if {"at_least", "at_most"} & set(test):
            bound, up = test.get("at_least", test.get("at_most")), "at_least" in test
            found = {"supported": 2 * beyond(bound, "greater" if up else "less"),
                     "contradicted": 2 * beyond(bound, "less" if up else "greater")}
        else:
            margin = test["margin"]
            found = {"supported": 2 * beyond(margin, "greater"), "contradicted": 2 * beyond(-margin, "less"),
                     "no practical difference": max(beyond(-margin, "greater"), beyond(margin, "less"))}
            if test.get("same"):
                found = {"supported": found["no practical difference"],
                         "contradicted": min(found["supported"], found["contradicted"])}
    word = min(found, key=found.get, default="")
    return (word if found and found[word] < 0.05 else "undecided"), found.get(word, math.nan)


def test_every_published_verdict_is_recomputed_by_scipy_alone():
    found = published_claims(BOOK, project_verdicts(BOOK))
    soft = {"supported": "holds in simulation", "contradicted": "fails in simulation"}
    for family in {entry["family"] for entry in found["tests"]}:
        tests = [entry for entry in found["tests"] if entry["family"] == family and entry["kind"] != "not_testable"]
        words = {entry["id"]: recomputed(entry, found["enough"]) for entry in tests}
        for leading in (True, False):
            group = [entry for entry in tests if bool(entry["decides"]) is leading]
            usable = [entry["id"] for entry in group if entry["n"] >= found["enough"]
                      and math.isfinite(words[entry["id"]][1])]
            p_values = [words[entry["id"]][1] if entry["id"] in usable else 1.0 for entry in group]
            adjusted = dict(zip([entry["id"] for entry in group], multipletests(p_values, method="holm")[1],
                                strict=True)) if group else {}
            for entry in group:
                word = words[entry["id"]][0]
                if word == "constant":
                    continue
                if entry["id"] in usable:
                    assert entry["p_adjusted"] == pytest.approx(adjusted[entry["id"]], rel=1e-6, abs=1e-12)
                decided = entry["id"] in usable and adjusted[entry["id"]] < found["alpha"]
                word = soft.get(word, word) if entry["simulation"] else word
                said = (word, "") if decided else ("undecided", "" if word == "undecided" else word)
                assert entry["shut"] or (entry["word"], entry["so_far"]) == said, entry["id"]
