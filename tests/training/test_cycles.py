import pytest
import torch

from htcv_lib.training.cycles import linear_cycle


def test_the_rate_rises_straight_for_a_fifth_and_then_falls_straight_to_a_hundredth_of_its_start():
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = linear_cycle(optimizer, 1.0, steps=100)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.01) and max(rates) == pytest.approx(1.0, abs=0.06)
    assert rates.index(max(rates)) in (19, 20)
    falling = torch.tensor(rates[21:]).diff()
    assert torch.allclose(falling, falling[0].expand_as(falling), atol=1e-6)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0001, abs=0.02)
