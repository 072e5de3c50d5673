import random

import numpy as np
import pytest
import torch
from torch import nn

from htcv_lib.training.checkpoint import WeightAverage
from htcv_lib.training.device import place, prepare, seed_everything
from htcv_lib.training.loop import TextProgress, make_progress
from htcv_lib.training.optim import cosine_schedule, one_cycle


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


def rates(make, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, seen = make(optimizer), []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen + [optimizer.param_groups[0]["lr"]]


def test_the_cosine_rises_linearly_and_ends_at_zero():
    seen = rates(lambda optimizer: cosine_schedule(optimizer, steps=10, warmup=2), 10)
    assert seen[:3] == pytest.approx([1 / 3, 2 / 3, 1]) and seen[6] == pytest.approx(0.5) and seen[-1] == 0


def test_one_cycle_peaks_at_its_share_and_takes_exactly_its_steps():
    seen = rates(lambda optimizer: one_cycle(optimizer, max_lr=2.0, steps=10, rise=0.3), 10)
    assert max(seen) == pytest.approx(2.0, rel=0.05) and 2 <= seen.index(max(seen)) <= 3 and seen[-1] < 1e-4


def test_the_same_seed_gives_the_same_numbers_from_all_three_generators():
    def draw():
        seed_everything(11)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draw() == draw()


def test_preparing_says_where_to_train_and_keeps_the_threads_asked_for():
    before = torch.get_num_threads()
    try:
        assert prepare(0, threads=1) == ("cuda" if torch.cuda.is_available() else "cpu")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_placed_net_computes_channels_last():
    model = place(nn.Conv2d(3, 4, 3), "cpu")
    assert model(torch.rand(1, 3, 8, 8)).is_contiguous(memory_format=torch.channels_last)


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
