import pytest
import torch

from htcv_lib.training.optim import linear_cycle


def test_the_rate_rises_straight_for_a_fifth_and_then_falls_straight_to_a_hundredth_of_its_start():
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = linear_cycle(optimizer, 1.0, steps=100)
    rates, momenta = [], []
    for step in range(101):  # before the first update, and after each
        if step:
            optimizer.step()
            schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
        momenta.append(optimizer.param_groups[0]["betas"][0])
    assert rates[0] == pytest.approx(0.01) and max(rates) == pytest.approx(1.0, abs=0.06)
    top = rates.index(max(rates))
    assert top in (19, 20)
    for part in (rates[:top], rates[top + 1:], momenta[:top], momenta[top + 1:]):
        steps = torch.tensor(part, dtype=torch.float64).diff()
        assert torch.allclose(steps, steps[0].expand_as(steps), rtol=0, atol=1e-9)  # straight
    assert rates[-1] == pytest.approx(0.0001, rel=1e-6)
    assert (momenta[0], momenta[-1]) == (0.95, 0.95) and min(momenta) == pytest.approx(0.85, abs=0.006)
