"""Records: one JSON per run, the only source of numbers in the book."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from math import isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from htcv_lib.runs.plan import PROFILES, REFERENCE_PROFILES, Book, Family, split_name
from htcv_lib.runs.project import Project

SCHEMA = 1
KEPT = ("history.csv", "samples.webp", "samples.json")  # beside a record; it holds their digests
RESTORE = "restore it from git, or delete its folder"
FIELDS = {"schema", "run", "profile", "key", "parts", "parameters", "device", "finished", "wall_s", "commit", "metrics"}
INNERMOST = re.compile(r'(?:\{|\[)(?:[^{}\[\]"]|"(?:[^"\\]|\\.)*")*(?:\}|\])')  # strings may hold brackets
BUFFERS = {"running_mean", "running_var", "num_batches_tracked", "mean", "std"}  # in a state, and not trained
MAX_BYTES = {"record.json": 12 * 1024, "history.csv": 50 * 1024, "samples.webp": 150 * 1024,
             "weights.safetensors": 4300 * 1024}


@dataclass(frozen=True)
class Metric:
    """One measured number and what it means."""

    value: float
    unit: str = ""  # "fraction", "dB", "nats", ...
    better: str = "higher"  # or "lower"
    split: str = "test"
    n: int = 0  # images it was measured on


@dataclass(frozen=True)
class Samples:
    """Picture rows of a run: tiles (R, C, H, W, 3) uint8, a name per column, a dict per row.

    Saved as lossless WebP, a quarter to a third smaller than PNG.
    A sheet too large for a record is kept in coarser levels, 2 apart or 4; its index then says `levels_apart`.
    """

    tiles: np.ndarray
    columns: list[str]
    rows: list[dict]

    def save(self, folder: Path) -> None:
        rows, columns, height, width, _ = self.tiles.shape
        sheet = self.tiles.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
        sheet = sheet[..., 0] if (sheet == sheet[..., :1]).all() else sheet
        index = {"columns": self.columns, "rows": self.rows, "tile": [height, width]}
        path = folder / "samples.webp"
        for apart in (1, 2, 4):
            levels = sheet if apart == 1 else (np.rint(sheet / apart) * apart).clip(0, 255).astype(np.uint8)
            Image.fromarray(levels).save(path, lossless=True, quality=80, method=6)  # quality: how hard it tries
            if path.stat().st_size <= MAX_BYTES[path.name]:
                break
        write_json(folder / "samples.json", index if apart == 1 else index | {"levels_apart": apart})

    @classmethod
    def load(cls, folder: Path) -> "Samples":
        index = read_json(folder / "samples.json")
        sheet = np.asarray(Image.open(folder / "samples.webp").convert("RGB"))
        height, width = index["tile"]
        rows, columns = len(index["rows"]), len(index["columns"])
        tiles = sheet.reshape(rows, height, columns, width, 3).transpose(0, 2, 1, 3, 4)
        return cls(tiles, index["columns"], index["rows"])


@dataclass(frozen=True)
class Record:
    """What one run measured, with everything needed to trust it or repeat it."""

    folder: Path
    data: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path) -> "Record":
        """Errors: ValueError, one line that names the file, for what is no record."""
        path = folder / "record.json"
        data = read_json(path)
        lacks = FIELDS - set(data) if isinstance(data, dict) else FIELDS
        if lacks or data["schema"] != SCHEMA:
            wrong = f"it has no {min(lacks)}" if lacks else f"its schema is {data['schema']!r}, not {SCHEMA}"
            raise ValueError(f"{path} is no record: {wrong}; {RESTORE}")
        return cls(folder, data)

    def check(self) -> None:
        """Errors: ValueError, one line that names the file, if it does not lie where its name says, a metric is no
        number, or a file beside it is not the one that it was written with."""
        path = self.folder / "record.json"
        if self.profile not in PROFILES or self.folder.parts[-4:] != (self.profile, *str(self.run).split("/")):
            raise ValueError(f"{path} says it is {self.profile}/{self.run}, and lies elsewhere; {RESTORE}")
        try:
            odd = [name for name, metric in self.metrics.items() if not isfinite(metric.value)]
        except (AttributeError, TypeError) as error:
            odd = [str(error)]
        if odd:
            raise ValueError(f"{path}: metrics: {odd[0]} is no number; {RESTORE}")
        present = digests(self.folder)
        for name, known in self.data.get("files", {}).items():
            if present.get(name) != known:
                wrong = "not what its record says" if name in present else "missing"
                raise ValueError(f"{self.folder / name} is {wrong}; {RESTORE}")

    @property
    def run(self) -> str:
        return self.data["run"]

    @property
    def family(self) -> str:
        return split_name(self.run)[0]

    @property
    def variant(self) -> str:
        return split_name(self.run)[1]

    @property
    def seed(self) -> int:
        return split_name(self.run)[2]

    @property
    def profile(self) -> str:
        return self.data["profile"]

    @property
    def dataset(self) -> str:
        return str(self.data["parameters"].get("dataset", ""))

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.data["parameters"])

    @property
    def device(self) -> str:
        return self.data["device"]

    @property
    def finished(self) -> str:
        """UTC, ISO 8601."""
        return self.data["finished"]

    @property
    def wall_s(self) -> float:
        return float(self.data["wall_s"])

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        return {name: Metric(**fields) for name, fields in self.data["metrics"].items()}

    def value(self, metric: str) -> float:
        """Errors: KeyError naming the metrics there are."""
        if metric not in self.metrics:
            raise KeyError(f"{self.run} has no metric {metric!r}; it has {', '.join(self.metrics)}")
        return self.metrics[metric].value

    def history(self) -> pd.DataFrame:
        """One row an epoch."""
        return pd.read_csv(self.folder / "history.csv")

    def samples(self) -> Samples:
        return Samples.load(self.folder)

    @property
    def tables(self) -> list[Path]:
        """The CSV behind each figure and table of the run's page."""
        return sorted(path for path in self.folder.glob("*.csv") if path.name != "history.csv")


class Results:
    """All records of one family: references, this machine's builds, scratch runs."""

    def __init__(self, family: str, project: Project | None = None):
        self.project = project or Project.find()
        self.family = Book.load(self.project).families[family]

    @cached_property
    def all_references(self) -> list[Record]:
        """Every reference of every profile, the largest first, in the order of `runs.yml`."""
        return [record for profile in REFERENCE_PROFILES for record in self.of_profile(profile)]

    @cached_property
    def references(self) -> list[Record]:
        """The one reference of each run that tables compare: `full` replaces `laptop`, where `one_size` says so when
        all of them can. Those of other sizes stand beside them, see `of_profile`."""
        full, laptop = ({record.run: record for record in self.of_profile(name)} for name in ("full", "laptop"))
        behind = {self.family.compared(laptop[run].variant) for run in set(laptop) - set(full)} - {""}
        ready = {run: record for run, record in full.items() if self.family.compared(record.variant) not in behind}
        return sorted((laptop | ready).values(), key=lambda record: (self._place(record), record.seed))

    def of_profile(self, profile: str) -> list[Record]:
        """All references of one profile, in the order of `runs.yml`."""
        found = records_below(self.project.references / profile / self.family.name)
        return sorted(found, key=lambda record: (self._place(record), record.seed))

    def seed_values(self, variant: str, metric: str, profile: str) -> dict[int, float]:
        """Seed -> value over the references of one profile."""
        return {record.seed: record.value(metric) for record in self._by_variant.get((variant, profile), ())
                if metric in record.metrics}

    @cached_property
    def _by_variant(self) -> dict[tuple[str, str], list[Record]]:
        found: dict[tuple[str, str], list[Record]] = {}
        for record in self.all_references:
            found.setdefault((record.variant, record.profile), []).append(record)
        return found

    @cached_property
    def built(self) -> list[Record]:
        """What this machine executed and still has, newest key of each run."""
        newest: dict[tuple[str, str], Record] = {}
        for profile in PROFILES:
            for record in records_below(self.project.built / profile / self.family.name):
                key = (record.profile, record.run)
                if key not in newest or record.finished > newest[key].finished:
                    newest[key] = record
        return list(newest.values())

    @cached_property
    def scratch(self) -> list[Record]:
        """Interactive runs, newest first."""
        found = records_below(self.project.scratch / self.family.name)
        return sorted(found, key=lambda record: record.finished, reverse=True)

    def reference(self, variant: str, seed: int = 0) -> Record:
        """Errors: KeyError if that run has no reference."""
        for record in self.references:
            if (record.variant, record.seed) == (variant, seed):
                return record
        raise KeyError(f"no reference of {self.family.name}/{variant}/s{seed}")

    def values(self, variant: str, metric: str, profile: str | None = None) -> dict[int, float]:
        """Seed -> value over the references of one profile (default: the strongest it has)."""
        records = [record for record in self.references
                   if record.variant == variant and metric in record.metrics]
        present = [name for name in REFERENCE_PROFILES if any(r.profile == name for r in records)]
        wanted = profile or (present[0] if present else "")
        return {record.seed: record.value(metric) for record in records if record.profile == wanted}

    def frame(self, records: list[Record] | None = None) -> pd.DataFrame:
        """Tidy table: run, variant, title, role, seed, profile, dataset, device, wall_s and every metric."""
        variants = self.family.variants
        return pd.DataFrame([
            {
                "run": record.run,
                "variant": record.variant,
                "title": variants.get(record.variant, {}).get("title", record.variant),
                "role": self.family.role(record.variant) if record.variant in variants else "",
                "seed": record.seed,
                "profile": record.profile,
                "dataset": record.dataset,
                "device": record.device,
                "wall_s": record.wall_s,
                **{name: metric.value for name, metric in record.metrics.items()},
            }
            for record in (self.references if records is None else records)
        ])

    def _place(self, record: Record) -> int:
        order = list(self.family.variants)
        return order.index(record.variant) if record.variant in order else len(order)


def share_of_report(record: Record, family: Family) -> float | None:
    """The compute of a training as a share of the report's own: pictures seen, times their pixels, times the weights.

    What the report had stands in `runs.yml` under `report`: pattern of variants -> {pictures, side, weights_m}. A rough
    measure: networks of one plan spend about as much a weight and a pixel. None for what was not trained.
    """
    wanted = next((size for pattern, size in (family.table.get("report") or {}).items()
                   if fnmatch(record.variant, pattern)), None)
    notes, history = record.data.get("notes", {}), record.folder / "history.csv"
    parts = [count for name, count in notes.items() if name.endswith("_parameters") and "discriminator" not in name]
    weights = notes.get("parameters_m") or sum(parts) / 1e6
    if not (wanted and weights and history.is_file()):
        return None
    steps = float(record.history()["step"].iloc[-1])
    pictures = steps * float(record.parameters.get("batch_size", 1))
    side = float(record.parameters.get("image_size", wanted["side"]))
    return pictures * side**2 * float(weights) / (wanted["pictures"] * wanted["side"] ** 2 * wanted["weights_m"])


def find_weights(record: Record, project: Project) -> Path:
    """The weights of a reference: committed beside it, or kept on this machine under its key.

    Errors: FileNotFoundError that says which command trains it; ValueError if the file is not the record's.
    """
    for said, path in (("published", record.folder / "weights.safetensors"),
                       ("weights", project.weights / f"{record.data['key']}.safetensors")):
        if said in record.data and path.is_file():
            if hashlib.sha256(path.read_bytes()).hexdigest() != record.data[said]["sha256"]:
                raise ValueError(f"{path} holds other weights than {record.run}/record.json says; restore or delete it")
            return path
    if not {"published", "weights"} & set(record.data):
        raise FileNotFoundError(f"{record.run} trains no network: there are no weights of it")
    raise FileNotFoundError(f"no weights of {record.run} here: `htcv run {record.run} --profile {record.profile} "
                            "--force` trains it")


def count_parameters(weights: Path) -> int:
    """Trained numbers in a file of weights, without those that are only counted along, such as running means."""
    with weights.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(prod(entry["shape"]) for name, entry in header.items()
               if name != "__metadata__" and name.rpartition(".")[2] not in BUFFERS)


def publish_weights(record: Record, project: Project, part: str | bool, folder: Path) -> dict[str, Any]:
    """Write the weights of a run of this machine to `weights.safetensors` in float16, and say what was written.

    Args:
        part: True for all; or the name of the part that is published, "generator" of a game.
    """
    from safetensors.numpy import load_file, save

    tensors = load_file(project.weights / f"{record.data['key']}.safetensors")
    kept = {name: value.astype(np.float16) if value.dtype == np.float32 else value for name, value in tensors.items()
            if part is True or name.startswith(f"{part}.")}
    path = folder / "weights.safetensors"
    path.write_bytes(save(kept))
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "dtype": "float16"}


def records_below(folder: Path) -> list[Record]:
    """Every complete record below a folder, in path order."""
    return [Record.load(path.parent) for path in sorted(folder.rglob("record.json"))]


def digests(folder: Path) -> dict[str, str]:
    """History and samples that lie in a folder -> 16 hex digits of the SHA-256 of each."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16] for name in KEPT
            if (folder / name).is_file()}


def check_references(project: Project) -> None:
    """Errors: ValueError for the first reference that is damaged (see `Record.check`)."""
    for record in records_below(project.references):
        record.check()


def read_json(path: Path) -> Any:
    """Errors: ValueError, one line that names the file, for what is no JSON or says a thing twice."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_one_of_each)
    except ValueError as error:  # also what is no UTF-8
        raise ValueError(f"{path} cannot be read: {error}; {RESTORE}") from None


def _one_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"{next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))!r} "
                         "stands in it twice")
    return dict(pairs)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically (see `replaced`). What holds no list or mapping is one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = INNERMOST.sub(lambda found: re.sub(r"\n *", " ", found.group()), text)
    with replaced(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A file to write to that takes the place of `path` inside the `with`'s end: a reader sees the old one or the new.

    Errors: OSError that names the file and the room left where it lies; no half of a file stays.
    """
    partial = path.with_name(f"{path.name}.part")
    try:
        yield partial
        os.replace(partial, path)
    except Exception as error:  # safetensors and torch have types of their own
        free = shutil.disk_usage(path.parent).free / 2**20
        raise OSError(f"cannot write {path} ({error}); {free:.0f} MiB are left there") from error
    finally:
        partial.unlink(missing_ok=True)


def check_sizes(folder: Path) -> None:
    """Errors: ValueError naming the file of a record that is larger than a reference may be."""
    for name, limit in MAX_BYTES.items():
        path = folder / name
        if path.exists() and path.stat().st_size > limit:
            raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes, a reference may have {limit:,}")
