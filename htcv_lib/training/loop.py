"""The training loop that every report shares, and its line of progress."""

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from torch import nn

from htcv_lib.training.checkpoint import WeightAverage, load_checkpoint, save_checkpoint
from htcv_lib.training.device import seed_everything
from htcv_lib.training.history import History, summary_writer
from htcv_lib.training.phase import Accumulator, Batch, Phase, device_of

# One line of progress: a bar where someone watches, a throttled line of text where a file does.

EVERY_S = 10.0  # between two lines of text


def make_progress(kind: str | bool | None, total: int, done: int = 0) -> "TextProgress":
    """What shows the steps of a training.

    Args:
        kind: "text", "bar", False or None for silence, or "auto": text where HTCV_BATCH=1 (set for unattended
            runs) or where output goes to a file, otherwise a bar.
        total: Steps of the whole training; `done` of them before this process.
    """
    if kind == "auto":
        kind = "bar" if os.environ.get("HTCV_BATCH") != "1" and (in_notebook() or sys.stderr.isatty()) else "text"
    if kind == "bar":
        return BarProgress(total, done)
    if kind == "text":
        return TextProgress(total, done)
    if not kind:
        return TextProgress(total, done, say=lambda line: None)
    raise ValueError(f'progress must be "auto", "text", "bar" or False, got {kind!r}')


class TextProgress:
    """Prints at most one line in ten seconds, and one at the end of the training."""

    def __init__(self, total: int, done: int = 0, say: Callable[[str], None] | None = None,
                 clock: Callable[[], float] = time.monotonic):
        self.total, self.start, self.done = total, done, done
        self.say = say or (lambda line: print(line, flush=True))
        self.clock, self.begin = clock, clock()
        self.spoke, self.note = self.begin, ""

    def step(self) -> None:
        """One more step is under way on the device."""
        self.done += 1
        if self.clock() - self.spoke >= EVERY_S:
            self._speak()

    def epoch(self, number: int, note: str) -> None:
        """An epoch was measured; the note goes into the lines that follow."""
        self.note = f"epoch {number}, {note}"
        if self.done >= self.total or self.clock() - self.spoke >= EVERY_S:
            self._speak()

    def close(self) -> None:
        """Nothing more follows."""

    def _speak(self) -> None:
        self.spoke = self.clock()
        spent = self.spoke - self.begin
        left = spent * (self.total - self.done) / max(1, self.done - self.start)
        times = f"{clock_time(spent)} elapsed, {clock_time(left)} left"
        self.say(", ".join(filter(None, [f"step {self.done} of {self.total}", self.note, times])))


class BarProgress(TextProgress):
    """A tqdm bar; a widget in a notebook that has ipywidgets."""

    def __init__(self, total: int, done: int = 0):
        super().__init__(total, done)
        if in_notebook() and importlib.util.find_spec("ipywidgets"):
            from tqdm.notebook import tqdm
        else:
            from tqdm import tqdm
        self.bar = tqdm(total=total, initial=done, unit="step", mininterval=0.5)

    def step(self) -> None:
        self.bar.update()

    def epoch(self, number: int, note: str) -> None:
        self.bar.set_postfix_str(f"epoch {number}, {note}")

    def close(self) -> None:
        self.bar.close()


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    return "ipykernel" in sys.modules and "IPython" in sys.modules


def clock_time(seconds: float) -> str:
    """75 -> "1:15"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


# The training loop that every family shares.


def fit(
    phases: Sequence[Phase],
    batches: Iterable[Batch],
    *,
    epochs: int | None = None,
    steps: int | None = None,
    evaluate: Callable[[], Mapping[str, float]] | None = None,
    evaluate_every: int = 1,
    ema: WeightAverage | float | None = None,
    amp: bool | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 1,
    models: Mapping[str, nn.Module] | None = None,
    progress: str | bool | None = "auto",
    tensorboard: str | Path | None = None,
    seed: int = 0,
) -> History:
    """Train: each step takes one batch and lets every phase, in order, make its updates.

    Within an epoch the device is never waited for, except where a phase's `repeat` is a rule.

    Args:
        batches: Iterating once is one epoch; yields dicts of tensors. `state_dict` and `load_state_dict`, where it
            has them, make a resumed training draw the batches that would have come.
        epochs, steps: Stop after so many, whichever comes first; give at least one.
        evaluate: Returns metrics, recorded as `val/<name>`, after every `evaluate_every` epochs and the last.
        ema: A `WeightAverage`, or a decay to average all `models`. Evaluation sees the averaged weights, and the
            models keep them when `fit` returns.
        amp: bfloat16 autocast; by default on CUDA only.
        checkpoint: File that holds the whole state after every `checkpoint_every` epochs and the last. Where it
            exists, training goes on from it, and a finished one returns at once with its weights and history.
        models: By name; needed for a checkpoint or an `ema` decay. They are put into training mode.
        progress: "auto", "text", "bar" or False.
        tensorboard: Folder for an event file; needs the package tensorboard.
        seed: Of the global generators (dropout, noise); the order of the batches has its own.

    Errors: NonFiniteLoss, after the epoch (with a repeat rule: the step) in which it occurred; the checkpoint keeps
    the last finite epoch.
    """
    models = dict(models or {})
    total = total_steps(batches, epochs, steps)
    if len({phase.name for phase in phases}) < len(phases) or not phases:
        raise ValueError(f"phases need different names, got {[phase.name for phase in phases]}")
    if (checkpoint is not None or isinstance(ema, float)) and not models:
        raise ValueError("a checkpoint or an ema decay needs models={name: module}")
    average = WeightAverage(nn.ModuleDict(models), ema) if isinstance(ema, float) else ema
    checkpoint = None if checkpoint is None else Path(checkpoint)

    seed_everything(seed)
    history, epoch, step = History(), 0, 0
    if checkpoint is not None and checkpoint.exists():
        epoch, step = load_checkpoint(checkpoint, history, phases, batches, models, average)
        if step < total:
            history.events.append({"event": "resumed", "epoch": epoch, "step": step})
    writer = summary_writer(tensorboard) if tensorboard is not None and step < total else None
    shown = make_progress(progress if step < total else False, total, step)
    try:
        while step < total:
            epoch += 1
            begin, start = time.perf_counter(), step
            for model in models.values():
                model.train()
            step, images, updates = train_epoch(
                phases, batches, history, epoch, step, total, average, amp, checkpoint, shown.step
            )
            if step == start:
                raise ValueError("batches yielded nothing")
            means = history.close_epoch(epoch, checkpoint)  # waits for the device
            spent = time.perf_counter() - begin
            history.train_s += spent

            row = {"epoch": epoch, "step": step, "images_per_s": images / spent} | means
            for phase in phases:
                row["lr" if len(phases) == 1 else f"lr/{phase.name}"] = float(phase.optimizer.param_groups[0]["lr"])
                if callable(phase.repeat):
                    row[f"train/{phase.name}/repeat"] = updates[phase.name] / (step - start)
            if evaluate is not None and (epoch % evaluate_every == 0 or step >= total):
                with average.applied() if average else nullcontext():
                    row |= {f"val/{name}": float(value) for name, value in evaluate().items()}
            history.rows.append(row)
            step_plateaus(phases, row)
            if checkpoint is not None and (epoch % checkpoint_every == 0 or step >= total):
                save_checkpoint(checkpoint, epoch, step, history, phases, batches, models, average)
            if writer is not None:
                for name, value in row.items():
                    writer.add_scalar(name, value, step)
            shown.epoch(epoch, summary(row))
    finally:
        shown.close()
        if writer is not None:
            writer.close()
    if average is not None:
        average.copy_to_model()
    return history


def train_epoch(phases: Sequence[Phase], batches: Iterable[Batch], history: History, epoch: int, step: int, total: int,
                average: WeightAverage | None, amp: bool | None, checkpoint: Path | None,
                shown: Callable[[], None]) -> tuple[int, int, dict[str, int]]:
    """One pass over the batches, or what is left of it; returns the step, images seen and updates by phase."""
    gathering = {phase.name: Accumulator(phase) for phase in phases}
    updates = {phase.name: 0 for phase in phases}
    decided = any(callable(phase.repeat) for phase in phases)
    images = 0

    def note(phase: Phase, terms: dict | None) -> None:
        if terms is not None:
            history.record(step, phase.name, terms)
            updates[phase.name] += 1

    for batch in batches:
        step += 1
        images += len(next(iter(batch.values())))
        mixed = device_of(batch).type == "cuda" if amp is None else amp
        before = sum(updates.values())
        for phase in phases:
            for _ in range(phase.repeat(history) if callable(phase.repeat) else phase.repeat):
                note(phase, gathering[phase.name].add(batch, mixed))
        if decided:
            history.check(epoch, checkpoint)
        if average is not None and sum(updates.values()) > before:
            average.update()
        shown()
        if step >= total:
            break
    before = sum(updates.values())
    for phase in phases:
        note(phase, gathering[phase.name].flush())
    if average is not None and sum(updates.values()) > before:
        average.update()
    return step, images, updates


def total_steps(batches: Iterable[Batch], epochs: int | None, steps: int | None) -> int:
    """Steps of the whole training; an epoch is `len(batches)` of them."""
    if epochs is None and steps is None:
        raise ValueError("give epochs, steps or both")
    limits = [] if steps is None else [steps]
    if epochs is not None:
        limits.append(epochs * len(batches))
    return min(limits)


def step_plateaus(phases: Sequence[Phase], row: Mapping[str, float]) -> None:
    """Tell the schedulers that wait for a measured value; not in epochs that did not measure it."""
    for phase in phases:
        column = phase.monitor or f"train/{phase.name}/loss"
        if phase.plateau and column in row:
            phase.scheduler.step(row[column])


def summary(row: Mapping[str, float]) -> str:
    """The losses of an epoch, one metric and the speed, for the progress line."""
    trained = [name for name in row if name.startswith("train/") and name.endswith("/loss")]
    losses = [f"{name.split('/')[1]} loss {row[name]:.4g}" for name in trained]
    metric = next((f"{name} {row[name]:.4g}" for name in row if name.startswith("val/")), None)
    return ", ".join(filter(None, [*losses, metric, f"{row['images_per_s']:.3g} images/s"]))
