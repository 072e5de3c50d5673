"""What the directives ask: which records exist, which page shows a run, what changed since.

A page that shows records registers itself with `track`. When a record, claim, notebook or module
changes, exactly the registered pages are read again.
"""

import hashlib
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from htcv_lib.runs.build import BuildReport, active_profile
from htcv_lib.runs.claims import Judged, Verdict
from htcv_lib.runs.code import digest
from htcv_lib.runs.freshness import RunState, changed_since, run_states
from htcv_lib.runs.plan import PROFILES, REFERENCE_PROFILES, Book, Family, PlanError, PlannedRun, split_name
from htcv_lib.runs.project import Project, cpu_name, cuda_devices, git_state, usable_cores
from htcv_lib.runs.records import Record, Results, share_of_report

WATCHED = ("book/runs/**/record.json", "book/runs/verified.json",
           "book/claims/*.yml", "notebooks/*/*.yml", "notebooks/*/*.ipynb",
           "data_manifests/*.yaml", "htcv_lib/**/*.py", "book/_ext/*.py",
           *(f"runs/{profile}/**/record.json" for profile in PROFILES))


class BookState:
    """One build's view of the records; made once, on first use."""

    def __init__(self, project: Project, report: BuildReport | None = None):
        self.project = project
        self.report = report
        self.profile = report.profile if report else active_profile()
        self._results: dict[str, Results] = {}

    @cached_property
    def book(self) -> Book:
        return Book.load(self.project)

    def family(self, name: str) -> Family | None:
        return self.book.families.get(name)

    def results(self, family: str) -> Results:
        if family not in self._results:
            self._results[family] = Results(family, self.project)
        return self._results[family]

    @cached_property
    def references(self) -> dict[str, Record]:
        """Run name -> its one committed record."""
        return {record.run: record for family in self.book.families for record in self.results(family).references}

    @cached_property
    def built(self) -> dict[str, Record]:
        """Run name -> what this build shows as its own."""
        return dict(self.report.built) if self.report else {}

    def reference(self, run: str, profile: str = "") -> Record | None:
        """The reference of a run in one profile; without one, that which tables compare."""
        if not profile:
            return self.references.get(run)
        return self._of_every_profile.get((profile, run))

    @cached_property
    def _of_every_profile(self) -> dict[tuple[str, str], Record]:
        return {(record.profile, record.run): record for name in self.book.families
                for record in self.results(name).all_references}

    def record(self, run: str) -> Record | None:
        """What leads a run's page: its reference, else what this build made."""
        return self.references.get(run) or self.built.get(run)

    @cached_property
    def changes(self) -> dict[str, list[str]]:
        """Run name -> what differs between its reference and the run as defined now; [] if nothing."""
        return {name: self._changes(record) for name, record in self.references.items()}

    def _changes(self, record: Record) -> list[str]:
        state = self._states.get((record.profile, record.run))
        return changed_since(record, state, self.project) if state else ["the run is no longer in runs.yml"]

    @cached_property
    def _states(self) -> dict[tuple[str, str], RunState]:
        states = {}
        for profile in REFERENCE_PROFILES:
            wanted: dict[str, PlannedRun] = {}
            for record in self.references.values():
                if record.profile == profile:
                    self._plan(record.run, profile, wanted)
            states.update({(profile, state.run.name): state for state in run_states(wanted.values(), self.project)})
        return states

    def _plan(self, name: str, profile: str, wanted: dict[str, PlannedRun]) -> None:
        """Add a run after everything it needs."""
        try:
            run = self.book.run(name, profile)
        except PlanError:
            return
        if run and name not in wanted:
            for need in run.needs.values():
                self._plan(need, profile, wanted)
            wanted[name] = run

    @cached_property
    def verdicts(self) -> dict[str, list]:
        """Family -> verdicts over its claims; empty while no family has any."""
        from htcv_lib.runs.chapter import project_verdicts

        return project_verdicts(self.project)

    @cached_property
    def headlines(self) -> list[Judged]:
        """The conclusions of all reports with both answers, in the order of the book."""
        from htcv_lib.runs.chapter import judged

        return judged(self.project, self.verdicts)

    def share_of_report(self, verdict: Verdict) -> str | None:
        """"1 : 600": the compute of one training behind a verdict against that of the report's own; None if unknown."""
        family = self.family(verdict.claim.family)
        records = [record for run in verdict.runs if (record := self.reference(run, verdict.profile))]
        shares = [share for record in records if (share := share_of_report(record, family))]
        return spell_share(max(shares)) if shares else None

    @cached_property
    def commit(self) -> str:
        return git_state(self.project.root)[0]

    @cached_property
    def machine(self) -> str:
        gpus = cuda_devices()
        return f"{len(gpus)} GPU{'s' if len(gpus) > 1 else ''}" if gpus else f"{cpu_name()}, {usable_cores()} cores"

    @cached_property
    def today(self) -> str:
        """Date of the build; `SOURCE_DATE_EPOCH` is honoured."""
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        return (datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)).strftime("%Y-%m-%d")


def spell_share(share: float) -> str:
    """0.0016 -> "1 : 600", to one digit; 1.4 -> "1 : 1"."""
    times = 1 / share
    return f"1 : {float(f'{times:.1g}'):,.0f}" if times > 1 else f"{float(f'{share:.1g}'):,.0f} : 1"


def state(app: Sphinx) -> BookState:
    if not hasattr(app, "htcv_state"):
        app.htcv_state = BookState(Project.find(app.srcdir), getattr(app, "htcv_report", None))
    return app.htcv_state


def track(env: BuildEnvironment, records: Iterable[Record] = ()) -> BookState:
    """Register the page being read; return the state it shows."""
    if not hasattr(env, "htcv_showing"):
        env.htcv_showing = set()
    env.htcv_showing.add(env.docname)
    for record in records:
        env.note_dependency(str(record.folder / "record.json"))
    return state(env.app)


def run_page(env: BuildEnvironment, run: str) -> str | None:
    """The page of a run (only seed 0 has one, whatever seed is asked for)."""
    family, variant, _ = split_name(run)
    name = f"book/pages/{family}/runs/{variant}"
    return name if name in env.found_docs else None


def chapter_page(env: BuildEnvironment, family: str) -> str | None:
    """The first chapter of a family, if the book has it."""
    known = state(env.app).family(family)
    names = [f"book/pages/{family}/{chapter.removesuffix('.ipynb')}" for chapter in (known.chapters if known else [])]
    return next((name for name in names if name in env.found_docs), None)


def link(env: BuildEnvironment, docname: str | None, anchor: str = "") -> str:
    """Relative address of a page of the book; empty if there is no such page."""
    if not docname or docname not in env.found_docs:
        return ""
    return env.app.builder.get_relative_uri(env.docname, docname) + (f"#{anchor}" if anchor else "")


def watched(project: Project) -> str:
    """Digest of the contents of everything a directive may show."""
    total = hashlib.sha256(repr([os.environ.get(name) for name in ("HTCV_PROFILE", "HTCV_LAB_PORT")]).encode())
    for pattern in WATCHED:
        for path in sorted(project.root.glob(pattern)):
            total.update(str(path.relative_to(project.root)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def outdated(app: Sphinx, env: BuildEnvironment, added, changed, removed) -> list[str]:
    now = digest([watched(state(app).project), state(app).today, state(app).commit])
    if getattr(env, "htcv_watched", None) == now:
        return []
    env.htcv_watched = now
    return [name for name in getattr(env, "htcv_showing", ()) if name in env.found_docs]


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    getattr(env, "htcv_showing", set()).discard(docname)


def relative(project: Project, path: Path) -> str:
    """Path inside the checkout as Sphinx wants it: absolute from the source folder."""
    return "/" + path.resolve().relative_to(project.root).as_posix()


def setup(app: Sphinx) -> dict:
    app.connect("env-get-outdated", outdated)
    app.connect("env-purge-doc", purge)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
