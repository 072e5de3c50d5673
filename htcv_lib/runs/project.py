"""Where things lie in a checkout: the one place that knows the folder names."""

import os
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Project:
    """A checkout of the report book, found by its folders `notebooks` and `data_manifests`."""

    root: Path

    @classmethod
    def find(cls, start: Path | str | None = None) -> "Project":
        """The project that contains `start` (default: `HTCV_ROOT`, the working folder, this package).

        Errors: FileNotFoundError if none of them lies in a project.
        """
        starts = [start] if start else [os.environ.get("HTCV_ROOT"), Path.cwd(), Path(__file__).parent]
        for place in filter(None, starts):
            for folder in (Path(place).resolve(), *Path(place).resolve().parents):
                if (folder / "notebooks").is_dir() and (folder / "data_manifests").is_dir():
                    return cls(folder)
        raise FileNotFoundError("no notebooks and data_manifests here or above: not inside a report book")

    @property
    def tables(self) -> dict[str, Path]:
        """Family -> its table of runs, in the order of `_toc.yml`; a family that is not there yet comes last."""
        contents = self.root / "_toc.yml"
        text = contents.read_text(encoding="utf-8") if contents.is_file() else ""
        parts = list(dict.fromkeys(re.findall(r"book/pages/(\w+)/", text)))

        def place(path: Path) -> tuple[int, str]:
            family = path.parent.name
            return (parts.index(family) if family in parts else len(parts)), family

        return {path.parent.name: path for path in sorted(self.notebooks.glob("*/runs.yml"), key=place)}

    def metrics(self, family: str) -> Path:
        """What each number of a family means."""
        return self.notebooks / family / "metrics.yml"

    @property
    def notebooks(self) -> Path:
        return self.root / "notebooks"

    @property
    def package(self) -> Path:
        return self.root / "htcv_lib"

    @property
    def manifests(self) -> Path:
        return self.root / "data_manifests"

    @property
    def references(self) -> Path:
        """Committed records, one folder per run."""
        return self.root / "book" / "runs"

    @property
    def claims(self) -> Path:
        """What the reports conclude: one file a family, see `claims_of`."""
        return self.root / "book" / "claims"

    def claims_of(self, family: str) -> Path:
        """The claims of one family; there need not be any."""
        return self.claims / f"{family}.yml"

    @property
    def pages(self) -> Path:
        """Pages of the present build; ignored by git."""
        return self.root / "book" / "pages"

    @property
    def built(self) -> Path:
        """What this machine executed; ignored by git."""
        return self.root / "runs"

    @property
    def staging(self) -> Path:
        return self.built / "staging"

    @property
    def scratch(self) -> Path:
        return self.built / "scratch"

    @property
    def resume(self) -> Path:
        """Training states, by result key: a killed run goes on from here."""
        return self.built / "resume"

    @property
    def weights(self) -> Path:
        """Trained weights, by result key; shared by all checkouts of this user."""
        cache = os.environ.get("HTCV_CACHE") or Path.home() / ".cache" / "htcv"
        return Path(cache) / "checkpoints"

    def reference(self, profile: str, name: str) -> Path:
        return self.references / profile / name
