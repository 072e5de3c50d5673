"""A step of one phase, the loop around it, what it notes and what it shows."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from htcv_lib.training.history import NonFiniteLoss
from htcv_lib.training.loop import TextProgress, fit, make_progress
from htcv_lib.training.phase import Phase, gradient_step


def line(weight: float = 0.0) -> nn.Linear:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, weight)
    return model


def test_one_step_of_gradient_descent_worked_by_hand():
    model = line(2.0)
    phase = Phase("fit", lambda batch: {"loss": (model(batch["x"]) - 1).square().mean()},
                  torch.optim.SGD(model.parameters(), lr=0.1))
    terms = gradient_step(phase, {"x": torch.ones(4, 1)})  # loss (2 - 1)^2, gradient 2
    assert terms["loss"].item() == 1 and terms["grad_norm"].item() == 2
    assert model.weight.item() == pytest.approx(2 - 0.1 * 2)
    assert not any(value.requires_grad for value in terms.values())


def test_clipping_bounds_the_step_but_the_norm_before_it_is_reported():
    model = line(2.0)
    phase = Phase("fit", lambda batch: {"loss": (model(batch["x"]) - 1).square().mean()},
                  torch.optim.SGD(model.parameters(), lr=0.1), clip_norm=0.5)
    assert gradient_step(phase, {"x": torch.ones(4, 1)})["grad_norm"].item() == 2
    assert model.weight.item() == pytest.approx(2 - 0.1 * 0.5, abs=1e-5)


def test_a_phase_leaves_the_parameters_of_others_alone():
    generator, discriminator = line(1.0), line(1.0)
    phase = Phase("generator", lambda batch: {"loss": discriminator(generator(batch["x"])).mean()},
                  torch.optim.SGD(generator.parameters(), lr=0.1))
    gradient_step(phase, {"x": torch.ones(2, 1)})
    assert generator.weight.item() != 1
    assert discriminator.weight.item() == 1 and discriminator.weight.grad is None


def test_frozen_parameters_may_be_in_the_optimizer():
    model = nn.Sequential(line(1.0), line(1.0))
    model[0].weight.requires_grad_(False)
    phase = Phase("head", lambda batch: {"loss": model(batch["x"]).mean()}, torch.optim.SGD(model.parameters(), lr=0.1))
    gradient_step(phase, {"x": torch.ones(2, 1)})
    assert model[0].weight.item() == 1 and model[1].weight.item() == pytest.approx(0.9)


def test_autocast_computes_the_objective_in_bfloat16_and_the_weights_stay_float32():
    model, seen = line(1.0), []

    def objective(batch):
        pred = model(batch["x"])
        seen.append(pred.dtype)
        return {"loss": pred.float().mean()}

    phase = Phase("fit", objective, torch.optim.SGD(model.parameters(), lr=0.1))
    gradient_step(phase, {"x": torch.ones(2, 1)}, amp=True)
    assert seen == [torch.bfloat16] and model.weight.dtype == model.weight.grad.dtype == torch.float32


def test_repeating_and_accumulating_at_once_is_refused(toy):
    with pytest.raises(ValueError, match="not both"):
        toy.phase(toy.model(), repeat=2, accumulate=2)


QUIET = {"progress": False}


def test_training_lowers_the_loss_and_notes_every_epoch(toy):
    frame = fit([toy.phase(toy.model())], toy.Batches(), epochs=8, **QUIET).frame()
    assert list(frame["epoch"]) == list(range(1, 9)) and list(frame["step"]) == list(range(3, 25, 3))
    assert frame["train/toy/loss"].iloc[-1] < 0.5 * frame["train/toy/loss"].iloc[0]
    assert (frame[["train/toy/grad_norm", "images_per_s"]] > 0).all(axis=None) and set(frame["lr"]) == {0.05}


def test_the_loop_makes_the_updates_of_a_plain_one(toy):
    model, plain = toy.model(), toy.model()
    history = fit([toy.phase(model)], toy.Batches(), epochs=2, seed=3, **QUIET)
    optimizer, batches, losses = torch.optim.SGD(plain.parameters(), lr=0.05), toy.Batches(), []
    for _ in range(2):
        for batch in batches:
            optimizer.zero_grad()
            loss = toy.squared_error(plain, batch)["loss"]
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert history.first_losses == losses
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), plain.state_dict().values(), strict=True))
    assert history.frame()["train/toy/loss"].iloc[1] == pytest.approx(sum(losses[3:]) / 3)


def test_only_the_first_twenty_step_losses_are_kept(toy):
    assert len(fit([toy.phase(toy.model())], toy.Batches(), epochs=9, **QUIET).first_losses) == 20


def test_steps_may_end_within_an_epoch(toy):
    frame = fit([toy.phase(toy.model())], toy.Batches(), steps=5, **QUIET).frame()
    assert list(frame["step"]) == [3, 5]


@pytest.mark.parametrize("wrong", [
    {}, {"epochs": 1, "checkpoint": "x.pt"}, {"epochs": 1, "ema": 0.9}, {"epochs": 1, "progress": "loud"}])
def test_what_cannot_be_meant_is_refused(toy, wrong):
    with pytest.raises(ValueError):
        fit([toy.phase(toy.model())], toy.Batches(), **(QUIET | wrong))


def test_two_phases_need_two_names(toy):
    with pytest.raises(ValueError, match="different names"):
        fit([toy.phase(toy.model()), toy.phase(toy.model())], toy.Batches(), epochs=1, **QUIET)


def test_accumulated_small_batches_equal_a_big_one(toy):
    def weights(batch_size, accumulate):
        torch.manual_seed(0)
        model = nn.Linear(3, 1)  # no batch norm, whose statistics would differ
        fit([toy.phase(model, accumulate=accumulate)], toy.Batches(12, batch_size), epochs=3, **QUIET)
        return model.weight

    torch.testing.assert_close(weights(2, 2), weights(4, 1))


def test_what_is_left_at_the_end_of_an_epoch_is_averaged_over_what_there_is(toy):
    def weights(batches, accumulate):
        torch.manual_seed(0)
        model = nn.Linear(3, 1)
        history = fit([toy.phase(model, accumulate=accumulate)], batches, epochs=1, **QUIET)
        return model.weight, len(history.first_losses)

    data = list(toy.Batches(6, 2))
    pair = {name: torch.cat([data[0][name], data[1][name]]) for name in data[0]}
    accumulated, updates = weights(data, 2)  # an update of two batches, then one of a single batch
    by_hand, _ = weights([pair, data[2]], 1)
    assert updates == 2
    torch.testing.assert_close(accumulated, by_hand)


def test_a_fixed_number_of_repeats_is_made_on_each_batch(toy):
    seen = []
    model = toy.model()

    def objective(batch):
        seen.append(batch["x"].sum().item())
        return toy.squared_error(model, batch)

    phase = Phase("toy", objective, torch.optim.SGD(model.parameters(), lr=0.01), repeat=2)
    history = fit([phase], toy.Batches(), epochs=1, **QUIET)
    assert len(seen) == 6 and seen[::2] == seen[1::2] and len(history.first_losses) == 3


def test_a_rule_decides_from_what_the_last_steps_measured(toy):
    judge, other = nn.Linear(3, 1), nn.Linear(3, 1)
    read = []

    def rule(history):
        read.append(history.last("judge/loss"))
        return 0 if math.isnan(read[-1]) or read[-1] > 1e9 else 2

    phases = [Phase("other", lambda batch: toy.squared_error(other, batch), torch.optim.SGD(other.parameters(), 0.01),
                    repeat=rule),
              Phase("judge", lambda batch: toy.squared_error(judge, batch), torch.optim.SGD(judge.parameters(), 0.01))]
    history = fit(phases, toy.Batches(), epochs=2, **QUIET)
    frame = history.frame()
    assert math.isnan(read[0]) and all(math.isfinite(value) for value in read[1:])
    assert frame["train/other/repeat"].tolist() == pytest.approx([4 / 3, 2])  # none in the first step, then two
    assert {"lr/other", "lr/judge"} <= set(frame)
    assert history.last("judge/loss", 3) == pytest.approx(frame["train/judge/loss"].iloc[-1])


def test_a_schedule_is_stepped_after_every_update(toy):
    phase = toy.phase(toy.model(), lr=1.0)
    phase.optimizer.param_groups[0]["lr"] = 1e-3
    phase.scheduler = torch.optim.lr_scheduler.ExponentialLR(phase.optimizer, 0.5)
    frame = fit([phase], toy.Batches(), epochs=2, **QUIET).frame()
    assert frame["lr"].tolist() == pytest.approx([1e-3 / 8, 1e-3 / 64])


def test_a_plateau_is_told_once_an_epoch_and_lowers_the_rate(toy):
    phase = toy.phase(toy.model(), lr=0.0)  # nothing ever improves; dropout and order aside
    phase.optimizer.param_groups[0]["lr"] = 1e-12
    phase.scheduler = ReduceLROnPlateau(phase.optimizer, factor=0.5, patience=1)
    phase.scheduler.eps = 0.0
    phase.monitor = "val/error"
    frame = fit([phase], toy.Batches(), epochs=6, evaluate=lambda: {"error": 1.0}, **QUIET).frame()
    assert frame["lr"].tolist() == [1e-12] * 3 + [5e-13] * 2 + [2.5e-13]


def test_evaluation_comes_every_n_epochs_and_at_the_end(toy):
    calls = []
    frame = fit([toy.phase(toy.model())], toy.Batches(), epochs=5, evaluate_every=2,
                evaluate=lambda: {"score": calls.append(0) or len(calls)}, **QUIET).frame()
    assert np.isnan(frame["val/score"]).tolist() == [True, False, True, False, False] and len(calls) == 3


def test_evaluation_sees_the_averaged_weights_and_fit_leaves_them_in_the_model(toy):
    model, seen = toy.model(), []
    history = fit([toy.phase(model)], toy.Batches(), epochs=3, ema=0.9, models={"toy": model},
                  evaluate=lambda: {"weight": seen.append(model[0].weight.clone()) or 0.0}, **QUIET)
    plain = toy.model()
    without = fit([toy.phase(plain)], toy.Batches(), epochs=3, **QUIET)
    assert history.first_losses == without.first_losses  # training itself is untouched
    assert torch.equal(seen[-1], model[0].weight) and not torch.equal(plain[0].weight, model[0].weight)


def test_the_history_reads_back_exactly(toy, tmp_path):
    history = fit([toy.phase(toy.model())], toy.Batches(), epochs=3, **QUIET)
    history.save(tmp_path / "history.csv")
    read = pd.read_csv(tmp_path / "history.csv", dtype=str).map(float)
    pd.testing.assert_frame_equal(read, history.frame(), check_exact=True, check_dtype=False)


def poisoned(toy, bad_step: int, **more):
    """Losses that turn NaN at one step: a phase and its model."""
    model, count = toy.model(), [0]

    def objective(batch):
        count[0] += 1
        loss = toy.squared_error(model, batch)["loss"]
        return {"loss": loss * (float("nan") if count[0] == bad_step else 1.0), "term": loss}

    return Phase("toy", objective, torch.optim.SGD(model.parameters(), lr=0.01), **more), model


def test_a_loss_that_is_not_finite_stops_training_and_says_where(toy, tmp_path):
    phase, model = poisoned(toy, bad_step=8)
    with pytest.raises(NonFiniteLoss, match=r"phase 'toy', epoch 3, step 8: loss = nan, term = \d") as caught:
        fit([phase], toy.Batches(), epochs=5, models={"toy": model}, checkpoint=tmp_path / "toy.pt", **QUIET)
    error = caught.value
    assert (error.phase, error.epoch, error.step) == ("toy", 3, 8) and "toy.pt" in str(error)
    assert error.last_finite == error.history.first_losses[6]
    assert len(error.history.rows) == 2 and error.history.events[-1]["event"] == "non-finite loss"
    kept = torch.load(tmp_path / "toy.pt", weights_only=True)
    assert kept["epoch"] == 2 and all(value.isfinite().all() for value in kept["models"]["toy"].values())


def test_a_rule_never_sees_a_loss_that_is_not_finite(toy):
    read = []
    phase, _ = poisoned(toy, bad_step=2, repeat=lambda history: read.append(history.last("toy/loss")) or 1)
    with pytest.raises(NonFiniteLoss, match="step 2"):
        fit([phase], toy.Batches(), epochs=2, **QUIET)
    assert len(read) == 2


def test_batches_that_yield_nothing_are_an_error(toy):
    with pytest.raises(ValueError, match="yielded nothing"):
        fit([toy.phase(toy.model())], [], steps=3, **QUIET)


def test_tensorboard_gets_every_column(toy, tmp_path):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    fit([toy.phase(toy.model())], toy.Batches(), epochs=2, tensorboard=tmp_path, **QUIET)
    events = reading.EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Scalars("train/toy/loss")] == [3, 6]


def test_progress_in_a_file_is_a_line_in_ten_seconds_and_one_at_the_end():
    now, lines = [0.0], []
    shown = TextProgress(total=8, say=lines.append, clock=lambda: now[0])
    for step in range(1, 9):
        now[0] += 4
        shown.step()
        if step % 4 == 0:
            shown.epoch(step // 4, "loss 0.5")
    assert lines == [
        "step 3 of 8, 0:12 elapsed, 0:20 left",
        "step 6 of 8, epoch 1, loss 0.5, 0:24 elapsed, 0:08 left",
        "step 8 of 8, epoch 2, loss 0.5, 0:32 elapsed, 0:00 left",
    ]


def test_unattended_runs_show_text(monkeypatch):
    monkeypatch.setenv("HTCV_BATCH", "1")
    assert type(make_progress("auto", total=1)) is TextProgress
