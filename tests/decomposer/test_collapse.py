"""The rule for collapses on hand-made trainings, and on a small network that is made to collapse."""

import math

import pytest
import torch
from torch import nn

from htcv_lib.decomposer.collapse import CollapseRule, CollapseWatch, Verdict, collapse_verdict, describe_training
from htcv_lib.training.history import History, NonFiniteLoss
from htcv_lib.training.loop import fit
from htcv_lib.training.phase import Phase

NAN = math.nan


def rows(losses, contrasts=None):
    found = [{"epoch": k, "val/loss": loss} for k, loss in enumerate(losses, start=1)]
    for row, value in zip(found, contrasts or [], strict=False):
        row["val/relative_contrast"] = value
    return found


def judged(losses, contrasts=None, **rule):
    return collapse_verdict(rows(losses, contrasts), rule=CollapseRule(**rule))


def test_a_falling_loss_with_small_steps_back_is_no_collapse():
    verdict = judged([0.4, 0.2, 0.3, 0.1, 0.19, 0.1])
    assert (verdict.collapsed, verdict.epoch, verdict.recovered) == (False, None, None)
    assert (verdict.best_epoch, verdict.best, verdict.last) == (4, 0.1, 0.1)


def test_a_loss_that_jumps_beyond_twice_its_best_and_stays_is_a_collapse_at_the_jump():
    verdict = judged([0.4, 0.2, 0.1, 0.21, 0.3, 0.3])
    assert (verdict.collapsed, verdict.epoch, verdict.cause, verdict.recovered) == (True, 4, "loss", False)
    assert (verdict.best_epoch, verdict.best, verdict.last) == (3, 0.1, 0.3)


def test_a_single_bad_epoch_is_a_spike_unless_the_training_ends_with_it():
    assert not judged([0.4, 0.1, 0.9, 0.1]).collapsed
    last = judged([0.4, 0.1, 0.9])
    assert (last.collapsed, last.epoch) == (True, 3)
    assert judged([0.4, 0.1, 0.9, 0.1], lasting=1).epoch == 3


def test_a_loss_near_zero_may_double_within_the_margin():
    assert not judged([0.4, 0.004, 0.013, 0.013]).collapsed
    assert judged([0.4, 0.004, 0.013, 0.013], margin=0.0).epoch == 3


@pytest.mark.parametrize(("end", "recovered"), [(0.11, True), (0.12, True), (0.13, False)])
def test_a_training_recovered_if_it_ends_near_the_best_from_before(end, recovered):
    verdict = judged([0.2, 0.1, 0.5, 0.5, 0.3, end])
    assert (verdict.collapsed, verdict.epoch, verdict.recovered) == (True, 3, recovered)


def test_a_loss_that_is_better_after_the_recovery_does_not_become_the_best_before():
    verdict = judged([0.2, 0.1, 0.5, 0.5, 0.05])
    assert verdict.recovered and (verdict.best_epoch, verdict.best) == (2, 0.1)


def test_a_prediction_that_turns_grey_is_a_collapse_though_the_loss_hardly_moves():
    verdict = judged([0.4, 0.3, 0.3, 0.35, 0.35], [0.1, 0.5, 0.6, 0.05, 0.02])
    assert (verdict.collapsed, verdict.epoch, verdict.cause, verdict.recovered) == (True, 4, "contrast", False)
    assert judged([0.4, 0.3, 0.3, 0.35, 0.3], [0.1, 0.5, 0.05, 0.05, 0.5]).recovered


def test_a_network_that_was_grey_from_the_start_never_learned_and_did_not_collapse():
    assert not judged([0.4, 0.4, 0.4, 0.4], [0.01, 0.02, 0.19, 0.01]).collapsed
    assert judged([0.4, 0.4, 0.4, 0.4], [0.01, 0.21, 0.09, 0.09]).epoch == 3


def test_a_loss_that_is_not_finite_is_bad_and_a_stopped_training_did_not_recover():
    assert judged([0.4, 0.2, NAN, math.inf, 0.2]).epoch == 3
    event = {"event": "non-finite loss", "epoch": 3, "step": 25}
    verdict = collapse_verdict(rows([0.4, 0.2]), events=[{"event": "resumed", "epoch": 1, "step": 10}, event])
    assert (verdict.collapsed, verdict.epoch, verdict.cause, verdict.recovered) == (True, 3, "not finite", False)
    assert math.isnan(verdict.last) and verdict.best_epoch == 2


def test_epochs_without_an_evaluation_are_skipped_and_no_evaluation_is_no_collapse():
    mixed = [{"epoch": 1, "train/net/loss": 9.0}, *rows([0.4, 0.1])[1:], {"epoch": 3}]
    assert collapse_verdict(mixed).best_epoch == 2
    assert not collapse_verdict([{"epoch": 1}]).collapsed


def test_rules_that_make_no_sense_are_refused():
    for wrong in ({"factor": 1.0}, {"lasting": 0}, {"flat": 0.0}, {"healed": 0.5}):
        with pytest.raises(ValueError, match="are needed"):
            CollapseRule(**wrong)


class Script:
    """An `evaluate` that reads its losses off a list, and sets the model's only weight to the call's number."""

    def __init__(self, losses):
        self.losses, self.calls = list(losses), 0
        self.model = nn.Linear(1, 1, bias=False)

    def __call__(self):
        self.calls += 1
        nn.init.constant_(self.model.weight, self.calls)
        return {"loss": self.losses[self.calls - 1], "psnr": 20.0}


def watched(losses, **more):
    script = Script(losses)
    watch = CollapseWatch(script, {"net": script.model}, **more)
    for _ in losses:
        watch()
    return watch


def kept(state):
    return None if state is None else state["net"]["weight"].item()


def test_the_watch_keeps_the_weights_of_the_best_epoch_and_those_from_before_a_collapse():
    steady = watched([0.4, 0.2, 0.3, 0.1, 0.15])
    assert (kept(steady.best), kept(steady.before), kept(steady.best_before())) == (4, None, 4)
    broken = watched([0.4, 0.1, 0.3, 0.3, 0.05])
    assert (kept(broken.best), kept(broken.before), kept(broken.best_before())) == (5, 2, 2)


def test_a_spike_of_one_epoch_does_not_fix_the_weights_from_before():
    assert kept(watched([0.4, 0.1, 0.3, 0.05]).best_before()) == 4


def test_the_watch_returns_metrics_and_measures_and_needs_the_watched_one():
    script = Script([0.4])
    watch = CollapseWatch(script, {"net": script.model}, measure=lambda: {"relative_contrast": 0.5})
    assert watch() == {"loss": 0.4, "psnr": 20.0, "relative_contrast": 0.5}
    with pytest.raises(ValueError, match="the watched 'mae' is not among loss, psnr"):
        CollapseWatch(Script([0.4]), {}, loss="mae")()


def test_a_training_that_is_stopped_and_resumed_still_has_the_weights_from_before(tmp_path):
    watched([0.4, 0.1, 0.3], keep=tmp_path / "folder" / "watch.pt")
    script = Script([0.3])
    again = CollapseWatch(script, {"net": script.model}, keep=tmp_path / "folder" / "watch.pt")
    again()
    assert (kept(again.before), [row["loss"] for row in again.rows]) == (2, [0.4, 0.1, 0.3, 0.3])


def training(lr_later, toy):
    """Ten good epochs, then four with another learning rate."""
    model, batches = toy.model(), toy.Batches()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 if step < 30 else lr_later / 0.1)
    phase = Phase("toy", lambda batch: toy.squared_error(model, batch), optimizer, scheduler=schedule, clip_norm=1.0)

    def loss():
        with torch.no_grad():
            return {"loss": float((model.eval()(batches.x) - batches.y).square().mean())}

    watch = CollapseWatch(loss, {"toy": model})
    return model, loss, watch, lambda: fit([phase], batches, epochs=14, models={"toy": model}, evaluate=watch,
                                           progress=False)


def test_a_network_driven_by_a_huge_rate_collapses_and_its_best_weights_bring_it_back(toy):
    model, loss, watch, run = training(3.0, toy)
    verdict = watch.verdict(run())
    assert (verdict.collapsed, verdict.epoch, verdict.best_epoch, verdict.recovered) == (True, 11, 10, False)
    assert loss()["loss"] == pytest.approx(verdict.last) and verdict.last > 2 * verdict.best
    model.load_state_dict(watch.best_before()["toy"])
    assert loss()["loss"] == pytest.approx(verdict.best)


def test_the_same_network_with_a_sensible_rate_does_not_collapse(toy):
    *_, watch, run = training(0.02, toy)
    assert not watch.verdict(run()).collapsed


def test_a_rate_that_makes_the_loss_infinite_is_judged_from_the_history_of_the_error(toy):
    *_, watch, run = training(1e30, toy)
    with pytest.raises(NonFiniteLoss) as stopped:
        run()
    verdict = watch.verdict(stopped.value.history)
    assert (verdict.collapsed, verdict.recovered, verdict.epoch) == (True, False, stopped.value.epoch)


# What a history says of a training.


STEADY = Verdict(False, None, None, None, 8, 0.25, 0.25)


def history(losses: list[float]) -> History:
    made = History()
    made.rows = [{"epoch": epoch, "train/decomposer/loss": loss, "train/decomposer/grad_norm": 1.0 + (epoch == 3)}
                 | ({"val/original_psnr": 10.0 + epoch} if epoch % 2 == 0 else {})
                 for epoch, loss in enumerate(losses, 1)]
    return made


def test_a_training_in_numbers_worked_by_hand():
    found = describe_training(history([8, 4, 2, 1, 1, 0.5, 0.5, 0.25]), STEADY, epochs=8)
    # second half: log changes of ln 1 -> ln 0.5 -> ln 0.5 -> ln 0.25 are -ln 2, 0, -ln 2
    assert found.pop("steadiness") == pytest.approx(math.log(2) * math.sqrt(2) / 3)
    assert found == {"collapsed": 0.0, "val_loss": 0.25, "grad_norm_max": 2.0, "early_psnr": 12.0, "loss_fall": 32.0}


def test_a_quarter_of_the_planned_epochs_counts_not_of_those_that_were_run():
    assert describe_training(history([1.0] * 8), STEADY, epochs=16)["early_psnr"] == 14.0


def test_a_penalty_on_weights_does_not_make_a_training_look_steady():
    plain, penalised = (history([8, 4, 2, 1, 1, 0.5, 0.5, 0.25]) for _ in range(2))
    for row in penalised.rows:
        row["train/decomposer/loss"] += 3.0
        row["train/decomposer/weights"] = 3.0
    assert describe_training(penalised, STEADY, epochs=8) == describe_training(plain, STEADY, epochs=8)


def test_a_collapse_says_when_how_far_and_whether_it_healed():
    collapsed = Verdict(True, 3, "loss", False, 2, 0.1, 0.7)
    found = describe_training(history([1.0, 0.5, 0.2, 2.0]), collapsed, epochs=30)
    assert (found["collapsed"], found["collapse_epoch"], found["recovered"]) == (1.0, 3.0, 0.0)
    # what fell in the epoch of the collapse counts no more
    assert (found["loss_fall"], found["loss_rise"]) == (2.0, 4.0) and found["val_loss_rise"] == pytest.approx(7)


def test_a_training_that_stopped_at_once_has_little_to_say():
    found = describe_training(history([1.0, 0.5]), Verdict(True, 3, "not finite", False, 2, 0.1, math.nan), epochs=30)
    assert "steadiness" not in found and "early_psnr" not in found
    assert math.isnan(found["val_loss"]) and math.isnan(found["val_loss_rise"])
