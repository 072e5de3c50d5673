"""The notebook's side of a run: it starts, shows, and finishes by writing a record.

In a build the runner has prepared a folder and a context; on its own the same notebook
writes to `runs/scratch/`, and nothing in the book changes.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from htcv_lib.runs.display import show, show_frames, show_source
from htcv_lib.runs.notebook import parameter_types
from htcv_lib.runs.plan import Book, PlanError, check_types, metric_heading, split_name
from htcv_lib.runs.project import Project, device_name, git_state, peak_memory_mib, versions
from htcv_lib.runs.records import SCHEMA, Metric, Record, Results, Samples, check_sizes, write_json

RUN_FOLDER = "HTCV_RUN_FOLDER"  # set by the runner for the kernel


def literals(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The plain literals among a notebook's names: its parameters, before anything is computed."""
    found = {}
    for name, value in namespace.items():
        if name.startswith("_") or name in ("In", "Out", "exit", "quit"):
            continue
        if value is None or isinstance(value, str | bool | int | float | list | dict):
            found[name] = value
    return found


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def scratch_context() -> dict[str, Any]:
    """The context of a run that no plan made; its key is `scratch-<now>`."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return {"profile": "scratch", "key": f"scratch-{stamp}", "parts": {}, "needs": {}}


def check_given(name: str, parameters: Mapping[str, Any], project: Project) -> None:
    """Check the types of what a notebook was given by hand, for example by `papermill -p`; a run that nobody planned
    is not checked.

    Errors: PlanError.
    """
    try:
        notebook = Book.load(project).notebook(name)
    except PlanError:
        return
    if notebook.is_file():
        check_types(name, parameter_types(notebook), parameters, "given")


@dataclass
class Run:
    """One execution of a run notebook."""

    name: str
    parameters: dict[str, Any]
    project: Project
    folder: Path
    context: dict[str, Any]
    started: str = field(default_factory=utc_now)
    clock: float = field(default_factory=time.perf_counter)

    @classmethod
    def start(cls, name: str, parameters: Mapping[str, Any]) -> "Run":
        """Open the run's folder: the runner's, or a new one under `runs/scratch/`.

        Errors: PlanError for a parameter that is not of the type its notebook annotates.
        """
        project = Project.find()
        parameters = {key: value for key, value in parameters.items() if key != "run_name"}
        prepared = os.environ.get(RUN_FOLDER)
        if prepared:
            folder = Path(prepared)
            context = json.loads((folder / "context.json").read_text())
        else:
            check_given(name, parameters, project)
            context = scratch_context()
            folder = project.scratch / name / context["key"].removeprefix("scratch-")
            folder.mkdir(parents=True, exist_ok=True)
        return cls(name, dict(parameters), project, folder, context)

    @property
    def checkpoint(self) -> Path | None:
        """Where `fit` keeps its state so that a killed run goes on; None for scratch runs."""
        if self.context["profile"] == "scratch":
            return None
        self.project.resume.mkdir(parents=True, exist_ok=True)
        return self.project.resume / f"{self.context['key']}.pt"

    def needed(self, alias: str) -> Record:
        """The record of an upstream run, for example the judge of a VAE.

        In a build the one the plan chose; in a notebook opened by hand, one whose weights are here.

        Errors: FileNotFoundError that says which command trains it.
        """
        prepared = self.context["needs"].get(alias)
        if prepared:
            return Record.load(Path(prepared))
        need = self._planned_needs().get(alias, alias)
        results = Results(split_name(need)[0], self.project)
        for record in [*results.built, *results.references]:
            if record.run == need and self.weights(record).is_file():
                return record
        raise FileNotFoundError(f"{self.name} needs the weights of {need}: run `htcv run {need} --force` first")

    def weights(self, record: Record) -> Path:
        """Where the trained weights of a record are kept on this machine."""
        return self.project.weights / f"{record.data['key']}.safetensors"

    def show(self, item: Any, name: str, caption: str, alt: str = "", data=None, fmt: str = "svg") -> None:
        """Display a figure or table and keep its CSV beside the record (see `display.show`)."""
        show(item, self.folder, name, caption, alt, data, fmt)

    def frames(self, images: np.ndarray, positions: Sequence[str], name: str, caption: str, alt: str, label: str,
               rows: Sequence[str], data: pd.DataFrame | None = None) -> None:
        """Display (F, R, H, W, 3) uint8 frames under a slider (see `display.show_frames`)."""
        show_frames(images, positions, self.folder, name, caption, alt, label, rows, data)

    def source(self, *things: Any) -> None:
        """Display the library's own code of functions, classes or methods, foldable (see `display.show_source`)."""
        show_source(*things)

    def metric_table(self, metrics: Mapping[str, float]) -> pd.DataFrame:
        """Metric, value as the book prints it, and what it means; one that says in metrics.yml why it can be `absent`
        has a row in any case."""
        table = self._metric_table()
        known = {name: value for name, value in metrics.items() if isfinite(value)}
        rows = [(metric_heading(name, entry),
                 format(known[name], entry.get("format", ".4g")) if name in known else "n/a",
                 entry.get("definition", "") + ("" if name in known else f". {entry['absent']}"))
                for name, entry in table.items() if name in known or "absent" in entry]
        return pd.DataFrame(rows or [("no metric", "n/a", "")], columns=["Metric", "Value", "Definition"])

    def save_samples(self, tiles: np.ndarray, columns: Sequence[str], rows: Sequence[Mapping]) -> None:
        """Keep picture rows (R, C, H, W, 3) uint8 with the record, at most 150 KiB (see `Samples`)."""
        Samples(tiles, list(columns), [dict(row) for row in rows]).save(self.folder)

    def finish(self, metrics: Mapping[str, float], history=None, split: str = "test", n: int = 0,
               model=None, notes: Mapping[str, Any] | None = None) -> Record:
        """Write the record, last and atomically.

        Args:
            metrics: Name -> value; unit and direction come from the family's `metrics.yml`. One that is
                not finite, because it does not apply, is left out. One that is measured on other images than the
                rest says so there, by a `split` and an `n` of its own.
            history: What `fit` returned.
            split: Which split the metrics were measured on, and `n` on how many images.
            model: If given, its weights are kept under the run's key and their digest is recorded.
            notes: A few more facts (counts, events); JSON values.
        """
        meanings = self._metric_table()
        train_s = getattr(history, "train_s", 0.0)
        record = {
            "schema": SCHEMA,
            "run": self.name,
            "profile": self.context["profile"],
            "key": self.context["key"],
            "parts": self.context["parts"],
            "parameters": self.parameters,
            "commit": None,
            "dirty": None,
            "device": device_name(),
            "versions": versions(),
            "started": self.started,
            "finished": utc_now(),
            "wall_s": round(self._seconds(train_s, history), 2),
            "train_s": round(train_s, 2),
            "peak_memory_mib": peak_memory_mib(),
            "metrics": {
                name: asdict(Metric(float(f"{value:.6g}"), meaning.get("unit", ""), meaning.get("better", "higher"),
                                    meaning.get("split", split), meaning.get("n", n)))
                for name, value in metrics.items() if isfinite(value) for meaning in [meanings.get(name, {})]
            },
            "first_losses": [float(f"{loss:.9g}") for loss in getattr(history, "first_losses", [])],
            "notes": dict(notes or {}),
        }
        record["commit"], record["dirty"] = git_state(self.project.root)
        if history is not None:
            history.save(self.folder / "history.csv")
        if model is not None:
            record["weights"] = self._save_weights(model)
        check_sizes(self.folder)
        write_json(self.folder / "record.json", record)
        if self.context["profile"] == "scratch":
            place = self.folder.relative_to(self.project.root)
            print(f"Scratch record written to {place}; the chapter notebook shows it beside the reference.")
        return Record.load(self.folder)

    def _seconds(self, train_s: float, history) -> float:
        """Seconds this run took. Training that was done before it was resumed counts, as its share of the steps."""
        seconds = time.perf_counter() - self.clock
        resumed = [event["step"] for event in getattr(history, "events", ()) if event.get("event") == "resumed"]
        share = resumed[-1] / history.rows[-1]["step"] if resumed else 0.0
        began_here = seconds >= train_s * (1 - share)  # else it had been trained to the end
        return seconds + (train_s * share if began_here else train_s)

    def _save_weights(self, model) -> dict[str, Any]:
        import hashlib

        from safetensors.torch import save_file

        self.project.weights.mkdir(parents=True, exist_ok=True)
        path = self.project.weights / f"{self.context['key']}.safetensors"
        partial = path.with_suffix(".part")
        save_file({key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}, partial)
        os.replace(partial, path)
        return {"file": path.name, "bytes": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}

    def _metric_table(self) -> dict[str, Mapping[str, str]]:
        families = Book.load(self.project).families
        family = split_name(self.name)[0]
        return families[family].metrics if family in families else {}

    def _planned_needs(self) -> Mapping[str, str]:
        try:
            planned = Book.load(self.project).run(self.name, "full")
        except PlanError:
            return {}
        return planned.needs if planned else {}
