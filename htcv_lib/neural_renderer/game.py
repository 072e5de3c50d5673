"""Training of networks that render: regression, the report's conditional GAN with its rules, pixel by pixel.

Batches are those of `SceneBatches`, with images in [0, 1]; generators draw in [-1, 1]. Generators and discriminators
are those of `htcv_lib.neural_renderer.networks`, or behave like them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isnan

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htcv_lib.neural_renderer.losses import masked_l1_loss, vgg_loss
from htcv_lib.training.evaluate import mean_scores, score_batches
from htcv_lib.training.history import History

Batch = dict[str, Tensor]
PixelLoss = Callable[[Tensor, Tensor], Tensor]
REAL_LABEL = 0.9  # one-sided label smoothing (Salimans et al., 2016, arXiv:1606.03498)
NOISE = 0.01  # standard deviation of the discriminator's instance noise
COLOUR_LOSSES = {"l1": F.l1_loss, "mse": F.mse_loss}


def picture_terms(pred: Tensor, target: Tensor, l1_weight: float = 1.0, object_weight: float = 10.0,
                  vgg_weight: float = 0.0, vgg: PixelLoss = vgg_loss) -> dict[str, Tensor]:
    """The weighted terms that compare pictures (B, 3, H, W) in [-1, 1]: masked_l1, and vgg if it has a weight."""
    terms = {"masked_l1": l1_weight * masked_l1_loss(pred, target, object_weight)}
    if vgg_weight:
        terms["vgg"] = vgg_weight * vgg(pred, target)
    return terms


def regression_objective(generator: nn.Module, batch: Batch, *, object_weight: float = 10.0, l1_weight: float = 1.0,
                         vgg_weight: float = 0.0, vgg: PixelLoss = vgg_loss) -> dict[str, Tensor]:
    """The generator alone: the report's warm-up, and what the task asks for, as it has one answer for each scene.

    Args:
        batch: input (B, 10), image (B, 3, H, W) in [0, 1].
        object_weight: Of the sphere's pixels above 1: 10 or 19 as in the report; 0 is the plain L1 loss.
        vgg_weight: The report tried 0.6; needs weights, see `vgg_loss`.

    Returns the weighted terms masked_l1 and vgg, and beside the loss `l1`, the plain mean error in [-1, 1].
    """
    target = 2 * batch["image"] - 1
    pred = generator(batch["input"]).float()
    terms = picture_terms(pred, target, l1_weight, object_weight, vgg_weight, vgg)
    return {"loss": sum(terms.values())} | terms | {"l1": F.l1_loss(pred, target)}


def generator_objective(generator: nn.Module, discriminator: nn.Module, batch: Batch, *, l1_weight: float = 20.0,
                        object_weight: float = 10.0, vgg_weight: float = 0.0, vgg: PixelLoss = vgg_loss,
                        noise: float = NOISE, watch: bool = True) -> dict[str, Tensor]:
    """The generator against the discriminator and towards the target (Isola et al., 2017, arXiv:1611.07004).

    Args:
        batch: input (B, 10), image (B, 3, H, W) in [0, 1].
        l1_weight: The report's lambda: 20 for its models 2 and 3, 30 for model 1.
        object_weight, vgg_weight: As in `regression_objective`.
        noise: Standard deviation of the noise on the generated pictures as the discriminator gets them, in [-1, 1]; 0
            for none. The real pictures of `watch` have none.
        watch: Also measure what the discriminator says of the real pictures, which `Balance` needs.

    Returns the weighted terms adversarial, masked_l1 and vgg, and beside the loss `l1`, `fake_accuracy` (share of the
    generator's pictures the discriminator rejects) and `real_accuracy`.
    """
    given, target = batch["input"], 2 * batch["image"] - 1
    pred = generator(given)
    judged = discriminator(pred + noise * torch.randn_like(pred), given).float()
    pred = pred.float()
    terms = {"adversarial": bce(judged, 1.0)}
    terms |= picture_terms(pred, target, l1_weight, object_weight, vgg_weight, vgg)
    beside = {"l1": F.l1_loss(pred, target), "fake_accuracy": (judged <= 0).float().mean()}
    if watch:
        with torch.no_grad():
            beside["real_accuracy"] = (discriminator(target, given) > 0).float().mean()
    return {"loss": sum(terms.values())} | terms | beside


def discriminator_objective(generator: nn.Module, discriminator: nn.Module, batch: Batch, *,
                            real_weight: float = 1.5, fake_weight: float = 0.5, real_label: float = REAL_LABEL,
                            noise: float = NOISE) -> dict[str, Tensor]:
    """Half the weighted sum of the cross-entropies of real and generated pictures, both under the same draw of noise.

    Args:
        batch: input (B, 10), image (B, 3, H, W) in [0, 1].
        real_weight, fake_weight: 1.5 and 0.5 in the report's models 2 and 3, 1 and 1 in model 1.
        real_label: Of real pictures, below 1 against overconfidence.
        noise: Standard deviation of the noise on its pictures, in [-1, 1]; 0 for none.

    Returns the weighted terms real and fake, and beside the loss `real_accuracy` and `fake_accuracy`.
    """
    given, target = batch["input"], 2 * batch["image"] - 1
    with torch.no_grad():
        made = generator(given).to(target.dtype)
    grain = noise * torch.randn_like(target)
    real, fake = (discriminator(image + grain, given).float() for image in (target, made))
    terms = {"real": real_weight / 2 * bce(real, real_label), "fake": fake_weight / 2 * bce(fake, 0.0)}
    return {"loss": sum(terms.values())} | terms | {"real_accuracy": (real > 0).float().mean(),
                                                   "fake_accuracy": (fake <= 0).float().mean()}


def coordinate_objective(net: nn.Module, batch: Batch, *, colour_loss: str = "l1",
                         colour_weight: float = 10.0) -> dict[str, Tensor]:
    """Is the sphere there, and which colour has it: sampled pixels of a `CoordinateNet`.

    Args:
        batch: scene (B, 10), position (B, K, 2), colour (B, K, 3) in [0, 1], mask (B, K) in {0, 1}.
        colour_loss: "l1" or "mse", mean over the pixels on the sphere.
        colour_weight: Of the colour's error against the cross-entropy of the mask.

    Returns the weighted terms mask and colour, and beside the loss `wrong`, the share of pixels misjudged.
    """
    if colour_loss not in COLOUR_LOSSES:
        raise ValueError(f"colour_loss must be one of {', '.join(COLOUR_LOSSES)}, got {colour_loss!r}")
    pred = net(batch["scene"], batch["position"])
    logits, colour, mask = pred.logits.float(), pred.colour.float(), batch["mask"]
    error = COLOUR_LOSSES[colour_loss](colour, batch["colour"], reduction="none").mean(-1)  # (B, K)
    terms = {"mask": F.binary_cross_entropy_with_logits(logits, mask),
             "colour": colour_weight * (mask * error).sum() / mask.sum().clamp_min(1)}
    return {"loss": sum(terms.values())} | terms | {"wrong": ((logits > 0) != (mask > 0.5)).float().mean()}


def discriminator_accuracy(generator: nn.Module, discriminator: nn.Module,
                           batches: Iterable[Batch]) -> dict[str, float]:
    """What the discriminator says of a set, without noise and dropout: real_accuracy, fake_accuracy, and
    discriminator_loss, its mean cross-entropy on both (ln 2 is a coin).

    A real accuracy that is high on training pictures and lower on fresh ones means that it knows them by heart.
    """

    def score(batch: Batch) -> dict[str, Tensor]:
        given, target = batch["input"], 2 * batch["image"] - 1
        real, fake = discriminator(target, given), discriminator(generator(given), given)
        return {"real_accuracy": real > 0, "fake_accuracy": fake <= 0,
                "discriminator_loss": (bce(real, 1.0) + bce(fake, 0.0)) / 2}

    return mean_scores(score_batches(score, batches, generator, discriminator, amp=False))


def bce(logits: Tensor, label: float) -> Tensor:
    """Mean binary cross-entropy of logits (B,) that all have the same label in [0, 1]."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


# The report's adaptive GAN training: watch the discriminator, train the side that loses, pause the one that wins.
#
# The report measures the batch before every update of the discriminator and ends with the first update that began above
# the lower limit, if enough real pictures passed as real. Here the number of updates is fixed beforehand, 1 above that
# limit on the same condition, else the most: it rests on what the generator's updates of the step before measured,
# whose objective scores generated and real pictures even while the discriminator pauses. Both measure with the
# discriminator in training mode; the report's pictures all carry the instance noise, here only the generated ones.

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
        count(history, paused=updates == 0, extra_discriminator=max(updates - 1, 0), extra_generator=boost - 1, steps=1)
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


def repeat_during(epochs: int) -> Callable[[History], int]:
    """The repeat rule of a phase that makes one update a step in the first `epochs` and none later: a warm-up."""
    return lambda history: int(len(history.rows) < epochs)


def repeat_after(epochs: int, repeat: int | Callable[[History], int] = 1) -> Callable[[History], int]:
    """The repeat rule of a phase that waits for the first `epochs` to pass and then does as `repeat` says."""
    return lambda history: 0 if len(history.rows) < epochs else repeat(history) if callable(repeat) else repeat


def count(history: History, **counts: int) -> None:
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
    columns = {f"balance/{name}": name for name in COUNTED[:-1]}
    rows = [[event["epoch"], *(event[name] / event["steps"] for name in columns.values())]
            for event in counted(history)]
    return history.frame().merge(pd.DataFrame(rows, columns=["epoch", *columns]), on="epoch", how="left")


def balance_summary(history: History) -> dict[str, float]:
    """The interventions of a whole training, as in `balance_frame`, per step that was under these rules.

    Empty if none was.
    """
    steps = sum(event["steps"] for event in counted(history))
    return {name: sum(event[name] for event in counted(history)) / steps for name in COUNTED[:-1]} if steps else {}


def counted(history: History) -> list[dict]:
    """The history's events that hold counts of interventions, one an epoch."""
    return [event for event in history.events if event["event"] == "balance"]


def curve_swing(values: Iterable[float]) -> float:
    """How unsteady a training ended: standard deviation over mean of the last third of a positive curve."""
    *_, last = thirds(values)
    return float(last.std() / last.mean())


def curve_drift(values: Iterable[float]) -> float:
    """Whether a positive curve rises in the end: mean of its last third over that of the middle one, minus 1."""
    _, middle, last = thirds(values)
    return float(last.mean() / middle.mean() - 1)


def curve_change(values: Iterable[float]) -> float:
    """Mean of a curve's last third minus that of its first."""
    first, _, last = thirds(values)
    return float(last.mean() - first.mean())


def thirds(values: Iterable[float]) -> tuple[pd.Series, pd.Series, pd.Series]:
    """A curve's three parts, of equal length but for one or two values; gaps (NaN) are left out beforehand."""
    curve = pd.Series(list(values), dtype=float).dropna()
    first, second = round(len(curve) / 3), round(2 * len(curve) / 3)
    return curve.iloc[:first], curve.iloc[first:second], curve.iloc[second:]
