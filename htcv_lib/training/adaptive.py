"""The report's adaptive GAN training: watch the discriminator, train the side that loses, pause the one that wins.

The report measures the batch before every update of the discriminator and ends with the first update that began above
the lower limit, if enough real pictures passed as real. Here a step's decision rests on the last measurements of the
generator's updates, those of the step before: its objective scores generated and real pictures even while the
discriminator pauses. So the number of updates is fixed beforehand: 1 above that limit, on the same condition, else the
most. Both measure with the discriminator in training mode; the report's pictures all carry the instance noise, here
only the generated ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan

import pandas as pd

from htcv_lib.training.history import History

COUNTED = ("paused", "extra_discriminator", "extra_generator", "steps")


@dataclass(frozen=True)
class Balance:
    """Who is trained how often, from the discriminator's accuracy. The defaults are those of models 2 and 3.

    Give `balance.discriminator_repeat` and `balance.generator_repeat` to two phases as their `repeat`, the
    discriminator's phase first; then `balance_frame(history)` says what they did.

    Args:
        low: Accuracy up to which the discriminator gets `most` updates in a step.
        high: Accuracy from which it pauses, and the generator gets `boost` updates.
        real_floor: It does not pause, and gets `most` updates, while fewer of the real pictures pass as real,
        gap: nor does it pause while its accuracies on real and generated pictures differ by more.
        ceiling: Accuracy beyond which it pauses whatever the two say.
        window: Updates the accuracies are averaged over; the report has 1.
        watched: Phase whose objective measures `real_accuracy` and `fake_accuracy` at every step.
    """

    low: float = 0.65
    high: float = 0.90
    real_floor: float = 0.45
    gap: float = 0.4
    ceiling: float = 0.98
    most: int = 3
    boost: int = 2
    window: int = 1
    watched: str = "generator"

    def discriminator_updates(self, real: float, fake: float) -> int:
        """Updates for these accuracies on real and generated pictures; 1 when they are not known (NaN)."""
        accuracy = (real + fake) / 2
        if isnan(accuracy):
            return 1
        losing = accuracy < self.high or real < self.real_floor or abs(real - fake) > self.gap
        if not losing or accuracy > self.ceiling:
            return 0
        return 1 if accuracy > self.low and real >= self.real_floor else self.most

    def generator_updates(self, real: float, fake: float) -> int:
        """As `discriminator_updates`, of the other side."""
        return self.boost if (real + fake) / 2 >= self.high else 1

    def discriminator_repeat(self, history: History) -> int:
        """The rule of the discriminator's phase. Counts the step and what is done in it."""
        measured = self.accuracies(history)
        updates, boost = self.discriminator_updates(*measured), self.generator_updates(*measured)
        note(history, paused=updates == 0, extra_discriminator=max(updates - 1, 0), extra_generator=boost - 1, steps=1)
        return updates

    def generator_repeat(self, history: History) -> int:
        """The rule of the generator's phase."""
        return self.generator_updates(*self.accuracies(history))

    def accuracies(self, history: History) -> tuple[float, float]:
        """The last measured accuracies on real and on generated pictures; NaN before any."""
        real, fake = (history.last(f"{self.watched}/{which}_accuracy", self.window) for which in ("real", "fake"))
        return real, fake


BALANCES = {"g1": Balance(low=0.70, high=0.85, gap=0.3, ceiling=0.95, most=4, boost=1), "g2": Balance(),
            "g3": Balance()}  # the report's settings for its models


def make_balance(name: str) -> Balance | None:
    """The report's rules for its model "g1", "g2" or "g3"; None for "", one update each."""
    if name and name not in BALANCES:
        raise ValueError(f"balance must be one of {', '.join(BALANCES)} or empty, got {name!r}")
    return BALANCES[name] if name else None


def during(epochs: int) -> Callable[[History], int]:
    """The repeat rule of a phase that makes one update a step in the first `epochs` and none later: a warm-up."""
    return lambda history: int(len(history.rows) < epochs)


def after(epochs: int, repeat: int | Callable[[History], int] = 1) -> Callable[[History], int]:
    """The repeat rule of a phase that waits for the first `epochs` to pass and then does as `repeat` says."""
    return lambda history: 0 if len(history.rows) < epochs else repeat(history) if callable(repeat) else repeat


def note(history: History, **counts: int) -> None:
    """Add to the counts of the epoch under way, kept as one of the history's events."""
    epoch = len(history.rows) + 1
    if not history.events or (history.events[-1]["event"], history.events[-1]["epoch"]) != ("balance", epoch):
        step = history.rows[-1]["step"] if history.rows else 0
        history.events.append({"event": "balance", "epoch": epoch, "step": step} | dict.fromkeys(COUNTED, 0))
    event = history.events[-1]
    for name, value in counts.items():
        event[name] += int(value)


def balance_frame(history: History) -> pd.DataFrame:
    """`history.frame()` with a column for each kind of intervention, as a share of the epoch's steps.

    balance/paused (the discriminator was not trained), balance/extra_discriminator and balance/extra_generator (updates
    beyond one, per step); NaN in epochs without such rules.
    """
    rows = [{"epoch": event["epoch"]} | {f"balance/{name}": event[name] / event["steps"] for name in COUNTED[:-1]}
            for event in history.events if event["event"] == "balance"]
    columns = ["epoch", *(f"balance/{name}" for name in COUNTED[:-1])]
    return history.frame().merge(pd.DataFrame(rows, columns=columns), on="epoch", how="left")


def balance_summary(history: History) -> dict[str, float]:
    """The interventions of a whole training, per step that was under these rules; empty if none was.

    paused: share of the steps without an update of the discriminator; extra_discriminator and extra_generator: updates
    beyond one.
    """
    events = [event for event in history.events if event["event"] == "balance"]
    steps = sum(event["steps"] for event in events)
    return {name: sum(event[name] for event in events) / steps for name in COUNTED[:-1]} if steps else {}
