"""The chapter notebook's side: it reads records, and trains nothing."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from htcv_lib.runs.claim_files import TESTS, load_files
from htcv_lib.runs.claims import ALPHA, ENOUGH, Judged, Seeds, Verdict, decide, judge
from htcv_lib.runs.display import show, show_frames
from htcv_lib.runs.plan import REFERENCE_PROFILES, Book
from htcv_lib.runs.project import Project
from htcv_lib.runs.records import Record, Results
from htcv_lib.runs.run import RUN_FOLDER
from htcv_lib.runs.statistics import spell_mean


@dataclass
class Chapter:
    """The records of one family as a chapter shows them."""

    results: Results
    folder: Path
    profile: str
    this_build: list[Record]  # executed by the build that makes this page
    scratch: list[Record]  # interactive runs of the person at this machine

    @classmethod
    def start(cls, family: str) -> "Chapter":
        """In a build, the build's own records; in a notebook opened by hand, all there are."""
        results = Results(family)
        prepared = os.environ.get(RUN_FOLDER)
        if prepared:
            context = json.loads((Path(prepared) / "context.json").read_text())
            built, scratch = ([Record.load(Path(folder)) for folder in context[part]]
                              for part in ("built", "scratch"))
            return cls(results, Path(prepared), context["profile"], built, scratch)
        folder = results.project.scratch / family / "chapter"
        folder.mkdir(parents=True, exist_ok=True)
        return cls(results, folder, "scratch", results.built, results.scratch)

    def show(self, item, name: str, caption: str, alt: str = "", data=None, fmt: str = "svg") -> None:
        """Display a figure or table and keep its CSV (see `display.show`)."""
        show(item, self.folder, name, caption, alt, data, fmt)

    def frames(self, images: np.ndarray, positions: Sequence[str], name: str, caption: str, alt: str, label: str,
               rows: Sequence[str], data: pd.DataFrame | None = None) -> None:
        """Display (F, R, H, W, 3) uint8 frames under a slider (see `display.show_frames`)."""
        show_frames(images, positions, self.folder, name, caption, alt, label, rows, data)

    def verdicts(self) -> list[Verdict]:
        """The claims of this family, decided by its references."""
        return project_verdicts(self.results.project, self.results.family.name)[self.results.family.name]

    def changed(self, record: Record) -> str:
        """What a scratch run did differently from the run as `full` defines it, for example "lr 0.003"."""
        planned = Book.load(self.results.project).run(record.run, "full")
        if planned is None:
            return ""
        return ", ".join(f"{name} {value}" for name, value in record.parameters.items()
                         if planned.parameters.get(name) != value)

    def text(self, metric: str, value: float) -> str:
        """A value of this metric as the book prints it."""
        return format(value, self.results.family.metrics.get(metric, {}).get("format", ".3g"))

    def runs_here(self, metrics: Sequence[str]) -> pd.DataFrame:
        """One row for each run of this build and each interactive run: what it changed, on which data, each metric
        beside the mean of its references, how long it took and when it finished."""
        headings = [self.results.family.heading(metric) for metric in metrics]
        columns = ["Run", "Kind", "Changed", "Data", *headings, "Minutes", "Finished"]
        rows = [[record.run.partition("/")[2], record.profile, changed, record.dataset,
                 *(self._beside_reference(record, metric) for metric in metrics),
                 f"{record.wall_s / 60:.1f}", record.finished[:16].replace("T", " ")]
                for records in (self.this_build, self.scratch) for record in records
                for changed in [(self.changed(record) or "nothing") if record.profile == "scratch" else "as planned"]]
        return pd.DataFrame(rows or [["none", *["n/a"] * (len(columns) - 1)]], columns=columns)

    def _beside_reference(self, record: Record, metric: str) -> str:
        known = list(self.results.values(record.variant, metric).values())
        both = ([record.value(metric)] if metric in record.metrics else [], [np.mean(known)] if known else [])
        return " / ".join(self.text(metric, value[0]) if value else "n/a" for value in both)

    def summary(self, variants: Sequence[str], metrics: Sequence[str],
                names: Mapping[str, str] | None = None, rivals: Sequence[str] = ()) -> pd.DataFrame:
        """One row a variant: name, seeds, and each metric as mean with its 95 % interval half-width.

        Args:
            names: Variant -> what to call it here; others go by the titles of runs.yml.
            rivals: Variants whose best mean of each metric is printed in bold.
        """
        rows, means = [], {}
        for variant in variants:
            entry = self.results.family.variants[variant]
            row = {"Variant": (names or {}).get(variant) or entry.get("title", variant)}
            for metric in metrics:
                values = list(self.results.values(variant, metric).values())
                row["n"] = max(row.get("n", 0), len(values))
                row[self.results.family.heading(metric)] = self._cell(metric, values)
                if values and variant in rivals:
                    means.setdefault(metric, {})[len(rows)] = np.mean(values)
            rows.append(row)
        table = pd.DataFrame(rows)
        table.attrs["best"] = [(self._best(metric, found), self.results.family.heading(metric))
                               for metric, found in means.items()]
        return table

    def _best(self, metric: str, means: Mapping[int, float]) -> int:
        lower = self.results.family.metrics.get(metric, {}).get("better") == "lower"
        return (min if lower else max)(means, key=means.__getitem__)

    def _cell(self, metric: str, values: list[float]) -> str:
        about = self.results.family.metrics.get(metric, {})
        return spell_mean(values, about) if values else "n/a"


def project_verdicts(project: Project, family: str = "") -> dict[str, list[Verdict]]:
    """Family -> verdicts, for the one named or for every family that has claims."""
    return {name: decide(file.claims, seeds_of(Results(name, project)), file.headlines, file.gates)
            for name, file in load_files(project, family).items()}


def judged(project: Project, verdicts: Mapping[str, list[Verdict]]) -> list[Judged]:
    """The headlines of these families, in their order, with both answers."""
    files = load_files(project)
    return [each for family, found in verdicts.items() for each in judge(files[family].headlines, found)]


def seeds_of(results: Results) -> Seeds:
    """The references of a family as its claims are decided by: values, sizes, parameters, what is counted."""
    parameters = {(record.variant, record.profile): record.parameters for record in results.all_references}
    counted = frozenset(name for name, about in results.family.metrics.items() if about.get("unit") == "runs")
    trained = {record.variant for record in results.all_references if record.data.get("fingerprint")}
    computed = frozenset(record.variant for record in results.all_references) - trained
    return Seeds(results.seed_values, REFERENCE_PROFILES, lambda *of: parameters.get(of, {}), counted, computed)


def published_claims(project: Project, verdicts: Mapping[str, list[Verdict]]) -> dict[str, Any]:
    """All that somebody needs to decide every claim again: `claims.json`. Numbers are as they were computed."""
    commits = {(record.run, record.profile): record.data.get("commit", "") for family in verdicts
               for record in Results(family, project).all_references}
    leading = {(each.headline.family, each.headline.decided_by): each.headline.id for each in judged(project, verdicts)}
    tests = []
    for family, found in verdicts.items():
        for verdict in found:
            claim, estimate = verdict.claim, verdict.estimate
            kind = next((name for name in TESTS if getattr(claim, name)), "")
            tests.append({
                "id": claim.id, "family": family, "where": claim.where, "says": claim.says,
                "statement": claim.statement, "kind": kind, "test": dict(claim.test),
                "not_testable": claim.not_testable, "simulation": claim.simulation, "revised": claim.revised,
                "decides": leading.get((family, claim.id), ""),
                "word": verdict.word, "so_far": verdict.so_far, "shut": verdict.shut, "profile": verdict.profile,
                "values": {str(seed): value for seed, value in verdict.values.items()}, "n": verdict.n,
                "estimate": _finite(estimate._asdict()) if estimate else None, "p_adjusted": verdict.p_adjusted,
                "runs": {run: commits.get((run, verdict.profile), "") for run in verdict.runs},
            })
    headlines = [{"id": each.headline.id, "family": each.headline.family, "says": each.headline.says,
                  "report": dict(each.headline.report), "decided_by": each.headline.decided_by,
                  "claims": list(each.headline.claims)} for each in judged(project, verdicts)]
    return {"alpha": ALPHA, "enough": ENOUGH, "headlines": headlines, "tests": tests}


def _finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {name: value if isfinite(value) else None for name, value in numbers.items()}
