"""What a history says of a training."""

import math

import pytest

from htcv_lib.decomposer.collapse import Verdict, describe_training
from htcv_lib.training.history import History

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
