"""One line of progress: a bar where someone watches, a throttled line of text where a file does."""

import importlib.util
import os
import sys
import time
from collections.abc import Callable

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
