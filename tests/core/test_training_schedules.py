"""Schedules of learning rates, worked by hand."""

import pytest
import torch
from torch import nn

from htcv_lib.training.phase import make_schedule


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
    seen = followed(make_schedule("cosine", descent(), 1.0, steps=42), 42)["lr"]  # two updates to rise, forty to fall
    assert seen[:3] == pytest.approx([1 / 3, 2 / 3, 1]) and seen[22] == pytest.approx(0.5) and seen[-1] == 0


def test_one_cycle_peaks_at_its_share_and_takes_exactly_its_steps():
    seen = followed(make_schedule("one_cycle", descent(), 2.0, steps=10), 10)["lr"]
    assert max(seen) == pytest.approx(2.0, rel=0.05) and 2 <= seen.index(max(seen)) <= 3 and seen[-1] < 1e-4


def test_two_thirds_of_the_updates_have_the_rate_and_the_rest_a_tenth():
    seen = followed(make_schedule("then_tenth", descent(0.2), 0.2, steps=6), 5)["lr"]
    assert seen == pytest.approx([0.2] * 4 + [0.02] * 2)


def test_no_steps_and_unknown_names_are_refused_and_constant_is_none():
    with pytest.raises(ValueError, match="at least one step"):
        make_schedule("cosine", descent(), 1.0, steps=0)
    with pytest.raises(ValueError, match="one of constant, plateau, .* got 'cosin'"):
        make_schedule("cosin", descent(), 1.0, steps=3)
    assert make_schedule("constant", descent(), 1.0, steps=3) is None


def test_the_rate_rises_straight_for_a_fifth_and_then_falls_straight_to_a_hundredth_of_its_start():
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1.0)
    seen = followed(make_schedule("linear_cycle", optimizer, 1.0, steps=100), 100)
    rates, momenta = seen["lr"], [betas[0] for betas in seen["betas"]]
    assert rates[0] == pytest.approx(0.01) and max(rates) == pytest.approx(1.0, abs=0.06)
    top = rates.index(max(rates))
    assert top in (19, 20)
    for part in (rates[:top], rates[top + 1:], momenta[:top], momenta[top + 1:]):
        steps = torch.tensor(part, dtype=torch.float64).diff()
        assert torch.allclose(steps, steps[0].expand_as(steps), rtol=0, atol=1e-9)  # straight
    assert rates[-1] == pytest.approx(0.0001, rel=1e-6)
    assert (momenta[0], momenta[-1]) == (0.95, 0.95) and min(momenta) == pytest.approx(0.85, abs=0.006)
