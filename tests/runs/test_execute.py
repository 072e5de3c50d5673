"""Executing notebooks in workers that may die."""

import os
from concurrent.futures import Future

import nbformat
import pytest

from htcv_lib.runs import execute as execute_module
from htcv_lib.runs.execute import Slot, Task, _result, _with_room, execute, slots, usable_cores
from htcv_lib.runs.project import Project


def task(root, label: str, source: str, needs: tuple[str, ...] = ()) -> Task:
    notebook = root / f"{label}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), notebook)
    return Task(label, notebook, {}, root / "staging" / label, root / "final" / label, root, {}, needs,
                makes_record=False)


@pytest.mark.parametrize(("gpus", "jobs", "workers"), [
    ([], None, [Slot(2)] * 4), ([], "2", [Slot(4)] * 2),
    (["0", "1"], None, [Slot(4, "0"), Slot(4, "1")]),
    (["0"], "4", [Slot(2, "0")] * 4), (["0", "1"], "3", [Slot(2, "0"), Slot(2, "1"), Slot(2, "0")])])
def test_workers_share_cores_and_take_turns_on_gpus(monkeypatch, gpus, jobs, workers):
    monkeypatch.setattr(execute_module, "cuda_devices", lambda: gpus)
    monkeypatch.setattr(execute_module, "usable_cores", lambda: 8)
    monkeypatch.delenv("HTCV_JOBS", raising=False)
    monkeypatch.delenv("HTCV_THREADS", raising=False)
    if jobs:
        monkeypatch.setenv("HTCV_JOBS", jobs)
    assert slots() == workers
    monkeypatch.setenv("HTCV_THREADS", "1")
    assert {slot.threads for slot in slots()} == {1}


def test_the_cores_are_those_this_process_may_use():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_a_failure_outside_the_notebook_and_on_a_full_disk_is_one_line_that_names_the_disk(tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    monkeypatch.setattr(execute_module, "ROOM", 2**62)
    future = Future()
    future.set_exception(OSError(28, "No space left on device", "runs/staging/a"))
    outcome = _with_room(_result(future, task(tmp_path, "a", "")), Project(tmp_path))
    assert outcome.error.startswith(f"a: runs/staging/a: No space left on device; {tmp_path}/runs has ")
    assert not outcome.ok and "MiB left" in outcome.error


@pytest.mark.slow
def test_a_killed_worker_costs_its_own_run_and_those_that_need_it(tmp_path):
    killer = task(tmp_path, "killer", "import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
    heir, other = task(tmp_path, "heir", "print(1)", ("killer",)), task(tmp_path, "other", "print(1)")
    lines: list[str] = []
    outcomes = execute([killer, heir, other], lines.append, [Slot(1)])
    assert [outcome.ok for outcome in outcomes] == [False, False, True]
    assert "the worker process was killed" in outcomes[0].error and "killer failed" in outcomes[1].error
    assert (tmp_path / "final/other/notebook.ipynb").is_file() and not (tmp_path / "final/killer").exists()
