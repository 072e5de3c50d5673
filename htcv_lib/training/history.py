"""What a training measured: one row an epoch, the steps of the epoch under way, and its TensorBoard events."""

from collections import deque
from math import isfinite
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor


def summary_writer(folder: str | Path):
    """A TensorBoard writer; the package is imported only here."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))


# What a training measured: one row an epoch, and the steps of the epoch under way.

FIRST = 20  # step losses kept from the very start; a run's fingerprint
WINDOW = 100  # updates a repeat rule can look back on


class NonFiniteLoss(FloatingPointError):
    """The loss, or its gradient's norm, became infinite or NaN. Carries the history so far.

    Attributes: phase, epoch, step (both from 1), terms (name -> value), last_finite (loss of the phase's update
    before, or None), history.
    """

    def __init__(self, history: "History", phase: str, epoch: int, step: int, terms: dict[str, float],
                 last_finite: float | None, checkpoint: Path | None = None):
        self.history, self.phase, self.epoch, self.step = history, phase, epoch, step
        self.terms, self.last_finite = terms, last_finite
        values = ", ".join(f"{name} = {value:.6g}" for name, value in terms.items())
        before = "none before it" if last_finite is None else f"the last finite loss was {last_finite:.6g}"
        kept = f"; the checkpoint of the last finite epoch is {checkpoint}" if checkpoint else ""
        super().__init__(f"phase {phase!r}, epoch {epoch}, step {step}: {values}; {before}{kept}")


class History:
    """Rows of measurements, and what the last updates measured.

    Attributes:
        rows: One dict an epoch; the columns are those of `frame`.
        events: What happened besides: stops and resumptions, each a dict with "event", "epoch", "step".
        first_losses: Losses of the first 20 steps that updated something, summed over a step's updates.
        train_s: Seconds spent training, without evaluation and checkpoints, over all resumptions.
    """

    def __init__(self):
        self.rows: list[dict[str, float]] = []
        self.events: list[dict] = []
        self.first_losses: list[float] = []
        self.train_s = 0.0
        self._recent: dict[str, deque[float]] = {}  # "phase/term" -> newest values of the epochs before
        self._names: dict[str, list[str]] = {}  # phase -> its terms, in the order they are stacked
        self._updates: dict[str, list[tuple[int, Tensor]]] = {}  # phase -> (step, (terms,) tensor), this epoch

    def frame(self) -> pd.DataFrame:
        """One row an epoch: epoch and step (both from 1), images_per_s, `train/<phase>/<term>` (means over the epoch's
        updates) with `grad_norm` before clipping, `val/<metric>` where evaluated, lr (`lr/<phase>` if several)."""
        return pd.DataFrame(self.rows)

    def save(self, path: str | Path) -> None:
        """Write the frame as CSV, floats so that they read back exactly."""
        self.frame().to_csv(path, index=False)

    def last(self, name: str, count: int = 1) -> float:
        """Mean of "phase/term" over the last `count` updates (fewer at the start; NaN before any).

        For repeat rules: waits until the device has computed it. At most 100 updates back.
        """
        if not 1 <= count <= WINDOW:
            raise ValueError(f"count must be in 1..{WINDOW}, got {count}")
        phase, _, term = name.partition("/")
        values = list(self._recent.get(name, ()))
        if term in self._names.get(phase, ()):
            place = self._names[phase].index(term)
            values += [update[place] for _, update in self._updates.get(phase, [])[-count:]]
        values = [float(value) for value in values[-count:]]
        return sum(values) / len(values) if values else float("nan")

    def record(self, step: int, phase: str, terms: dict[str, Tensor]) -> None:
        """Note one update without waiting for the device."""
        names = self._names.setdefault(phase, list(terms))
        if names != list(terms):
            raise ValueError(f"phase {phase!r} measured {list(terms)} after {names}")
        values = torch.stack([value.detach().float() for value in terms.values()])
        self._updates.setdefault(phase, []).append((step, values))

    def check(self, epoch: int, checkpoint: Path | None = None) -> None:
        """Read the newest step at once and raise `NonFiniteLoss` for a bad one; for phases with a repeat rule."""
        for phase, updates in self._updates.items():
            size = sum(1 for step, _ in updates[-WINDOW:] if step == updates[-1][0])
            newest = [(step, values.tolist()) for step, values in updates[-size - 1 :]]
            self._refuse_non_finite(phase, epoch, newest, checkpoint)

    def close_epoch(self, epoch: int, checkpoint: Path | None = None) -> dict[str, float]:
        """Read everything the epoch measured in one transfer a phase, and return the means by column.

        Errors: NonFiniteLoss, naming the first bad update.
        """
        means: dict[str, float] = {}
        read = {
            phase: list(zip([step for step, _ in updates], torch.stack([v for _, v in updates]).tolist(), strict=True))
            for phase, updates in self._updates.items() if updates
        }
        self._updates = {}
        self._note_first_losses(read)
        for phase, updates in read.items():
            self._refuse_non_finite(phase, epoch, updates, checkpoint)
            columns = zip(*(values for _, values in updates), strict=True)
            for name, values in zip(self._names[phase], columns, strict=True):
                means[f"train/{phase}/{name}"] = sum(values) / len(values)
                self._recent.setdefault(f"{phase}/{name}", deque(maxlen=WINDOW)).extend(values)
        return means

    def state_dict(self) -> dict:
        """Between epochs: plain numbers and lists, readable with `weights_only=True`."""
        return {
            "rows": self.rows, "events": self.events, "first_losses": self.first_losses, "train_s": self.train_s,
            "names": self._names, "recent": {name: list(values) for name, values in self._recent.items()},
        }

    def load_state_dict(self, state: dict) -> None:
        """Continue where `state_dict` was taken."""
        self.rows, self.events = state["rows"], state["events"]
        self.first_losses, self.train_s = state["first_losses"], state["train_s"]
        self._names, self._updates = state["names"], {}
        self._recent = {name: deque(values, WINDOW) for name, values in state["recent"].items()}

    def _note_first_losses(self, read: dict[str, list[tuple[int, list[float]]]]) -> None:
        sums: dict[int, float] = {}
        for phase, updates in read.items():
            place = self._names[phase].index("loss")
            for step, values in updates:
                sums[step] = sums.get(step, 0.0) + values[place]
        self.first_losses += [sums[step] for step in sorted(sums)][:FIRST - len(self.first_losses)]

    def _refuse_non_finite(self, phase: str, epoch: int, updates: list[tuple[int, list[float]]],
                           checkpoint: Path | None) -> None:
        names = self._names[phase]
        place, last_finite = names.index("loss"), None
        if self.rows:
            last_finite = self.rows[-1].get(f"train/{phase}/loss")
        for step, values in updates:
            if not (isfinite(values[place]) and isfinite(values[names.index("grad_norm")])):
                terms = dict(zip(names, values, strict=True))
                self.events.append({"event": "non-finite loss", "phase": phase, "epoch": epoch, "step": step,
                                    "last_finite": last_finite})
                raise NonFiniteLoss(self, phase, epoch, step, terms, last_finite, checkpoint)
            last_finite = values[place]
