"""What decides the numbers of a run and a page, and so what is fresh, what is stale and why, what is missing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from htcv_lib.data.files import missing
from htcv_lib.data.manifest import DataError, load_manifest
from htcv_lib.runs.code import counts_for_pages, digest, library_of
from htcv_lib.runs.notebook import read_cells
from htcv_lib.runs.plan import Book, PlanError, PlannedRun, check_in_profile
from htcv_lib.runs.project import Project
from htcv_lib.runs.records import Record, Results, read_json, records_below, write_json

# Freshness: content hashes of everything that decides a run's numbers, or its page.
#
# Comments, docstrings and formatting do not count, nor where a definition stands (see `code`).

NOT_HERE = "not here: set HTCV_DATA to the folder that holds"
UNCOUNTED = ("run_name",)  # parameters that name the run and change nothing
KeyParts = dict[str, Any]


def result_parts(run: PlannedRun, project: Project, upstream: Mapping[str, str] | None = None,
                 code: str = "") -> KeyParts:
    """What decides a run's numbers.

    Args:
        upstream: Result keys of the runs it needs, by run name.
        code: The digest that `result_code` gives for its notebook, where it is known.

    Errors: PlanError for a data set that has no manifest, or a manifest that cannot be read.

    Returns code (of the notebook's cells and all they reach), parameters, data, needs: hashes, except the parameters.
    """
    parameters = {key: value for key, value in run.parameters.items() if key not in UNCOUNTED}
    try:
        data = {name: _data_digest(name, project) for name in data_of(run)}
    except (DataError, yaml.YAMLError) as error:
        raise PlanError(f"{run.name}: {' '.join(str(error).split())}") from None
    return {
        "code": code or result_code(run.notebook, project)[0],
        "parameters": parameters,
        "data": data,
        "needs": {need: (upstream or {}).get(need, "") for need in run.needs.values()},
    }


def data_of(run: PlannedRun) -> list[str]:
    """The data sets that a run names."""
    return [value for key, value in run.parameters.items() if key.startswith("dataset") and value]


def data_needed(runs: Iterable[PlannedRun]) -> list[str]:
    """The data sets of these runs, with what has to be downloaded first, or cannot be."""
    texts = []
    for name in sorted({name for run in runs for name in data_of(run)}):
        absent = missing(load_manifest(name))
        size = sum(file.size or 0 for file in absent) / 2**20
        lost = [file.path for file in absent if file.bundled or not file.url]
        said = f" ({NOT_HERE} {lost[0]})" if lost else f" (download {size:.0f} MiB)" if absent else ""
        texts.append(name + said)
    return texts


def result_code(notebook: Path, project: Project) -> tuple[str, dict[str, str]]:
    """Digest of the cells that make a notebook's numbers, and of each definition they reach (see `Library.cells`)."""
    return library_of(project.root).cells(
        cell["source"] for cell in read_cells(notebook)
        if cell["cell_type"] == "code" and not {"parameters", "page"} & set(cell["tags"]))


def _data_digest(name: str, project: Project) -> str:
    path = project.manifests / f"{name.partition('/')[0]}.yaml"
    return _manifest_digest(name, path.stat().st_mtime_ns if path.is_file() else 0)


@cache
def _manifest_digest(name: str, changed: int) -> str:
    return load_manifest(name).digest[:16]


def page_parts(notebook: Path, project: Project, inputs: Any) -> KeyParts:
    """What decides a page beyond its result key: all cells, the figures, and `inputs` (any JSON value)."""
    return _page_code(notebook, project) | {"inputs": digest(inputs)}


def _page_code(notebook: Path, project: Project) -> KeyParts:
    cells = read_cells(notebook)
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    return {
        "cells": digest([[cell["cell_type"], cell["source"], sorted(cell["tags"])] for cell in cells]),
        "code": library_of(project.root, counts_for_pages).cells(code)[0],
    }


def keep_listing(folder: Path, notebook: Path, project: Project) -> None:
    """Write down, below `folder`, which definitions the present code of a notebook reaches: `code/<digest>.json`.

    It decides nothing; it lets `explain` name the definitions that changed since.
    """
    code, definitions = result_code(notebook, project)
    path = folder / "code" / f"{code}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, definitions)


def explain(old: KeyParts, new: KeyParts, project: Project, notebook: Path) -> list[str]:
    """What changed between two key parts of a notebook's run, one phrase each."""
    changes = []
    if old.get("code") != new.get("code"):
        changes += _changed_code(old.get("code", ""), project, notebook)
    for key in sorted(set(old.get("parameters", {})) | set(new.get("parameters", {}))):
        before, after = (parts.get("parameters", {}).get(key, "absent") for parts in (old, new))
        if before != after:
            changes.append(f"{key}: {before} -> {after}")
    for part, noun in (("data", "data"), ("needs", "upstream run")):
        before, after = old.get(part, {}), new.get(part, {})
        changes += [f"{noun} {name}" for name in sorted(set(before) | set(after))
                    if before.get(name) != after.get(name)]
    return changes


def _changed_code(code: str, project: Project, notebook: Path) -> list[str]:
    """The definitions that are not as they were under the digest `code`; "code of the notebook" if all of them are."""
    listings = [folder / "code" / f"{code}.json" for folder in (project.built, project.references)]
    before = next((read_json(path) for path in listings if path.is_file()), None)
    if before is None:
        return ["code"]
    after = result_code(notebook, project)[1]
    known, present = ({(name.rpartition(".")[2], own) for name, own in listing.items()} for listing in (before, after))
    changed = sorted({name for name, _ in known ^ present})  # a definition that only moved is in both
    return [f"definition {name}" for name in changed] or ["code of the notebook"]


# What is fresh, what is stale and why, what is missing: for the runs of one profile.


@dataclass(frozen=True)
class RunState:
    """A planned run and what there is of it."""

    run: PlannedRun
    key: str  # result key
    page: str  # page key; names the folder
    parts: KeyParts
    built: Record | None  # executed on this machine, with exactly these keys
    measured: Record | None  # executed on this machine with this result key; its page may be out of date
    reference: Record | None  # committed, of this profile, whatever its key
    reasons: tuple[str, ...]  # why it is stale or missing; empty if fresh

    @property
    def fresh(self) -> bool:
        return not self.reasons

    @property
    def record(self) -> Record | None:
        """The record to show: this machine's, else the committed one if its key matches."""
        if self.built:
            return self.built
        return self.reference if self.fresh else None

    def folder(self, project: Project) -> Path:
        return project.built / self.run.profile / self.run.name / self.page


def run_states(runs: Iterable[PlannedRun], project: Project) -> list[RunState]:
    """The state of each run, in the order given (what a run needs comes before it)."""
    keys: dict[str, str] = {}
    states = []
    code = cache(lambda notebook: (result_code(notebook, project)[0], _page_code(notebook, project)))
    for run in runs:
        of_result, of_page = code(run.notebook)
        parts = result_parts(run, project, keys, of_result)
        keys[run.name] = key = digest(parts)
        page = digest([key, of_page | {"inputs": digest(run.title)}])
        folder = project.built / run.profile / run.name
        reference = _load(project.reference(run.profile, run.name))
        built = _load(folder / page)
        others = records_below(folder)
        measured = built or next((record for record in others if record.data["key"] == key), None)
        reasons = _reasons(run, project, key, parts, built, measured, reference, others)
        states.append(RunState(run, key, page, parts, built, measured, reference, tuple(reasons)))
    return states


def _reasons(run: PlannedRun, project: Project, key: str, parts: KeyParts, built: Record | None,
             measured: Record | None, reference: Record | None, others: list[Record]) -> list[str]:
    if built or (reference and reference.data["key"] == key):
        return []
    if measured:
        return ["text or figures of the notebook"]
    known = others[-1] if others else reference
    return explain(known.data["parts"], parts, project, run.notebook) or ["key"] if known else ["never run"]


def known_runs(book: Book, profile: str, families: Iterable[str] | None = None,
               variants: Iterable[str] | None = None) -> list[PlannedRun]:
    """The planned runs (see `Book.runs`), and others of theirs that have a reference: seeds beyond the planned ones."""
    planned = book.runs(profile, families=families, variants=variants)
    check_in_profile(planned, variants, profile)
    known = {f"{run.family}/{run.variant}" for run in planned}
    named = None if variants is None else set(variants)
    more = [record.run for record in records_below(book.project.references / profile)
            if (variant := record.run.rpartition("/")[0]) in known and (named is None or variant in named)]
    return list({run.name: run for run in [*planned, *book.runs(profile, variants=more)]}.values())


def changed_since(record: Record, state: RunState, project: Project) -> list[str]:
    """What differs between a record and its run as it is defined now; empty if nothing does."""
    if record.data["key"] == state.key:
        return []
    return explain(record.data["parts"], state.parts, project, state.run.notebook) or ["key"]


def _load(folder: Path) -> Record | None:
    return Record.load(folder) if (folder / "record.json").is_file() else None


def chapter_inputs(project: Project, family: str, records: Iterable[Record]) -> list[Any]:
    """What a chapter's page depends on besides its notebook: records, and its family's claims, runs and metrics."""
    shown = sorted([record.run, record.profile, record.data["key"], record.finished] for record in records)
    tables = [path.read_text(encoding="utf-8") if path.is_file() else ""
              for path in (project.claims_of(family), project.tables[family], project.metrics(family))]
    return [shown, *tables]


# `htcv status`: what is fresh, stale (and why) or missing, and the scratch runs of this machine.


def status_frame(profile: str, project: Project, families: Iterable[str] | None = None,
                 variants: Iterable[str] | None = None) -> pd.DataFrame:
    """One row per run of the profile, or of those named and what they need (see `known_runs`): run, state, why,
    minutes, device, finished, commit."""
    states = run_states(known_runs(Book.load(project), profile, families, variants), project)
    return pd.DataFrame([_row(state) for state in states],
                        columns=["run", "state", "why", "minutes", "device", "finished", "commit"])


def status_lines(profile: str, project: Project, families: Iterable[str] | None = None,
                 variants: Iterable[str] | None = None) -> list[str]:
    """The same as text, with a summary in front, and behind it scratch runs and what a run would fail at."""
    frame = status_frame(profile, project, families, variants)
    counts = frame["state"].value_counts()
    summary = ", ".join(f"{counts.get(word, 0)} {word}" for word in ("fresh", "stale", "missing"))
    lines = [f"Profile {profile}: {summary}"]
    for row in frame.itertuples():
        minutes = f"{row.minutes:5.1f} min" if row.minutes == row.minutes else "         "
        lines.append(f"  {row.state:8s} {row.run:38s} {minutes}  {row.why}".rstrip())
    for family in families or Book.load(project).families:
        for record in Results(family, project).scratch:
            metrics = ", ".join(f"{name} {metric.value:.4g}" for name, metric in list(record.metrics.items())[:3])
            lines.append(f"  scratch  {record.run:38s} {record.wall_s / 60:5.1f} min  {record.finished}  {metrics}")
    planned = known_runs(Book.load(project), profile, families, variants)
    lines += [f"  data     {text}" for text in data_needed(planned) if NOT_HERE in text]
    try:
        project.check_places()
    except OSError as error:
        lines.append(f"  folder   {error}")
    return lines


def _row(state: RunState) -> dict:
    record = state.built or state.reference
    word = "fresh" if state.fresh else "missing" if state.reasons == ("never run",) else "stale"
    return {
        "run": state.run.name,
        "state": word,
        "why": "; ".join(state.reasons) if word != "fresh" else "reference" if not state.built else "",
        "minutes": record.wall_s / 60 if record else float("nan"),
        "device": record.device if record else "",
        "finished": record.finished if record else "",
        "commit": record.data["commit"] if record else "",
    }
