"""The chapter's side: summaries, what a scratch run changed, verdicts from references."""

import pytest

from htcv_lib.runs.chapter import Chapter, project_verdicts
from htcv_lib.runs.display import table_html
from htcv_lib.runs.plan import PlanError
from htcv_lib.runs.records import write_json
from htcv_lib.runs.run import Run


@pytest.fixture
def with_references(toy, monkeypatch):
    """The toy book with references of two variants: three seeds and one."""
    monkeypatch.chdir(toy.root)
    for name, value in (("one/s0", 1.0), ("one/s1", 2.0), ("one/s2", 3.0), ("two/s0", 5.0)):
        folder = toy.reference("laptop", f"toy/{name}")
        folder.mkdir(parents=True)
        write_json(folder / "record.json", {
            "schema": 1, "run": f"toy/{name}", "profile": "laptop", "key": "k", "parts": {}, "parameters": {},
            "device": "a CPU", "finished": "2026-01-01T00:00:00Z", "wall_s": 1.0, "commit": "c",
            "metrics": {"value": {"value": value, "split": "test", "n": 3}}})
    return toy


def test_a_summary_gives_mean_half_interval_and_n(with_references):
    table = Chapter.start("toy").summary(["one", "two", "three"], ["value"])
    assert list(table["n"]) == [3, 1, 0]
    # mean 2, deviation 1, t(0.975, 2) = 4.303: half width 4.303 / sqrt(3) = 2.48
    assert list(table["Value"]) == ["2.00\u00a0±\u00a02.48", "5.00", "n/a"]


def test_the_best_of_the_rivals_is_bold(with_references):
    rivals = Chapter.start("toy").summary(["two", "one", "three"], ["value"], rivals=["one", "three"])
    html = table_html(rivals, "Values")
    assert html.count("<strong>") == 1 and "<strong>2.00\u00a0±\u00a02.48</strong>" in html


def test_a_summary_calls_variants_by_the_names_it_is_given(with_references):
    table = Chapter.start("toy").summary(["one", "two"], ["value"], {"two": "the second"})
    assert list(table["Variant"])[1] == "the second" != list(table["Variant"])[0]


def test_a_scratch_run_says_what_it_changed(with_references):
    run = Run.start("toy/one/s0", {"slope": 1.5, "steps": 10, "seed": 0, "fail": False})
    record = run.finish({"value": 15.0})
    assert Chapter.start("toy").changed(record) == "slope 1.5"


def test_the_runs_of_this_machine_stand_beside_their_references(with_references):
    assert list(Chapter.start("toy").runs_here(["value"]).iloc[0]) == ["none"] + ["n/a"] * 6
    Run.start("toy/one/s0", {"slope": 1.5, "steps": 10, "seed": 0, "fail": False}).finish({"value": 15.0})
    (row,) = Chapter.start("toy").runs_here(["value"]).to_dict("records")
    assert (row["Run"], row["Kind"], row["Changed"], row["Value"]) == ("one/s0", "scratch", "slope 1.5", "15.00 / 2.00")


def test_a_scratch_run_is_refused_a_value_of_another_type_unless_nobody_planned_it(with_references):
    with pytest.raises(PlanError, match="toy/one/s0: steps wants int, got float 2.5 .given."):
        Run.start("toy/one/s0", {"slope": 1.5, "steps": 2.5})
    assert not (with_references.scratch / "toy").exists()
    for name in ("toy/unheard-of/s0", "another/one/s0"):
        assert Run.start(name, {"steps": 2.5}).parameters == {"steps": 2.5}


def test_verdicts_come_from_references(with_references):
    with_references.claims.mkdir()
    with_references.claims_of("toy").write_text("""
report: F
sections:
  S:
    W:
    - observation: Two is better.
      two-beats-one: Two has the higher value.
      compare: {better: two, worse: one, metric: value, margin: 0.5}
""")
    (verdict,) = project_verdicts(with_references)["toy"]
    assert (verdict.word, verdict.so_far, verdict.n) == ("undecided", "", 1)
    assert verdict.estimate.mean == pytest.approx(4.0)


def test_text_in_tables_is_escaped(with_references):
    import pandas as pd

    html = table_html(pd.DataFrame({"a": ["<b>bold</b>"]}), 'A "caption"')
    assert "&lt;b&gt;" in html and 'aria-label="A &quot;caption&quot;"' in html
