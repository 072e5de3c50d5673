"""Executing notebooks in workers that may die."""

import nbformat

from htcv_lib.runs.execute import Slot, Task, execute


def task(root, label: str, source: str, needs: tuple[str, ...] = ()) -> Task:
    notebook = root / f"{label}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), notebook)
    return Task(label, notebook, {}, root / "staging" / label, root / "final" / label, root, {}, needs,
                makes_record=False)


def test_a_killed_worker_costs_its_own_run_and_those_that_need_it(tmp_path):
    killer = task(tmp_path, "killer", "import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
    heir, other = task(tmp_path, "heir", "print(1)", ("killer",)), task(tmp_path, "other", "print(1)")
    lines: list[str] = []
    outcomes = execute([killer, heir, other], lines.append, [Slot(1)])
    assert [outcome.ok for outcome in outcomes] == [False, False, True]
    assert "the worker process was killed" in outcomes[0].error and "killer failed" in outcomes[1].error
    assert (tmp_path / "final/other/notebook.ipynb").is_file() and not (tmp_path / "final/killer").exists()
