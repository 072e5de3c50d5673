"""The engine on the toy book: what runs, what does not, and what a failure leaves behind."""

import json

import pytest

from htcv_lib.runs.build import build, build_lock, run_changed
from htcv_lib.runs.chapter import Chapter
from htcv_lib.runs.plan import PlanError
from htcv_lib.runs.records import records_below

pytestmark = pytest.mark.slow


def ran(report):
    return sorted(outcome.label for outcome in report.outcomes)


ALL = ["toy/chapter", "toy/one/s0", "toy/three/s0", "toy/two/s0"]


def test_a_second_build_runs_nothing_a_change_what_depends_on_it_and_a_failure_is_retried_alone(toy, edit_runs):
    first = build(toy, say=lambda line: None)
    assert ran(first) == ALL
    assert first.failures == []
    for record in records_below(toy.built / "quick"):  # none is half written
        assert (record.folder / "notebook.ipynb").is_file()
        assert {"commit", "device", "versions", "parts", "finished"} <= set(record.data)
    second = build(toy, say=lambda line: None)
    assert ran(second) == []
    values = {record.run: record.value("value") for record in second.built.values()}
    assert values == {"toy/one/s0": 2.0, "toy/two/s0": 4.0, "toy/three/s0": 6.0}

    edit_runs(toy, lambda family: family["runs"]["two"]["parameters"].update(slope=2.5))
    assert ran(build(toy, say=lambda line: None)) == ["toy/chapter", "toy/two/s0"]

    edit_runs(toy, lambda family: family["runs"]["two"]["parameters"].update(fail=True))
    report = build(toy, say=lambda line: None)
    assert [outcome.error for outcome in report.failures] == ["toy/two/s0, cell 3: RuntimeError: asked to fail"]
    assert "toy/two/s0" not in report.built  # no result that looks fresh
    notebook = json.loads((toy.staging / "quick/toy/two/s0/notebook.ipynb").read_text())
    assert "asked to fail" in json.dumps(notebook)  # the traceback is kept
    assert ran(build(toy, say=lambda line: None)) == ["toy/two/s0"]


def test_a_run_that_needs_a_failed_one_is_skipped_and_others_go_on(toy, edit_runs):
    def change(family):
        family["runs"]["one"]["parameters"]["fail"] = True
        family["runs"]["two"]["needs"] = {"teacher": "toy/one"}

    edit_runs(toy, change)
    report = build(toy, say=lambda line: None)
    errors = {outcome.label: outcome.error for outcome in report.failures}
    assert errors["toy/two/s0"] == "toy/two/s0: not run, toy/one/s0 failed"
    assert sorted(report.built) == ["toy/three/s0"]


def test_the_budget_takes_the_most_important_runs_first(toy, edit_runs, monkeypatch):
    def change(family):
        family["minutes"]["quick"] = 10
        family["runs"]["three"]["priority"] = 1

    edit_runs(toy, change)
    monkeypatch.setenv("HTCV_BUDGET", "10m")
    monkeypatch.setenv("HTCV_JOBS", "1")
    assert "toy/three/s0" in ran(build(toy, say=lambda line: None, pages=False))
    assert len(build(toy, say=lambda line: None, pages=False).built) >= 1


def test_more_seeds_run_when_asked(toy, monkeypatch):
    monkeypatch.setenv("HTCV_SEEDS", "2")
    report = build(toy, say=lambda line: None, variants=["toy/one"], pages=False)
    assert sorted(report.built) == ["toy/one/s0", "toy/one/s1"]


def test_expected_minutes_of_a_gpu_are_called_so_on_a_cpu(toy, monkeypatch):
    monkeypatch.setattr("htcv_lib.runs.execute.cuda_devices", list)
    for profile, says in (("quick", False), ("full", True)):
        lines = []
        build(toy, profile=profile, say=lines.append, variants=["toy/one"], pages=False)
        assert ("minutes on a GPU, far more here" in lines[0]) == says


@pytest.mark.parametrize(("variable", "text", "says"), [
    ("HTCV_SEEDS", "two", "write a whole number"), ("HTCV_SEEDS", "0", "1 or more"),
    ("HTCV_JOBS", "1.5", "write a whole number"), ("HTCV_THREADS", "-1", "write a whole number"),
    ("HTCV_BUDGET", "soon", "write minutes or hours")])
def test_a_setting_that_cannot_be_read_stops_a_build_before_it_starts(toy, monkeypatch, variable, text, says):
    monkeypatch.setenv(variable, text)
    lines = []
    for start in (lambda: build(toy, say=lines.append), lambda: run_changed(toy, "toy/one", "quick", {}, lines.append)):
        with pytest.raises(PlanError, match=f"{variable}={text}: .*{says}"):
            start()
    assert lines == [] and not toy.staging.exists()


def test_a_checkout_whose_results_belong_to_another_user_says_so_before_anything_starts(toy, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("filelock.BaseFileLock.acquire", refused)
    with pytest.raises(PlanError, match=f"{toy.built}, or the lock in it, belongs to another user"), build_lock(toy):
        pass


def test_a_run_with_another_parameter_goes_to_scratch_and_leaves_the_planned_one_alone(toy, monkeypatch):
    monkeypatch.chdir(toy.root)
    outcome = run_changed(toy, "toy/one", "quick", {"slope": "1e1"}, lambda line: None)
    (record,) = records_below(toy.scratch)
    assert outcome.ok and record.folder == outcome.folder and record.profile == "scratch"
    assert record.value("value") == 20.0 and record.parameters["slope"] == 10.0  # two steps, as quick says
    assert Chapter.start("toy").scratch[0].run == "toy/one/s0"
    assert not (toy.built / "quick").exists()


@pytest.mark.parametrize(("changes", "says"), [
    ({"steps": "2.5"}, "toy/one/s0: steps wants int, got float 2.5 .-p."),
    ({"fail": "1"}, "toy/one/s0: fail wants bool, got int 1 .-p."),
    ({"slope": "steep"}, "toy/one/s0: slope wants float, got str 'steep' .-p."),
    ({"slpoe": "1.0"}, "toy/one/s0: run.ipynb has no parameter 'slpoe' .-p."),
])
def test_a_value_given_by_hand_is_checked_before_anything_starts(toy, changes, says):
    with pytest.raises(PlanError, match=says):
        run_changed(toy, "toy/one", "quick", changes)
    assert not toy.staging.exists()
