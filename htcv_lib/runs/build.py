"""One build: plan the active profile, execute what is stale, then the chapters.

`jb build .` and `htcv run` both come here; neither executes what is fresh.
"""

import os
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, SoftFileLease, Timeout

from htcv_lib.data.files import download_on, missing
from htcv_lib.data.manifest import DataError, load_manifest
from htcv_lib.runs.claim_files import load_files
from htcv_lib.runs.code import digest
from htcv_lib.runs.execute import NOTEBOOK, Outcome, Task, clock, execute, slots
from htcv_lib.runs.freshness import (
    NOT_HERE,
    RunState,
    chapter_inputs,
    data_needed,
    data_of,
    keep_listing,
    page_parts,
    run_states,
)
from htcv_lib.runs.notebook import default_parameters, parameter_types
from htcv_lib.runs.plan import PROFILES, Book, PlanError, check_in_profile, check_types, whole_number
from htcv_lib.runs.project import Project, check_data_folder, cuda_devices
from htcv_lib.runs.records import Record, Results, check_references
from htcv_lib.runs.run import scratch_context
from htcv_lib.runs.where import Place, chosen_place, execute_at, width

Say = Callable[[str], None]
LEASE = 60.0  # see `build_lock`; all machines must agree on it
GPU_PROFILES = ("full", "paper")  # their expected minutes are those of one GPU


@dataclass
class BuildReport:
    """What a build planned and did."""

    profile: str
    states: list[RunState]
    outcomes: list[Outcome] = field(default_factory=list)
    chapters: dict[str, Path] = field(default_factory=dict)  # "pets_unet/chapter" -> executed notebook

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.ok]

    @property
    def built(self) -> dict[str, Record]:
        """Run name -> record of every fresh run executed on this machine."""
        return {state.run.name: state.built for state in self.states if state.built}


def active_profile(given: str | None = None) -> str:
    """The profile given, else `HTCV_PROFILE`, else `full` where a CUDA device is visible, else `quick`.

    Errors: PlanError for a profile that does not exist.
    """
    profile = given or os.environ.get("HTCV_PROFILE") or ("full" if cuda_devices() else "quick")
    if profile not in (*PROFILES, "none"):
        said = "--profile " if given else "HTCV_PROFILE="
        raise PlanError(f"{said}{profile}: choose one of none, {', '.join(PROFILES)}")
    return profile


def budget_minutes() -> float | None:
    """`HTCV_BUDGET` ("25m", "2h") in minutes; None without one. Errors: PlanError for anything else."""
    text = os.environ.get("HTCV_BUDGET", "")
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([mh]?)", text)
    if text and not match:
        raise PlanError(f"HTCV_BUDGET={text}: write minutes or hours, for example 25m or 2h")
    return float(match[1]) * (60 if match[2] == "h" else 1) if match else None


def check_settings(project: Project) -> None:
    """Read every variable that a build heeds, every claim and every reference, before anything starts.

    Errors: ValueError or OSError, one line.
    """
    check_data_folder()
    load_files(project)
    check_references(project)
    for variable in ("HTCV_SEEDS", "HTCV_JOBS", "HTCV_THREADS"):
        whole_number(variable)
    budget_minutes()
    chosen_place()


@contextmanager
def build_lock(project: Project, say: Say = print):
    """One build at a time in a checkout, whichever machine of a shared file system it runs on; a second one says so and
    waits.

    The lock ends with its process, but not every network file system tells other machines of it; the lease, a file that
    its owner renews, holds there too and is taken over once nobody has renewed it for `LEASE` seconds.
    """
    with ExitStack() as held:
        for lock in (FileLock(project.built / ".lock"), SoftFileLease(project.built / ".lease", lease_duration=LEASE)):
            try:
                project.built.mkdir(exist_ok=True)
                if isinstance(lock, SoftFileLease) and _left_by_the_dead(project.built / ".lease"):
                    (project.built / ".lease").unlink()
                lock.acquire(timeout=0)
            except PermissionError:
                raise PlanError(f"{project.built}, or the lock in it, belongs to another user, perhaps since a sudo: "
                                f"make it yours, sudo chown -R $USER {project.built}") from None
            except Timeout:
                say("Another build of this checkout is running; waiting for it to finish.")
                lock.acquire()
            held.callback(lock.release)
        yield


def _left_by_the_dead(lease: Path) -> bool:
    """Whether a lease was held by a build of this machine that was killed."""
    if not lease.is_file():
        return False
    claim = dict(line.partition("=")[::2] for line in lease.read_text().splitlines())
    try:
        os.kill(int(claim.get("pid", 0)), 0)
    except ProcessLookupError:
        return claim.get("host") == socket.gethostname()
    return False


def build(project: Project, profile: str | None = None, seeds: int | None = 1, say: Say = print,
          families: Iterable[str] | None = None, variants: Iterable[str] | None = None,
          force: bool = False, pages: bool = True) -> BuildReport:
    """Execute every stale run of the profile (within `HTCV_BUDGET` minutes), then the stale chapters.

    Args:
        seeds: Seeds of each run; `HTCV_SEEDS` overrides; None takes the numbers in runs.yml.
        force: Execute even what is fresh by its committed reference.
        pages: Also bring pages up to date: runs whose text or figures changed, and chapters.
    """
    check_settings(project)
    project.check_places()
    profile = active_profile(profile)
    seeds = whole_number("HTCV_SEEDS") or seeds
    book = Book.load(project)
    planned = [] if profile == "none" else book.runs(profile, seeds, families, variants)
    check_in_profile(planned, variants, profile)
    states = run_states(planned, project)
    stale = [state for state in states
             if (not state.fresh or (force and not state.built)) and (pages or not state.measured)]
    stale = _with_weights(stale, states, project)
    place = chosen_place(max((state.run.memory_gb for state in stale), default=1.0))
    stale = _affordable(stale, width(place), say)
    _announce(profile, states, stale, place, say)
    _fetch(stale, say)
    outcomes = execute_at(place, [_task(state, states, project) for state in stale], say)
    report = BuildReport(profile, run_states(planned, project), outcomes)
    _prune(report, project)
    if pages:
        _execute_chapters(report, book, families, say)
    return report


def run_changed(project: Project, name: str, profile: str, changes: Mapping[str, str],
                say: Say = print) -> Outcome:
    """Execute one run with other parameters into `runs/scratch`; the planned run stays as it is.

    Args:
        name: `family/variant` or `family/variant/s<seed>`; without a seed, the first.
        changes: Parameter -> value as YAML has it; text is taken as it stands.

    Errors: PlanError for a run that is not in the profile, or a parameter that its notebook does not have or wants
    otherwise.
    """
    check_settings(project)
    name = name if name.count("/") == 2 else f"{name}/s0"
    run = Book.load(project).run(name, profile)
    if run is None:
        raise PlanError(f"{name} is not in profile {profile}")
    types = parameter_types(run.notebook)
    unknown = sorted(set(changes) - set(run.parameters))
    if unknown:
        raise PlanError(f"{name}: {run.notebook.name} has no parameter {unknown[0]!r} (-p)")
    values = {key: _value(text, types.get(key)) for key, text in changes.items()}
    check_types(name, types, default_parameters(run.notebook), values, "-p")
    context = scratch_context()
    task = Task(name, run.notebook, {**run.parameters, **values}, project.staging / "scratch" / name,
                project.scratch / name / context["key"].removeprefix("scratch-"), project.root, context,
                minutes=run.minutes)
    (outcome,) = execute_at(chosen_place(run.memory_gb), [task], say)
    return outcome


def _value(text: str, wanted: type | None) -> Any:
    """What the command line says of a parameter: text for a text, a number where one is wanted, else YAML."""
    if wanted is str:
        return text
    try:
        value = yaml.safe_load(text)
        return float(value) if wanted is float and isinstance(value, str) else value
    except (yaml.YAMLError, ValueError):
        return text


def _task(state: RunState, states: list[RunState], project: Project) -> Task:
    known = {other.run.name: other.record or other.measured for other in states}
    folders = {other.run.name: known[other.run.name].folder if known[other.run.name] else other.folder(project)
               for other in states}
    run = state.run
    keep_listing(project.built, run.notebook, project)
    return Task(
        label=run.name, notebook=run.notebook, parameters=dict(run.parameters),
        staging=project.staging / run.profile / run.name, final=state.folder(project), root=project.root,
        context={"profile": run.profile, "key": state.key, "parts": state.parts,
                 "needs": {alias: str(folders[need]) for alias, need in run.needs.items()}},
        needs=tuple(run.needs.values()), minutes=run.minutes,
    )


def _with_weights(stale: list[RunState], states: list[RunState], project: Project) -> list[RunState]:
    """Add the fresh runs whose weights a stale run needs and nobody has here."""
    by_name = {state.run.name: state for state in states}
    chosen = {state.run.name for state in stale}
    waiting = list(stale)
    while waiting:
        for need in waiting.pop().run.needs.values():
            have = (project.weights / f"{by_name[need].key}.safetensors").is_file()
            if need not in chosen and not have:
                chosen.add(need)
                waiting.append(by_name[need])
    return [state for state in states if state.run.name in chosen]


def _affordable(stale: list[RunState], workers: int, say: Say) -> list[RunState]:
    """As many runs, most important first, as `HTCV_BUDGET` ("25m", "2h") has time for on so many workers."""
    minutes = budget_minutes()
    if minutes is None:
        return stale
    budget = minutes * workers
    chosen: list[RunState] = []
    for state in stale:
        names = {other.run.name for other in chosen}
        needed = set(state.run.needs.values()) & {other.run.name for other in stale}
        if state.run.minutes <= budget and needed <= names:
            chosen.append(state)
            budget -= state.run.minutes
    if len(chosen) < len(stale):
        text = os.environ["HTCV_BUDGET"]
        say(f"HTCV_BUDGET={text}: {len(chosen)} of {len(stale)} stale runs fit, most important first.")
    return chosen


def _announce(profile: str, states: list[RunState], stale: list[RunState], place: Place | None, say: Say) -> None:
    if profile == "none":
        say("Profile none: nothing is trained; pages show the committed references.")
    elif not states:
        say(f"Profile {profile}: no run is in it.")
    elif not stale:
        referred = [state.run for state in states if not state.built]
        by = ", some by their references" if referred else ""
        lost = ", ".join(text for text in data_needed(referred) if NOT_HERE in text)
        say(f"Profile {profile}: all {len(states)} runs are fresh{by}; nothing to execute."
            + (f" Data that --force would want: {lost}." if lost else ""))
    else:
        workers = width(place)
        minutes = sum(state.run.minutes for state in stale) / workers
        kind = place.name if place else "GPU" if slots()[0].device else "CPU"
        on_gpu = " on a GPU, far more here" if profile in GPU_PROFILES and kind == "CPU" else ""
        memory = max(state.run.memory_gb for state in stale)
        say(f"Profile {profile}: {len(stale)} of {len(states)} runs to execute on {workers} {kind} worker(s), "
            f"about {clock(minutes * 60)} minutes{on_gpu}, {memory:g} GB of memory each; "
            f"data: {', '.join(data_needed(state.run for state in stale)) or 'none'}.")


def _fetch(stale: list[RunState], say: Say) -> None:
    """Download what these runs need and is not here; what fails is left to the runs that want it."""
    for name in sorted({name for state in stale for name in data_of(state.run)}):
        for file in missing(load_manifest(name)):
            if (file.url or "").startswith("http"):
                try:
                    download_on(file)
                except DataError as error:
                    say(f"  {error}")


def _execute_chapters(report: BuildReport, book: Book, families: Iterable[str] | None, say: Say) -> None:
    tasks = []
    for family in families or book.families:
        results = Results(family, book.project)
        built = [record for name, record in report.built.items() if name.startswith(f"{family}/")]
        scratch = results.scratch if shows_scratch(report.profile) else []
        inputs = chapter_inputs(book.project, family, [*results.references, *built, *scratch])
        for name in book.families[family].chapters:
            notebook = book.project.notebooks / family / name
            key = digest(page_parts(notebook, book.project, inputs))
            label = f"{family}/{notebook.stem}"
            final = book.project.built / "chapters" / label / key
            report.chapters[label] = final / NOTEBOOK
            if not (final / NOTEBOOK).is_file():
                context = {"profile": report.profile, "built": [str(record.folder) for record in built],
                           "scratch": [str(record.folder) for record in scratch]}
                tasks.append(Task(label, notebook, {}, book.project.staging / "chapters" / label, final,
                                  book.project.root, context, minutes=0.1, makes_record=False))
    if tasks:
        say(f"Chapters: {len(tasks)} to execute.")
        report.outcomes += execute(tasks, say)
    for label, path in list(report.chapters.items()):
        if path.is_file():
            _keep_only(path.parent)
        else:
            del report.chapters[label]


def shows_scratch(profile: str) -> bool:
    """Scratch runs are for the person at this machine, never for a published build."""
    return profile != "none" and not os.environ.get("HTCV_PUBLISH")


def _prune(report: BuildReport, project: Project) -> None:
    for state in report.states:
        if state.built:
            _keep_only(state.built.folder)


def _keep_only(folder: Path) -> None:
    """Remove the older keys beside a folder that has just become the fresh one."""
    import shutil

    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
