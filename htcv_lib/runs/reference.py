"""References: committed records. Written only here, only from a clean tree.

A reference also holds a fingerprint: the first losses and the scores of a tiny fp32 CPU version of the run. If a
refactor changes keys but reproduces the fingerprint exactly, the key may be renewed without training.
"""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from math import nan
from pathlib import Path
from typing import Any

from htcv_lib.runs.build import BuildReport
from htcv_lib.runs.code import digest
from htcv_lib.runs.execute import Slot, Task, execute
from htcv_lib.runs.freshness import RunState, keep_listing, known_runs, result_code, run_states
from htcv_lib.runs.plan import Book, PlanError, split_name
from htcv_lib.runs.project import Project, cpu_name, git, git_state
from htcv_lib.runs.records import (
    KEPT,
    Record,
    Results,
    check_sizes,
    digests,
    publish_weights,
    read_json,
    records_below,
    write_json,
)
from htcv_lib.runs.run import utc_now

FINGERPRINT_STEPS = 20
TIMED = {"waiting"}  # metrics that measure the machine
TOLERANCE = 1e-4  # of a metric that is trained again, as a share of it


def require_clean_tree(project: Project) -> None:
    """Errors: PlanError if the code that would be recorded is not the committed one."""
    commit, dirty = git_state(project.root)
    if dirty:
        raise PlanError("htcv run --record needs a clean tree (book/runs may differ): commit first")
    if commit == "unknown":
        raise PlanError(f"htcv run --record needs a git checkout, a reference names its commit: {_why_no_git(project)}")


def _why_no_git(project: Project) -> str:
    try:
        return git(project.root, "rev-parse", "HEAD")
    except OSError as error:
        return str(error)
    except subprocess.CalledProcessError as error:
        return error.stderr.partition("\n")[0]


def write_references(report: BuildReport, project: Project, say: Callable[[str], None] = print) -> list[str]:
    """Copy the runs of this machine that `book/runs` does not have yet, with a fingerprint, and the weights of those
    that publish them, seed 0; returns their names.

    One that was fresh and is recorded again has been verified: how far it repeated is kept (see `verify_references`),
    and if it did to the digit, the older record stays, unless more is measured now. Where the book now shows a `full`
    reference, the `laptop` one goes.
    """
    new = {state.run.name: state.measured for state in report.states
           if state.measured and not (state.reference and state.reference.finished == state.measured.finished)}
    again = {state.run.name: _verified(state.reference, state.measured) for state in report.states
             if state.run.name in new and state.reference and state.reference.data["key"] == state.key}
    keep_verified(again.values(), project)
    same = {state.run.name for state in report.states
            if (entry := again.get(state.run.name)) and not entry["close"] and not entry["different"]
            and set(state.measured.metrics) <= set(state.reference.metrics)}
    found = fingerprints(set(new) - same, project, say)
    families = Book.load(project).families
    for name, record in new.items():
        target = project.reference(record.profile, name)
        if name in same:
            data = read_json(target / "record.json")
        else:
            _copy_record(record, target)
            data = {key: value for key, value in record.data.items() if key != "first_losses"}  # of this machine only
            data |= _kept(found.get(name, {"fingerprint": []}))
        part = record.seed == 0 and families[record.family].variants[record.variant].get("weights")
        if part and "weights" in record.data:
            data["published"] = publish_weights(record, project, part, target)
        write_json(target / "record.json", data | {"files": digests(target)})
        check_sizes(target)
    keep_listings(project)
    for family in {name.split("/")[0] for name in new}:
        for record in Results(family, project).references:
            if record.profile == "full":
                shutil.rmtree(project.reference("laptop", record.run), ignore_errors=True)
    return list(new)


def _copy_record(record: Record, target: Path) -> None:
    check_sizes(record.folder)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    history = (record.folder / "history.csv").read_bytes() if (record.folder / "history.csv").exists() else b""
    for path in [record.folder / kept for kept in KEPT] + record.tables:
        if path.exists() and (path.name == "history.csv" or path.read_bytes() != history):
            shutil.copyfile(path, target / path.name)


def fingerprints(names: Iterable[str], project: Project,
                 say: Callable[[str], None] = print) -> dict[str, dict[str, Any]]:
    """Run name -> fields of a record: "fingerprint", the losses of the first 20 steps of the run's tiny version, and
    "fingerprint_scores", a digest of what it measured in the end, beside "scores", which no record keeps. Runs that
    train nothing have no losses. What a run needs is executed first."""
    names = set(names)
    if not names:
        return {}
    states = run_states(Book.load(project).runs("fingerprint", seeds=0, variants=names), project)
    folders = {state.run.name: project.built / "fingerprint" / state.run.name / state.page for state in states}
    keys = {state.run.name: f"fingerprint-{state.page}" for state in states}
    tasks = [Task(f"{name} (fingerprint)", state.run.notebook, dict(state.run.parameters),
                  project.staging / "fingerprint" / name, folders[name], project.root,
                  {"profile": "fingerprint", "key": keys[name], "parts": {},
                   "needs": {alias: str(folders[need]) for alias, need in state.run.needs.items()}},
                  needs=tuple(f"{need} (fingerprint)" for need in state.run.needs.values()), minutes=0.2)
             for state in states for name in [state.run.name]]
    outcomes = execute(tasks, say, [Slot(1, "-1")] * 2, kernels=False)  # one thread, no GPU: the same sums everywhere
    found = {}
    for state, outcome in zip(states, outcomes, strict=True):
        if outcome.ok and state.run.name in names:
            record = Record.load(outcome.folder)
            scores = {name: f"{metric.value:.5g}" for name, metric in record.metrics.items() if name not in TIMED}
            found[state.run.name] = {"fingerprint": record.data["first_losses"][:FINGERPRINT_STEPS],
                                     "fingerprint_scores": digest(scores) if scores else "", "scores": scores}
    for name, folder in folders.items():
        shutil.rmtree(folder, ignore_errors=True)
        (project.resume / f"{keys[name]}.pt").unlink(missing_ok=True)
        (project.weights / f"{keys[name]}.safetensors").unlink(missing_ok=True)
    return found


def renew_keys(profile: str, project: Project, say: Callable[[str], None] = print,
               families: Iterable[str] | None = None, variants: Iterable[str] | None = None,
               like: str = "") -> dict[str, bool]:
    """For every stale reference: renew its key if, and only if, its fingerprint reproduces exactly.

    Scores count, too, where the reference has their digest; older ones only have losses. With a commit, a score that
    its code did not have makes no difference: the reference gets it when the run is recorded again.

    Args:
        families, variants: Only these, and what they need (see `known_runs`).
        like: A commit at which the references were fresh. Processors differ in the last bits of a loss, so a recorded
            fingerprint may not reproduce on another machine, whatever the code; with a commit, its code is run on this
            one, and the fingerprints of both are compared, of one seed of each variant: its others have the same code.
    """
    states = [state for state in run_states(known_runs(Book.load(project), profile, families, variants), project)
              if state.reference and state.reference.data["key"] != state.key]
    names = [state.run.name for state in states]
    shown_by = _first_seeds(names) if like else {name: name for name in names}
    before = (_fingerprints_at(like, profile, names, project) if like
              else {state.run.name: state.reference.data for state in states})
    found = fingerprints(set(shown_by.values()), project, say)
    return apply_fingerprints(states, shown_by, before, found, project, say)


def apply_fingerprints(states: Iterable[RunState], shown_by: Mapping[str, str], before: Mapping[str, Mapping],
                       found: Mapping[str, Mapping], project: Project,
                       say: Callable[[str], None] = print) -> dict[str, bool]:
    """Renew the keys of the references whose fingerprint is the same before and now; returns which.

    Args:
        shown_by: Run name -> the run whose fingerprint stands for it.
        before: Run name -> its key, and of those that stand for others their fingerprint, by the code before.
        found: The fingerprints by the code of now.
    """
    renewed = {}
    for state in states:
        record, name = state.reference, state.run.name
        known, now = (table.get(shown_by[name], {}) for table in (before, found))
        renewed[name] = same = (record.data["key"] == before.get(name, {}).get("key")
                                and _reproduces(known, now)
                                and _same_parameters(record.data["parts"]["parameters"], state.parts["parameters"]))
        if same:
            own = _kept(now) if shown_by[name] == name else {}
            write_json(record.folder / "record.json",
                       record.data | own | {"key": state.key, "parts": state.parts, "renewed_from": record.data["key"]})
        say(f"  {name}: {'key renewed' if same else 'the fingerprint differs; train it again'}")
    keep_listings(project)
    return renewed


def verify_references(project: Project, profile: str, count: int = 12, families: Iterable[str] | None = None,
                      variants: Iterable[str] | None = None,
                      say: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Train references again, from nothing, and compare every metric; kept in `book/runs/verified.json`.

    What a reference needs is trained again before it. One thread a run, no GPU; nothing else is written.

    Args:
        count: As many fresh references, drawn at random by the commit; all that are named where runs are named.
        families, variants: Only these.

    Returns for each run: run, profile, commit, device, date, key, and metric -> [was, is] of those "close", equal to
    `TOLERANCE`, and those "different"; neither holds what is equal to the last digit.
    """
    wanted = known_runs(Book.load(project), profile, families, variants)
    fresh = {state.run.name: state for state in run_states(wanted, project)
             if state.reference and state.reference.data["key"] == state.key}
    trained = [name for name, state in fresh.items() if state.reference.data.get("fingerprint")]
    commit = git_state(project.root)[0]
    names = list(fresh) if variants else random.Random(commit).sample(trained, min(count, len(trained)))
    folder = project.built / "verify"
    shutil.rmtree(folder, ignore_errors=True)
    states = run_states(Book.load(project).runs(profile, variants=names), project)
    keys = {state.run.name: f"verify-{state.key}" for state in states}
    tasks = [Task(f"{name} (again)", state.run.notebook, dict(state.run.parameters), project.staging / "verify" / name,
                  folder / name, project.root,
                  {"profile": profile, "key": keys[name], "parts": {},
                   "needs": {alias: str(folder / need) for alias, need in state.run.needs.items()}},
                  needs=tuple(f"{need} (again)" for need in state.run.needs.values()), minutes=state.run.minutes)
             for state in states for name in [state.run.name]]
    outcomes = {outcome.label: outcome for outcome in execute(tasks, say, [Slot(1, "-1")] * 2, kernels=False)}
    found = []
    for name in sorted(names):
        outcome, reference = outcomes[f"{name} (again)"], fresh[name].reference
        found.append(_verified(reference, Record.load(outcome.folder) if outcome.ok else None, outcome.error))
    for key in keys.values():
        (project.resume / f"{key}.pt").unlink(missing_ok=True)
        (project.weights / f"{key}.safetensors").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    keep_verified(found, project)
    return found


def keep_verified(found: Iterable[Mapping[str, Any]], project: Project) -> None:
    """Add to `book/runs/verified.json`; of each run and profile the last one stays."""
    kept = project.references / "verified.json"
    entries = {(entry["run"], entry["profile"]): entry
               for entry in [*(read_json(kept) if kept.is_file() else []), *found]}
    if entries:
        write_json(kept, [entries[name] for name in sorted(entries)])


def _verified(was: Record, now: Record | None, error: str = "") -> dict[str, Any]:
    commit = now.data["commit"] if now else ""
    entry = {"run": was.run, "profile": was.profile, "key": was.data["key"], "commit": commit, "device": cpu_name(),
             "date": utc_now()[:10], "error": error}
    return entry | (_compared(was, now) if now else {})


def _compared(was: Record, now: Record) -> dict[str, dict[str, list[float]]]:
    """The metrics that are not equal to the last digit, in two groups. What is measured only now is no difference."""
    groups: dict[str, dict[str, list[float]]] = {"close": {}, "different": {}}
    for name in sorted(set(was.metrics) - TIMED):
        pair = [record.metrics[name].value if name in record.metrics else nan for record in (was, now)]
        if pair[0] != pair[1]:
            same = abs(pair[0] - pair[1]) <= TOLERANCE * max(map(abs, pair))
            groups["close" if same else "different"][name] = pair
    return groups


def _first_seeds(names: Iterable[str]) -> dict[str, str]:
    """Run name -> the run of the same variant with the lowest seed."""
    first: dict[str, str] = {}
    for name in sorted(names, key=lambda name: split_name(name)[2]):
        first.setdefault(name.rpartition("/")[0], name)
    return {name: first[name.rpartition("/")[0]] for name in names}


def _same_parameters(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two runs have the same parameters; one that is gone was off."""
    gone = {name for name in before if name not in now}
    return {name: value for name, value in before.items() if name not in gone} == now and not any(
        before[name] for name in gone)


def _reproduces(known: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two fingerprints are equal and say something: runs that train nothing have scores alone. Where both name
    their scores, those that only the second has do not count."""
    scores = known.get("fingerprint_scores")
    if not (known.get("fingerprint") or scores):
        return False
    shared = {name: value for name, value in now.get("scores", {}).items() if name in known.get("scores", {})}
    return now.get("fingerprint") == known.get("fingerprint") and (
        scores in (None, now.get("fingerprint_scores")) or 0 < len(shared) and scores == digest(shared))


def _kept(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fingerprint.items() if key != "scores"}


def _fingerprints_at(commit: str, profile: str, names: list[str], project: Project) -> dict[str, dict[str, Any]]:
    """Run name -> "key" and fingerprint as the code of a commit has them, on this machine.

    Errors: PlanError if git has no such commit, or its code fails.
    """
    tree = project.staging / "like"
    shutil.rmtree(tree, ignore_errors=True)
    worktree = ["git", "-c", "safe.directory=*", "-C", str(project.root), "worktree"]
    subprocess.run([*worktree, "prune"], check=True)
    if subprocess.run([*worktree, "add", "--quiet", "--detach", str(tree), commit]).returncode:
        raise PlanError(f"--like {commit}: git has no such commit here")
    try:
        (tree / "like.py").write_text("from htcv_lib.runs.reference import keys_and_fingerprints\n"
                                      "if __name__ == '__main__':\n    keys_and_fingerprints()\n")
        write_json(tree / "request.json", [profile, names])
        environment = {**os.environ, "PYTHONPATH": str(tree), "HTCV_ROOT": str(tree)}
        done = subprocess.run([sys.executable, "like.py"], cwd=tree, env=environment)
        if done.returncode:
            raise PlanError(f"--like {commit}: its code could not be run here")
        return read_json(tree / "found.json")
    finally:
        subprocess.run([*worktree, "remove", "--force", str(tree)], check=False)


def keys_and_fingerprints() -> None:
    """`request.json` of the working folder, a checkout: [profile, run names]. Writes `found.json`, by its code: run
    name -> key, fingerprint and digest of scores."""
    project = Project(Path.cwd())
    profile, names = read_json(project.root / "request.json")
    states = run_states(Book.load(project).runs(profile, variants=names), project)
    keys = {state.run.name: state.key for state in states}
    found = fingerprints(set(_first_seeds(names).values()), project)
    write_json(project.root / "found.json", {name: {"key": keys[name], **found.get(name, {})} for name in names})


def keep_listings(project: Project) -> None:
    """Beside the references: which definitions the code of each fresh one reaches; those of no reference go."""
    wanted = {record.data["parts"]["code"] for record in records_below(project.references)}
    for notebook in sorted(project.notebooks.glob("*/*.ipynb")):
        if result_code(notebook, project)[0] in wanted:
            keep_listing(project.references, notebook, project)
    for path in (project.references / "code").glob("*.json"):
        if path.stem not in wanted:
            path.unlink()
