"""Checkpoints, resumption and averaged weights. This file is also the script whose trainings are killed."""

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from toy_training import ToyBatches, squared_error, toy_model

from htcv_lib.training.checkpoint import WeightAverage
from htcv_lib.training.loop import fit
from htcv_lib.training.phase import Phase, make_schedule

QUIET = {"progress": False}
# a whole training; then one killed in a later epoch; after resuming, in the next one again; and its end
TRAININGS = (("whole", 0), ("killed", 11), ("killed", 5), ("killed", 0))


def train_and_die(folder: Path, kill_at: int) -> None:
    """A training with every kind of state, which kills its process at step `kill_at`."""
    model = toy_model(dropout=0.3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    steps = [0]

    def objective(batch):
        steps[0] += 1
        if steps[0] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        noise = random.random() + np.random.rand()  # the other two global generators
        return {"loss": squared_error(model, batch)["loss"] * (1 + 0.01 * noise)}

    phase = Phase("toy", objective, optimizer, repeat=lambda history: 1 + (history.last("toy/loss", 4) > 2),
                  clip_norm=1.0, scheduler=make_schedule("cosine", optimizer, 0.0, steps=60))
    history = fit([phase], ToyBatches(), epochs=6, evaluate=lambda: {"norm": model[0].weight.norm().item()}, ema=0.9,
                  checkpoint=folder / "toy.pt", models={"toy": model}, seed=7, **QUIET)
    history.save(folder / "history.csv")
    torch.save([model.state_dict(), history.first_losses], folder / "result.pt")


def in_processes_of_their_own(folder: Path) -> None:
    """The script: each training in a fork, since only the first import of torch takes long; prints how each ended."""
    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1)], lr=1.0)  # imports what every fork would import again
    ends = []
    for number, (name, kill_at) in enumerate(TRAININGS):
        child = os.fork()
        if not child:
            random.seed(number), np.random.seed(number), torch.manual_seed(number)
            (folder / name).mkdir(exist_ok=True)
            train_and_die(folder / name, kill_at)
            os._exit(0)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(ends)


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_curve_bit_for_bit(tmp_path):
    paths = os.pathsep.join(str(Path(__file__).parents[up]) for up in (2, 1))
    done = subprocess.run([sys.executable, __file__, str(tmp_path)], env={**os.environ, "PYTHONPATH": paths},
                          capture_output=True, text=True, timeout=120)
    assert done.stdout.split("\n")[-2:] == [str([0, -signal.SIGKILL, -signal.SIGKILL, 0]), ""], done.stderr[-2000:]
    whole, killed = (torch.load(tmp_path / name / "result.pt", weights_only=True) for name in ("whole", "killed"))
    assert whole[1] == killed[1]
    assert all(torch.equal(whole[0][name], killed[0][name]) for name in whole[0])
    curves = [pd.read_csv(tmp_path / name / "history.csv", dtype=str).drop(columns="images_per_s")
              for name in ("whole", "killed")]
    pd.testing.assert_frame_equal(*curves)  # the same digits
    assert len(curves[0]) == 6 and curves[0]["train/toy/repeat"].astype(float).max() > 1  # the rule did decide


def test_every_schedule_survives_a_checkpoint(toy, tmp_path):
    makers = {name: partial(make_schedule, name, lr=0.01, steps=12)
              for name in ("cosine", "one_cycle", "linear_cycle", "then_tenth", "plateau")}
    for name, make in makers.items():
        def train(epochs, file, make=make):
            model = toy.model()
            phase = toy.phase(model)
            phase.scheduler = make(phase.optimizer)
            return fit([phase], toy.Batches(), epochs=epochs, checkpoint=tmp_path / file, models={"toy": model},
                       **QUIET)

        whole = train(4, f"{name}-whole.pt").frame()
        train(2, f"{name}.pt")
        again = train(4, f"{name}.pt").frame()
        pd.testing.assert_frame_equal(whole.drop(columns="images_per_s"), again.drop(columns="images_per_s"))


def test_a_finished_checkpoint_returns_at_once_with_its_weights_and_history(toy, tmp_path):
    def train(phase_of):
        model = toy.model()
        phase = phase_of(model)
        history = fit([phase], toy.Batches(), epochs=3, ema=0.5, checkpoint=tmp_path / "toy.pt",
                      models={"toy": model}, **QUIET)
        return model, history

    def forbidden(model):
        phase = toy.phase(model)
        phase.objective = lambda batch: pytest.fail("trained again")
        return phase

    (first, history), (second, stored) = train(toy.phase), train(forbidden)
    assert all(torch.equal(first.state_dict()[name], value) for name, value in second.state_dict().items())
    pd.testing.assert_frame_equal(history.frame(), stored.frame(), check_exact=True)
    assert stored.events == [] and stored.train_s == history.train_s and stored.first_losses == history.first_losses


def test_training_time_adds_up_over_resumptions(toy, tmp_path):
    def train(epochs):
        model = toy.model()
        phase = toy.phase(model)
        objective = phase.objective
        phase.objective = lambda batch: time.sleep(0.01) or objective(batch)
        return fit([phase], toy.Batches(), epochs=epochs, checkpoint=tmp_path / "toy.pt", models={"toy": model},
                   **QUIET)

    before = train(2).train_s
    history = train(4)
    assert before >= 0.06 and history.train_s >= before + 0.06
    assert history.events == [{"event": "resumed", "epoch": 2, "step": 6}]


def test_a_damaged_checkpoint_is_named(toy, tmp_path):
    (tmp_path / "toy.pt").write_bytes(b"half a fi")
    model = toy.model()
    with pytest.raises(ValueError, match=r"toy\.pt cannot be read"):
        fit([toy.phase(model)], toy.Batches(), epochs=1, checkpoint=tmp_path / "toy.pt", models={"toy": model}, **QUIET)


def test_a_checkpoint_of_another_training_is_refused(toy, tmp_path):
    model = toy.model()
    settings = {"epochs": 1, "checkpoint": tmp_path / "toy.pt", **QUIET}
    fit([toy.phase(model)], toy.Batches(), models={"toy": model}, **settings)
    with pytest.raises(ValueError, match=r"another training: models \['toy'\], not \['net'\]"):
        fit([toy.phase(model)], toy.Batches(), models={"net": model}, **settings)
    bigger = torch.nn.Linear(3, 1)
    with pytest.raises(ValueError, match="another training"):
        fit([toy.phase(bigger)], toy.Batches(), models={"toy": bigger}, **settings)


def test_nothing_but_the_checkpoint_is_left_in_its_folder(toy, tmp_path):
    model = toy.model()
    file = tmp_path / "new" / "toy.pt"
    fit([toy.phase(model)], toy.Batches(), epochs=2, checkpoint=file, models={"toy": model}, **QUIET)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["toy.pt"]


def test_a_death_while_writing_leaves_the_checkpoint_before(toy, tmp_path, monkeypatch):
    def train(epochs):
        model = toy.model()
        return fit([toy.phase(model)], toy.Batches(), epochs=epochs, checkpoint=tmp_path / "toy.pt",
                   models={"toy": model}, **QUIET)

    train(1)

    def half(state, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(torch, "save", half)
        train(2)
    history = train(2)
    assert history.events == [{"event": "resumed", "epoch": 1, "step": 3}] and len(history.rows) == 2


def scalar(value: float) -> nn.Module:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


def test_the_average_forgets_its_start_quickly_and_then_keeps_its_decay():
    model = scalar(0.0)
    average = WeightAverage(model, decay=0.5)
    expected = 0.0
    for count in range(20):
        nn.init.constant_(model.weight, float(count))
        average.update()
        decay = min(0.5, (1 + count) / (10 + count))
        expected = decay * expected + (1 - decay) * count
    assert average.average["weight"].item() == pytest.approx(expected, rel=1e-5)


def test_batch_statistics_are_averaged_and_counters_copied():
    model = nn.BatchNorm1d(1)
    average = WeightAverage(model, decay=0.9)
    model(torch.tensor([[0.0], [20.0]]))  # running mean becomes 1
    average.update()
    assert average.average["running_mean"].item() == pytest.approx(0.9 * 1.0)  # the first decay is 1 / 10
    assert average.average["num_batches_tracked"].item() == 1


def test_weights_come_back_after_a_look_at_the_averaged_ones_even_after_an_error():
    model = scalar(1.0)
    average = WeightAverage(model, decay=0.9)
    nn.init.constant_(model.weight, 3.0)
    with pytest.raises(KeyError), average.applied():
        assert model.weight.item() == 1.0
        raise KeyError
    assert model.weight.item() == 3.0


if __name__ == "__main__":
    in_processes_of_their_own(Path(sys.argv[1]))
