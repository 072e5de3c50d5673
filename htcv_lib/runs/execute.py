"""Executing notebooks: staged, in worker processes, moved into place by one rename.

A task is a notebook with parameters and a folder to end up in. It runs in a staging folder;
only when it finished is that folder renamed. What fails stays in staging with its traceback.
"""

import ctypes
import importlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from htcv_lib.runs.notebook import read_cells
from htcv_lib.runs.plan import whole_number
from htcv_lib.runs.project import ROOM, Project, cuda_devices, one_line, usable_cores
from htcv_lib.runs.run import RUN_FOLDER

NOTEBOOK = "notebook.ipynb"
PR_SET_PDEATHSIG = 1  # of prctl(2)
START_TIMEOUT = 180  # seconds for a kernel to answer; busy machines need it
PRELOADED = ["torch", "torchvision", "segmentation_models_pytorch", "skimage.metrics", "scipy.stats",
             "matplotlib.pyplot", "pandas", "IPython.display"]


@dataclass(frozen=True)
class Task:
    """One notebook to execute."""

    label: str
    notebook: Path
    parameters: dict[str, Any]
    staging: Path
    final: Path
    root: Path
    context: dict[str, Any]
    needs: tuple[str, ...] = ()  # labels of tasks that must succeed first
    minutes: float = 1.0
    makes_record: bool = True


@dataclass(frozen=True)
class Slot:
    """What one worker may use."""

    threads: int
    device: str = ""  # CUDA index; empty means the CPU


@dataclass(frozen=True)
class Outcome:
    """How a task ended; `error` is one line: run, cell, error."""

    label: str
    ok: bool
    seconds: float = 0.0
    error: str = ""
    folder: Path | None = None
    needs: tuple[str, ...] = field(default=(), compare=False)


def slots() -> list[Slot]:
    """As many workers as `HTCV_JOBS` says, by turns on the GPUs; by default one per GPU, or per core, at most four.

    Each has `HTCV_THREADS` threads, by default its share of the cores that this process may use.
    """
    gpus, cores = cuda_devices(), usable_cores()
    jobs = whole_number("HTCV_JOBS") or len(gpus) or min(cores, 4)
    threads = whole_number("HTCV_THREADS") or max(1, cores // jobs)
    return [Slot(threads, gpus[place % len(gpus)] if gpus else "") for place in range(jobs)]


def execute(tasks: Sequence[Task], say: Callable[[str], None] = print,
            workers: Sequence[Slot] | None = None, kernels: bool = True) -> list[Outcome]:
    """Execute tasks, dependencies first, and report one line each as they end.

    A failed task stops only what needs it. Never raises for a failing notebook.

    Args:
        kernels: Execute each notebook in a kernel of its own, all of it; otherwise only the cells that decide its
            result, in processes that have the libraries imported already: seconds less a task, and no page.
    """
    if not tasks:
        return []
    free = list(workers or slots())
    waiting, running, outcomes = list(tasks), {}, {}
    begin = time.perf_counter()
    log = tasks[0].root / "runs" / "kernels.log"
    log.parent.mkdir(exist_ok=True)
    log.open("a").close()  # what no worker could do, this process cannot either, and says so
    while waiting:  # once more if a worker was killed: its pool takes no further task
        with _workers(min(len(free), len(tasks)), kernels, free[0], str(log)) as pool:
            broken = False
            while running or (waiting and not broken):
                _drop_hopeless(waiting, outcomes, say)
                ready = [] if broken else [task for task in waiting if set(task.needs) <= _done(outcomes, tasks)]
                for task, slot in zip(ready, list(free), strict=False):
                    free.remove(slot)
                    waiting.remove(task)
                    running[_submit(pool, execute_one if kernels else execute_cells, task, slot)] = (task, slot)
                if not running:
                    continue
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task, slot = running.pop(future)
                    free.append(slot)
                    broken |= isinstance(future.exception(), BrokenProcessPool)
                    outcomes[task.label] = outcome = _with_room(_result(future, task), Project(task.root))
                    say(progress_line(outcome, len(outcomes), len(tasks), time.perf_counter() - begin,
                              sum(other.minutes for other in waiting + [pair[0] for pair in running.values()]),
                              len(free) + len(running)))
    return [outcomes[task.label] for task in tasks]


def execute_one(task: Task, slot: Slot) -> Outcome:
    """Execute one task in this process; the environment is set for its kernel."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    _prepare(task, slot)
    begin = time.perf_counter()
    started: list[subprocess.Popen] = []

    def run() -> None:
        papermill.execute_notebook(
            str(task.notebook), str(task.staging / NOTEBOOK), task.parameters, kernel_name="python3",
            cwd=str(task.root), progress_bar=False, start_timeout=START_TIMEOUT,
            kernel_manager_class=_kernel_manager(started),
        )

    try:
        try:
            run()
        except RuntimeError as error:
            if isinstance(error, DeadKernelError):
                raise
            run()  # the kernel never answered: another process may have been faster to take its port
    except DeadKernelError:
        error = f"the kernel {_ended(started[-1].wait())}"
        return Outcome(task.label, False, time.perf_counter() - begin, f"{task.label}: {error}")
    except papermill.PapermillExecutionError as error:
        where = f"cell {(error.exec_count or error.cell_index) - 1}"  # the injected parameters do not count
        message = " ".join(f"{error.ename}: {error.evalue}".split())
        return Outcome(task.label, False, time.perf_counter() - begin, f"{task.label}, {where}: {message}"[:400])
    except Exception as error:  # a kernel that died, a disk that is full: still one line
        message = " ".join(f"{type(error).__name__}: {error}".split())
        return Outcome(task.label, False, time.perf_counter() - begin, f"{task.label}, kernel: {message}"[:400])
    return _finished(task, time.perf_counter() - begin)


def execute_cells(task: Task, slot: Slot) -> Outcome:
    """Execute in this very process, which does nothing after it, the cells that decide the result: those without the
    tag `page`."""
    _prepare(task, slot)
    begin = time.perf_counter()
    namespace: dict[str, Any] = {"__name__": "__main__"}
    number = 0
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), _library_of(task.root):
            for number, cell in enumerate(read_cells(task.notebook)):
                if cell["cell_type"] == "code" and "page" not in cell["tags"]:
                    exec(compile(cell["source"], f"{task.notebook.name}, cell {number}", "exec"), namespace)
                if "parameters" in cell["tags"]:
                    namespace |= task.parameters
    except Exception as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())
        return Outcome(task.label, False, time.perf_counter() - begin, f"{task.label}, cell {number}: {message}"[:400])
    return _finished(task, time.perf_counter() - begin)


@contextmanager
def _library_of(root: Path) -> Iterator[None]:
    """Import the library of a checkout anew, whatever this process has of it; inside a process made for one task."""
    own = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "htcv_lib"}
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    os.chdir(root)
    try:
        yield
    finally:
        sys.modules.update(own)  # results travel back as what the caller knows


@contextmanager
def _workers(count: int, kernels: bool, slot: Slot, log: str) -> Iterator[ProcessPoolExecutor]:
    """A pool whose processes end at once where this one is told to end; those without kernels are forked from one that
    has imported what all need."""
    context = multiprocessing.get_context("spawn" if kernels else "forkserver")
    if not kernels:
        os.environ["OMP_NUM_THREADS"] = str(slot.threads)  # read when torch is imported
        context.set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(count, context, initializer=_begin_worker, initargs=(log,),
                             max_tasks_per_child=None if kernels else 1) as pool:
        try:
            yield pool
        except BaseException:
            for worker in multiprocessing.active_children():
                worker.kill()
            raise


def _prepare(task: Task, slot: Slot) -> None:
    """The environment and an empty staging folder with the task's context."""
    os.environ.update({
        RUN_FOLDER: str(task.staging), "HTCV_ROOT": str(task.root), "HTCV_BATCH": "1",
        "HTCV_THREADS": str(slot.threads), "OMP_NUM_THREADS": str(slot.threads),
        "PYTHON_CPU_COUNT": str(slot.threads), "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    })
    if slot.device:
        os.environ["CUDA_VISIBLE_DEVICES"] = slot.device
    shutil.rmtree(task.staging, ignore_errors=True)
    task.staging.mkdir(parents=True)
    (task.staging / "context.json").write_text(json.dumps(task.context))


def _finished(task: Task, seconds: float) -> Outcome:
    """Move what a notebook left in staging to its place, if it is complete."""
    if task.makes_record and not (task.staging / "record.json").is_file():
        return Outcome(task.label, False, seconds, f"{task.label}: the notebook ended without run.finish(...)")
    for path in [*task.staging.glob("*.csv"), *task.staging.glob("record.json")]:
        text = path.read_text(encoding="utf-8")
        if (neutral := Project(task.root).scrub(text)) != text:
            path.write_text(neutral, encoding="utf-8")
    task.final.parent.mkdir(parents=True, exist_ok=True)
    if task.final.exists():  # the same key executed again on request
        shutil.rmtree(task.final)
    os.replace(task.staging, task.final)
    return Outcome(task.label, True, seconds, folder=task.final)


def _submit(pool: ProcessPoolExecutor, function: Callable, *arguments: Any) -> Future:
    """As `pool.submit`; a worker that starts for it leaves Ctrl-C to the process that started it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(function, *arguments)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(log: str) -> None:
    """What kernels say about themselves goes to a file, not between the lines of progress. A worker ends with the
    process that started it, however that ends."""
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def end_with_parent() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _kernel_manager(started: list[subprocess.Popen]) -> type:
    """What starts a kernel that ends with this process, however that ends, and is kept in `started`."""
    from jupyter_client import AsyncKernelManager

    library = ctypes.CDLL(None) if sys.platform == "linux" else None  # elsewhere ipykernel looks every second

    def end_with_parent() -> None:
        if library:
            library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    class KernelManager(AsyncKernelManager):
        async def start_kernel(self, **options: Any) -> None:
            await self._async_start_kernel(preexec_fn=end_with_parent, **options)
            started.append(self.provisioner.process)

    return KernelManager


def _ended(status: int) -> str:
    """How a process ended: -9 -> "was killed ..."."""
    if status == -signal.SIGKILL:
        return "was killed (SIGKILL), most often because memory ran out: HTCV_JOBS=1 executes one run at a time"
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    return f"ended by itself ({how}): see runs/kernels.log"


def _result(future: Future, task: Task) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        return Outcome(task.label, False, 0.0, f"{task.label}: the worker process {_ended(-signal.SIGKILL)}")
    except Exception as error:  # before its notebook began, or when its results were moved: a disk that is full
        return Outcome(task.label, False, 0.0, f"{task.label}: {one_line(error)}")


def _with_room(outcome: Outcome, project: Project) -> Outcome:
    """Say of a failure on which disk there is hardly any room left: what failed to write seldom names it."""
    if outcome.ok:
        return outcome
    places = {folder: shutil.disk_usage(folder).free for folder in (project.built, project.weights) if folder.is_dir()}
    full = "".join(f"; {folder} has {free / 2**20:.0f} MiB left" for folder, free in places.items() if free < ROOM)
    return replace(outcome, error=outcome.error + full)


def _done(outcomes: dict[str, Outcome], tasks: Sequence[Task]) -> set[str]:
    """Labels nobody has to wait for: finished well, or not part of this call."""
    asked = {task.label for task in tasks}
    wanted = {need for task in tasks for need in task.needs}
    return {label for label, outcome in outcomes.items() if outcome.ok} | (wanted - asked)


def _drop_hopeless(waiting: list[Task], outcomes: dict[str, Outcome], say: Callable[[str], None]) -> None:
    for task in list(waiting):
        broken = [need for need in task.needs if need in outcomes and not outcomes[need].ok]
        if broken:
            waiting.remove(task)
            outcomes[task.label] = Outcome(task.label, False, 0.0, f"{task.label}: not run, {broken[0]} failed")
            say(f"  {task.label}: skipped, {broken[0]} failed")
            _drop_hopeless(waiting, outcomes, say)
            return


def progress_line(outcome: Outcome, number: int, total: int, elapsed: float, minutes_left: float, workers: int) -> str:
    state = f"done in {outcome.seconds:.0f} s" if outcome.ok else f"FAILED: {outcome.error}"
    left = f", about {clock(minutes_left * 60 / max(workers, 1))} left" if number < total else ""
    return f"  [{number}/{total}] {outcome.label}: {state} (elapsed {clock(elapsed)}{left})"


def clock(seconds: float) -> str:
    """75 -> "1:15"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
