"""Executing notebooks in workers that may die."""

import os
from concurrent.futures import Future

import nbformat
import pytest

from htcv_lib.runs import execute as execute_module
from htcv_lib.runs import project
from htcv_lib.runs.execute import Slot, Task, _result, _with_room, execute, slots
from htcv_lib.runs.project import Project, cuda_devices, usable_cores


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


def test_the_cores_are_those_this_process_may_use(tmp_path, monkeypatch):
    monkeypatch.setattr(project, "GRANTED", tmp_path / "cpu.max")
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert usable_cores() == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
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


@pytest.mark.parametrize(("visible", "count", "devices"), [
    (None, 2, ["0", "1"]), ("2, 3", 2, ["2", "3"]), ("1,-1,0", 1, ["1"]), ("-1,0", 0, []), ("NoDevFiles", 0, []),
    ("", 2, []), ("GPU-8932f937", 1, ["GPU-8932f937"]), (None, 0, [])])
def test_the_devices_are_those_that_torch_can_use_by_the_names_they_were_given(monkeypatch, visible, count, devices):
    monkeypatch.setattr(project.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(project, "_count_devices", lambda visible: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert cuda_devices() == devices


@pytest.mark.slow
def test_a_killed_worker_costs_its_own_run_and_those_that_need_it(tmp_path):
    killer = task(tmp_path, "killer", "import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
    heir = task(tmp_path, "heir", "print(1)", ("killer",))
    other = task(tmp_path, "other", "import os\nwith open(os.environ['HTCV_RUN_FOLDER'] + '/a.csv', 'w') as table:\n"
                                     "    print(os.getcwd(), file=table)")
    lines: list[str] = []
    outcomes = execute([killer, heir, other], lines.append, [Slot(1)])
    assert [outcome.ok for outcome in outcomes] == [False, False, True]
    assert "the worker process was killed (SIGKILL)" in outcomes[0].error and "killer failed" in outcomes[1].error
    assert (tmp_path / "final/other/a.csv").read_text() == ".\n"  # no folder of this machine
    assert (tmp_path / "final/other/notebook.ipynb").is_file() and not (tmp_path / "final/killer").exists()


@pytest.mark.slow
def test_a_kernel_that_dies_says_by_what_and_one_that_never_answered_is_started_once_more(tmp_path, monkeypatch):
    port_taken = tmp_path / "sitecustomize.py"  # the first kernel finds its port taken
    port_taken.write_text("import os, sys\nif 'ipykernel_launcher' in sys.orig_argv and not os.path.exists('came'):\n"
                          "    open('came', 'w').close()\n    os._exit(1)\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    killed = task(tmp_path, "killed", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    crashed = task(tmp_path, "crashed", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    outcomes = execute([killed, crashed], lambda line: None, [Slot(1)])
    assert (tmp_path / "came").exists()
    assert outcomes[0].error.startswith("killed: the kernel was killed (SIGKILL), most often because memory ran out: ")
    assert outcomes[1].error == "crashed: the kernel ended by itself (SIGSEGV): see runs/kernels.log"
