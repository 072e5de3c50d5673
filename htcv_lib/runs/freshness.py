"""What is fresh, what is stale and why, what is missing: for the runs of one profile."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htcv_lib.runs.code import digest
from htcv_lib.runs.keys import KeyParts, explain, page_parts, result_parts
from htcv_lib.runs.plan import Book, PlannedRun
from htcv_lib.runs.project import Project
from htcv_lib.runs.records import Record, records_below


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
    for run in runs:
        parts = result_parts(run, project, keys)
        keys[run.name] = key = digest(parts)
        page = digest([key, page_parts(run.notebook, project, run.title)])
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
