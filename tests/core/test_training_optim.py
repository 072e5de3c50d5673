"""Schedules of learning rates, worked by hand."""

import pytest
import torch
from torch import nn

from htcv_lib.training.optim import cosine_schedule, linear_cycle, one_cycle, then_tenth


def followed(schedule, steps: int) -> dict[str, list]:
    """What the optimizer's only group holds before the first update and after each."""
    optimizer, seen = schedule.optimizer, []
    for step in range(steps + 1):
        if step:
            optimizer.step()
            schedule.step()
        seen.append(dict(optimizer.param_groups[0]))
    return {name: [group[name] for group in seen] for name in seen[0]}


def descent(lr: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)


def test_the_cosine_rises_linearly_and_ends_at_zero():
    seen = followed(cosine_schedule(descent(), steps=10, warmup=2), 10)["lr"]
    assert seen[:3] == pytest.approx([1 / 3, 2 / 3, 1]) and seen[6] == pytest.approx(0.5) and seen[-1] == 0


def test_one_cycle_peaks_at_its_share_and_takes_exactly_its_steps():
    seen = followed(one_cycle(descent(), max_lr=2.0, steps=10, rise=0.3), 10)["lr"]
    assert max(seen) == pytest.approx(2.0, rel=0.05) and 2 <= seen.index(max(seen)) <= 3 and seen[-1] < 1e-4


def test_two_thirds_of_the_updates_have_the_rate_and_the_rest_a_tenth():
    assert followed(then_tenth(descent(0.2), 6), 5)["lr"] == pytest.approx([0.2] * 4 + [0.02] * 2)
    assert followed(then_tenth(descent(0.2), 4, share=0.5), 3)["lr"] == pytest.approx([0.2, 0.2, 0.02, 0.02])


def test_impossible_horizons_are_refused():
    for wrong in ({"steps": 0}, {"steps": 3, "share": 0.0}):
        with pytest.raises(ValueError, match="need steps"):
            then_tenth(descent(), **wrong)


def test_the_rate_rises_straight_for_a_fifth_and_then_falls_straight_to_a_hundredth_of_its_start():
    seen = followed(linear_cycle(torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1.0), 1.0, steps=100), 100)
    rates, momenta = seen["lr"], [betas[0] for betas in seen["betas"]]
    assert rates[0] == pytest.approx(0.01) and max(rates) == pytest.approx(1.0, abs=0.06)
    top = rates.index(max(rates))
    assert top in (19, 20)
    for part in (rates[:top], rates[top + 1:], momenta[:top], momenta[top + 1:]):
        steps = torch.tensor(part, dtype=torch.float64).diff()
        assert torch.allclose(steps, steps[0].expand_as(steps), rtol=0, atol=1e-9)  # straight
    assert rates[-1] == pytest.approx(0.0001, rel=1e-6)
    assert (momenta[0], momenta[-1]) == (0.95, 0.95) and min(momenta) == pytest.approx(0.85, abs=0.006)
