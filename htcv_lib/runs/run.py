"""The notebook's side of a run: it starts, shows, and finishes by writing a record.

In a build the runner has prepared a folder and a context; on its own the same notebook
writes to `runs/scratch/`, and nothing in the book changes.
"""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from htcv_lib.data.files import share_cache
from htcv_lib.runs.code import digest
from htcv_lib.runs.display import show, show_frames, show_source
from htcv_lib.runs.freshness import result_code
from htcv_lib.runs.notebook import declared_names, default_parameters, parameter_types
from htcv_lib.runs.plan import Book, PlanError, check_types, metric_heading, split_name
from htcv_lib.runs.project import Project, device_name, git_state, peak_memory_mib, versions
from htcv_lib.runs.records import SCHEMA, Metric, Record, Results, Samples, check_sizes, digests, replaced, write_json

RUN_FOLDER = "HTCV_RUN_FOLDER"  # set by the runner for the kernel
LOST_LOCK = 300  # seconds in which a network file system frees the lock of a node that was lost
SHELL = ("In", "Out", "exit", "quit")  # names that a kernel adds
STATE = {"format", "epoch", "step", "history", "models", "optimizers", "schedulers", "average", "batches", "random"}


def literals(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The plain literals among a notebook's names: its parameters, before anything is computed.

    In a kernel, of those that its cells declare (see `declared_names`), whatever an earlier pass left behind.
    """
    declared = declared_names(namespace.get("In", ()))
    return {name: value for name, value in namespace.items()
            if (name in declared if declared is not None else not name.startswith("_") and name not in SHELL)
            and (value is None or isinstance(value, str | bool | int | float | list | dict))}


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def scratch_context() -> dict[str, Any]:
    """The context of a run that no plan made; its key is `scratch-<now>-<four random digits>`."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return {"profile": "scratch", "key": f"scratch-{stamp}-{secrets.token_hex(2)}", "parts": {}, "needs": {}}


def planned_notebook(name: str, project: Project) -> Path | None:
    """The notebook of a run; None for a run that nobody planned."""
    try:
        notebook = Book.load(project).notebook(name)
    except PlanError:
        return None
    return notebook if notebook.is_file() else None


def check_given(name: str, parameters: Mapping[str, Any], notebook: Path | None) -> None:
    """Check what a notebook was given by hand, for example by `papermill -p`; of a run that nobody planned no types
    are known.

    Errors: PlanError.
    """
    for key, value in parameters.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise PlanError(f"{name}: {key} wants plain values, text and numbers: {error}") from None
    if notebook:
        check_types(name, parameter_types(notebook), default_parameters(notebook), parameters, "given")


def check_state(path: Path) -> None:
    """Errors: ValueError if no training can go on from this file: damaged, incomplete, or with weights that are NaN."""
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        wrong = f"it has no {', '.join(sorted(STATE - set(state)))}" if STATE - set(state) else ""
        weights = {} if wrong else {name: value for model in state["models"].values() for name, value in model.items()}
    except Exception as error:  # torch raises many types for damaged files
        wrong, weights = " ".join(str(error).split())[:200], {}
    wrong = wrong or next((f"{name} is NaN" for name, value in weights.items() if torch.isnan(value).any()), "")
    if wrong:
        raise ValueError(f"checkpoint {path} cannot be used ({wrong}); delete it to start again")


@dataclass
class Run:
    """One execution of a run notebook."""

    name: str
    parameters: dict[str, Any]
    project: Project
    folder: Path
    context: dict[str, Any]
    lock: FileLock  # of its training state, which lies beside it
    started: str = field(default_factory=utc_now)
    clock: float = field(default_factory=time.perf_counter)

    @classmethod
    def start(cls, name: str, parameters: Mapping[str, Any]) -> "Run":
        """Open the run's folder: the runner's, or a new one under `runs/scratch/`. What would fail at the end of a
        training is tried here.

        Errors: PlanError for a parameter that no record can hold, or that is not of the type its notebook annotates;
        OSError for a folder that cannot be written to.
        """
        project = Project.find()
        project.check_places()
        parameters = {key: value for key, value in parameters.items() if key != "run_name"}
        prepared = os.environ.get(RUN_FOLDER)
        notebook = planned_notebook(name, project)
        if prepared:
            folder = Path(prepared)
            context = json.loads((folder / "context.json").read_text())
        else:
            check_given(name, parameters, notebook)
            context = scratch_context()
            folder = project.scratch / name / context["key"].removeprefix("scratch-")
            folder.mkdir(parents=True)
        state = context["key"]
        if context["profile"] == "scratch":  # its key is new each time
            state = f"scratch-{digest([name, parameters, result_code(notebook, project)[0] if notebook else ''])}"
        lock = FileLock(project.resume / f"{state}.lock", is_singleton=True)
        return cls(name, parameters, project, folder, context, lock)

    @property
    def checkpoint(self) -> Path | None:
        """Where `fit` keeps its state so that a run that was interrupted or killed goes on.

        A scratch run finds that of the same run, parameters and code, until one of them has finished; None while
        another kernel trains it.

        Errors: ValueError if no training can go on from the file.
        """
        path = Path(self.lock.lock_file).with_suffix(".pt")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.lock.acquire(timeout=0 if self.context["profile"] == "scratch" else LOST_LOCK)
        except Timeout:
            print("Another kernel trains this run with the same parameters: this one keeps no checkpoint.")
            return None
        path.with_name(f"{path.name}.tmp").unlink(missing_ok=True)  # half of one, of a disk that was full
        if path.is_file():
            check_state(path)
        if path.is_file() and self.context["profile"] == "scratch":
            print(f"A training of this run that was interrupted goes on; to start anew, delete "
                  f"{path.relative_to(self.project.root)}")
        return path

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
        has a row in any case, and one that is not finite for no such reason is shown as it is."""
        rows = []
        for name, entry in self._metric_table().items():
            value = metrics.get(name, nan)
            finite, excuse = isfinite(value), entry.get("absent")
            if finite or excuse or name in metrics:
                rows.append((metric_heading(name, entry),
                             format(value, entry.get("format", ".4g")) if finite else "n/a" if excuse else str(value),
                             entry.get("definition", "") + (f". {excuse}" if excuse and not finite else "")))
        return pd.DataFrame(rows or [("no metric", "n/a", "")], columns=["Metric", "Value", "Definition"])

    def save_samples(self, tiles: np.ndarray, columns: Sequence[str], rows: Sequence[Mapping]) -> None:
        """Keep picture rows (R, C, H, W, 3) uint8 with the record, at most 150 KiB (see `Samples`)."""
        Samples(tiles, list(columns), [dict(row) for row in rows]).save(self.folder)

    def finish(self, metrics: Mapping[str, float], history=None, split: str = "test", n: int = 0,
               model=None, notes: Mapping[str, Any] | None = None) -> Record:
        """Write the record, last and atomically.

        Args:
            metrics: Name -> value; unit and direction come from the family's `metrics.yml`. One that is not finite is
                left out, and named in the notes unless it says there why it can be `absent`. One that is measured on
                other images than the rest says so there, by a `split` and an `n` of its own.
            history: What `fit` returned.
            split: Which split the metrics were measured on, and `n` on how many images.
            model: If given, its weights are kept under the run's key and their digest is recorded.
            notes: A few more facts (counts, events); JSON values.

        Errors: ValueError if weights are NaN: training has diverged.
        """
        meanings = self._metric_table()
        odd = [name for name, value in metrics.items()
               if not isfinite(value) and "absent" not in meanings.get(name, {})]
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
            "notes": dict(notes or {}) | ({"not_finite": odd} if odd else {}),
        }
        record["commit"], record["dirty"] = git_state(self.project.root)
        if history is not None:
            history.save(self.folder / "history.csv")
        record["files"] = digests(self.folder)
        if model is not None:
            record["weights"] = self._save_weights(model)
        share_cache()
        if self.context["profile"] != "scratch":
            check_sizes(self.folder)
        write_json(self.folder / "record.json", record)
        if self.context["profile"] == "scratch":
            if self.lock.is_locked:
                Path(self.lock.lock_file).with_suffix(".pt").unlink(missing_ok=True)
                self.lock.release(force=True)
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
        from safetensors.torch import save_file

        tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
        lost = [key for key, value in tensors.items() if (value != value).any()]
        if lost:
            raise ValueError(f"{self.name}: training has diverged, {lost[0]} is NaN; no record is written")
        self.project.weights.mkdir(parents=True, exist_ok=True)
        path = self.project.weights / f"{self.context['key']}.safetensors"
        with replaced(path) as partial:
            save_file(tensors, partial)
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
