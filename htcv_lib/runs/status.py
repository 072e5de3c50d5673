"""`htcv status`: what is fresh, stale (and why) or missing, and the scratch runs of this machine."""

from collections.abc import Iterable

import pandas as pd

from htcv_lib.runs.freshness import RunState, known_runs, run_states
from htcv_lib.runs.plan import Book
from htcv_lib.runs.project import Project
from htcv_lib.runs.records import Results


def status_frame(profile: str, project: Project, families: Iterable[str] | None = None,
                 variants: Iterable[str] | None = None) -> pd.DataFrame:
    """One row per run of the profile, or of those named and what they need (see `known_runs`): run, state, why,
    minutes, device, finished, commit."""
    states = run_states(known_runs(Book.load(project), profile, families, variants), project)
    return pd.DataFrame([_row(state) for state in states],
                        columns=["run", "state", "why", "minutes", "device", "finished", "commit"])


def status_lines(profile: str, project: Project, families: Iterable[str] | None = None,
                 variants: Iterable[str] | None = None) -> list[str]:
    """The same as text, with a summary in front and scratch runs behind."""
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
