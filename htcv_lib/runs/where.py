"""Where runs execute: here (`execute.py`), on every GPU of this machine, or on a cluster.

`HTCV_WHERE`, or `--where`, is `local`, `gpus` or the path of a small file such as `cluster/slurm.yml`. Parsl is the
scheduler: it asks for nodes, hands out runs, holds back what needs another, and starts again elsewhere what was lost
with its node. A run executes as it does here, into a staging folder below the checkout, which all nodes must see.
"""

import inspect
import math
import multiprocessing
import os
import shutil
import subprocess
import sysconfig
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from htcv_lib.runs.execute import Outcome, Slot, Task, execute, execute_one, progress_line, slots, usable_cores
from htcv_lib.runs.plan import PlanError, whole_number
from htcv_lib.runs.project import cuda_devices

EXECUTOR = "HighThroughputExecutor"
DEFAULTS = {"max_workers_per_node": 1, "heartbeat_period": 5, "heartbeat_threshold": 60}  # s; Parsl's: 30, 120
LIVES = 3  # workers a run may lose; a lost node counts a tenth, for the end of its time is one as well


class RunFailed(Exception):
    """Its one argument is the outcome of a run that failed by itself: to start it again would not help."""


@dataclass(frozen=True)
class Place:
    """A provider of Parsl and its executor, each with its options by name."""

    name: str  # as `HTCV_WHERE` has it
    provider: str
    options: Mapping[str, Any]
    executor: Mapping[str, Any]

    @property
    def width(self) -> int:
        """How many runs execute side by side, once all nodes are there."""
        return self.options["max_blocks"] * self.options["nodes_per_block"] * self.executor["max_workers_per_node"]


def chosen_place(memory_gb: float = 1.0) -> Place | None:
    """What `HTCV_WHERE` names; None is this machine, as `slots` says.

    Args:
        memory_gb: What one run takes of a GPU, at most; `gpus` has as many side by side on each as fit.

    Errors: PlanError, one line, for anything that does not name a place, and where Parsl is not installed.
    """
    name = os.environ.get("HTCV_WHERE") or "local"
    if name == "local":
        return None
    if name != "gpus" and not Path(name).is_file():
        raise PlanError(f"HTCV_WHERE={name}: choose local, gpus, or a file, for example cluster/slurm.yml")
    if find_spec("parsl") is None:
        raise PlanError(f"HTCV_WHERE={name} needs Parsl: pip install 'parsl>=2026.10'")
    try:
        table = dict(_all_gpus(memory_gb) if name == "gpus" else yaml.safe_load(Path(name).read_text(encoding="utf-8")))
        executor = DEFAULTS | table.pop(EXECUTOR, {})
        ((provider, options),) = table.items()
    except (TypeError, ValueError, yaml.YAMLError) as error:
        raise PlanError(f"{name}: write a provider of Parsl and {EXECUTOR}, each with its options below: "
                        f"{' '.join(str(error).split())}") from None
    return Place(name, provider, _options(name, "providers", provider, options or {}),
                 _options(name, "executors", EXECUTOR, executor))


def _all_gpus(memory_gb: float) -> dict[str, Any]:
    """One job on this machine, with a worker for each run that its GPUs hold, at most one per core."""
    gpus, cores = cuda_devices(), usable_cores()
    if not gpus:
        raise PlanError("HTCV_WHERE=gpus: no GPU is visible here")
    each = min(min(map(_memory_gb, gpus)) // memory_gb, cores // len(gpus))
    return {"LocalProvider": {}, EXECUTOR: {"address": "127.0.0.1", "cores_per_worker": 0.001,
                                            "max_workers_per_node": len(gpus) * max(1, int(each))}}


def _memory_gb(device: str) -> float:
    """Of a CUDA device; 0 if nobody can tell."""
    command = ["nvidia-smi", "-i", device, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        return float(subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout) / 1024
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0.0


def _options(name: str, room: str, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a class of Parsl, with its defaults.

    Errors: PlanError for a class or an option that is not there.
    """
    import parsl

    made = getattr(getattr(parsl, room), kind, None)
    if made is None:
        raise PlanError(f"{name}: Parsl has no {kind}; its providers are {', '.join(parsl.providers.__all__)}")
    signature = inspect.signature(made)
    try:
        bound = signature.bind(**given)
    except TypeError as error:
        raise PlanError(f"{name}, {kind}: {error}") from None
    bound.apply_defaults()
    return {key: _sequence(value, str(signature.parameters[key].annotation)) if key in given else value
            for key, value in bound.arguments.items()}


def _sequence(value: Any, wanted: str) -> Any:
    """A list of YAML as Parsl wants it: a list of tuples, or a tuple."""
    if not isinstance(value, list):
        return value
    return [tuple(part) if isinstance(part, list) else part for part in value] if "List" in wanted else tuple(value)


def execute_at(place: Place | None, tasks: Sequence[Task], say: Callable[[str], None] = print) -> list[Outcome]:
    """As `execute`, at a place; what is needed must stand before what needs it."""
    if place is None or not tasks:
        return execute(tasks, say)
    from parsl import python_app
    from parsl.dataflow.dflow import DataFlowKernel

    settings = {name: value for name, value in os.environ.items() if name.startswith("HTCV_")}
    futures: dict[str, Future] = {}
    outcomes: dict[str, Outcome] = {}
    begin = time.perf_counter()
    with DataFlowKernel(_config(place, tasks[0].root / "runs" / "parsl")) as kernel:
        run_there = python_app(execute_there, data_flow_kernel=kernel)
        for number, task in enumerate(tasks):  # the first are the most important, also when they start again
            futures[task.label] = run_there(task, settings, *(futures[need] for need in task.needs if need in futures),
                                            parsl_resource_specification={"priority": number})
        by_future = {futures[task.label]: task for task in tasks}
        for future in as_completed(by_future):
            task = by_future[future]
            outcomes[task.label] = outcome = _outcome(task, futures)
            say(progress_line(outcome, len(outcomes), len(tasks), time.perf_counter() - begin,
                              sum(other.minutes for other in tasks if other.label not in outcomes), place.width))
    return [outcomes[task.label] for task in tasks]


def execute_there(task: Task, settings: Mapping[str, str], *needed: Outcome, **for_parsl: Any) -> Outcome:
    """Execute one task in a worker of Parsl, on the GPU that is its own: workers of a node take them by turns.

    Args:
        settings: The `HTCV_` variables of whoever asked.
        needed: Outcomes of what had to succeed before.

    Errors: RunFailed, so that Parsl gives up what needs it.
    """
    _end_with_manager()
    os.environ.update(settings)
    if not task.notebook.is_file():
        outcome = Outcome(task.label, False, 0.0, f"{task.label}: a node does not see {task.root}; put the checkout on "
                                                  "a file system that all nodes share")
        raise RunFailed(outcome)
    rank, workers = (int(os.environ[f"PARSL_WORKER_{what}"]) for what in ("RANK", "COUNT"))
    gpus = cuda_devices()  # once this worker has been given one, that alone
    threads = whole_number("HTCV_THREADS") or max(1, usable_cores() // workers)
    outcome = execute_one(task, Slot(threads, gpus[rank % len(gpus)] if gpus else ""))
    if not outcome.ok:
        raise RunFailed(outcome)
    return outcome


@cache
def _end_with_manager() -> None:
    """End this worker when Parsl's manager of its node ends: somebody else executes its run by then."""
    manager = multiprocessing.parent_process()

    def end() -> None:
        manager.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def _config(place: Place, folder: Path):
    """Errors: PlanError for what only the provider itself can find wrong."""
    import parsl
    from parsl.jobs.error_handlers import windowed_error_handler  # three jobs in a row; Parsl's own gives up after one

    scripts = sysconfig.get_path("scripts")  # Parsl starts its own from PATH
    os.environ["PATH"] = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    shutil.rmtree(folder, ignore_errors=True)  # of the build before
    try:
        provider = getattr(parsl.providers, place.provider)(**place.options)
        executor = parsl.executors.HighThroughputExecutor(**{
            **place.executor, "label": "runs", "provider": provider, "block_error_handler": windowed_error_handler})
    except Exception as error:
        raise PlanError(f"{place.name}, {place.provider}: {' '.join(str(error).split())}") from None
    return parsl.Config(executors=[executor], run_dir=str(folder), usage_tracking=0, retries=LIVES,
                        retry_handler=_cost, strategy="htex_auto_scale")


def _cost(error: Exception, record: Any) -> float:
    """What a failure takes of a run's lives; all of them if it was the run's own."""
    return {"WorkerLost": 1.0, "ManagerLost": 0.1}.get(type(error).__name__, math.inf)


def _outcome(task: Task, futures: Mapping[str, Future]) -> Outcome:
    """How a task ended, once its future is done."""
    error = futures[task.label].exception()
    if error is None:
        return _seen(futures[task.label].result())
    if isinstance(error, RunFailed):
        return error.args[0]
    broken = [need for need in task.needs if need in futures and futures[need].exception()]
    reason = f"not run, {broken[0]} failed" if broken else " ".join(f"{type(error).__name__}: {error}".split())[:400]
    return Outcome(task.label, False, 0.0, f"{task.label}: {reason}" + ("" if broken else "; see runs/parsl"))


def _seen(outcome: Outcome, patience: int = 60) -> Outcome:
    """The outcome, as soon as this machine sees its folder: other nodes' files may show up seconds later (NFS)."""
    for _ in range(patience):
        if outcome.folder.is_dir():
            break
        time.sleep(1)
    return outcome


def width(place: Place | None) -> int:
    """How many runs execute side by side."""
    return place.width if place else len(slots())
