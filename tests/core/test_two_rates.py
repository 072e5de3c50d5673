"""A rate, then a tenth of it."""

import pytest
import torch

from htcv_lib.training.optim import then_tenth


def rates(steps, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    scheduler = then_tenth(optimizer, steps, **options)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_two_thirds_of_the_updates_have_the_rate_and_the_rest_a_tenth():
    assert rates(6) == pytest.approx([0.2] * 4 + [0.02] * 2)
    assert rates(4, share=0.5) == pytest.approx([0.2, 0.2, 0.02, 0.02])


def test_impossible_horizons_are_refused():
    for wrong in ({"steps": 0}, {"steps": 3, "share": 0.0}):
        with pytest.raises(ValueError, match="need steps"):
            then_tenth(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), **wrong)
