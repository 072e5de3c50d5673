"""The range test on a quadratic, where everything is known, and what it leaves behind."""

import math
import random
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from htcv_lib.mask_depth.lr_range import lr_range_test, suggested_lr
from htcv_lib.training.loop import fit

CURVATURE = 4.0  # gradient descent reaches the minimum in one step at 1 / 4 and diverges above 2 / 4


class Quadratic(nn.Module):
    """c w^2 / 2, one weight."""

    def __init__(self, curvature: float = CURVATURE):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
        self.curvature = curvature

    def loss(self, batch: dict) -> dict:
        return {"loss": self.curvature * self.weight**2 / 2}


def sweep(model: Quadratic, **settings) -> dict[str, list[float]]:
    settings = {"lr_min": 1e-3, "lr_max": 10.0, "steps": 60, "smoothing": 1.0, "optimizer": torch.optim.SGD} | settings
    return lr_range_test(model, model.loss, [{}], **settings)


def test_the_losses_on_a_quadratic_are_those_of_the_formula():
    result = sweep(Quadratic())
    rates = np.geomspace(1e-3, 10, 60)[: len(result["lr"])]
    assert result["lr"] == pytest.approx(rates)
    factors = np.concatenate([[1.0], (1 - CURVATURE * rates[:-1]) ** 2])
    assert result["loss"] == pytest.approx(CURVATURE / 2 * np.cumprod(factors), rel=1e-6)


@pytest.mark.parametrize("curvature", [0.5, 4.0, 60.0])
def test_the_smallest_loss_is_at_the_largest_stable_rate(curvature):
    result = sweep(Quadratic(curvature))
    place = int(np.argmin(result["loss"]))
    assert result["lr"][place - 1] <= 2 / curvature < result["lr"][place]
    assert suggested_lr(result).minimum == result["lr"][place]


def test_the_steepest_descent_on_a_quadratic_is_a_rate_that_is_stable_by_far():
    result = sweep(Quadratic(), steps=400)
    lr = np.array(result["lr"])
    slope = np.gradient(np.array(result["loss"]), np.log(lr))
    found = suggested_lr(result)
    assert found.steepest == lr[slope.argmin()] < 1 / CURVATURE
    # between log rates 400 / log(1e4) steps a unit: d log L / dt = -2 c lr n, so L falls fastest where 2 c lr n = 1
    assert found.steepest == pytest.approx(math.log(1e4) / 399 / (2 * CURVATURE), rel=0.1)
    assert found.minimum_tenth == pytest.approx(found.minimum / 10)


def test_it_stops_when_the_smoothed_loss_is_four_times_its_minimum():
    rates = np.geomspace(0.4, 0.7, 200)
    losses = CURVATURE / 2 * np.cumprod(np.concatenate([[1.0], (1 - CURVATURE * rates[:-1]) ** 2]))
    smoothed = [losses[0]]
    for loss in losses[1:]:
        smoothed.append(0.9 * loss + 0.1 * smoothed[-1])
    length = int(np.argmax(smoothed > 4 * np.minimum.accumulate(smoothed))) + 1
    result = sweep(Quadratic(), lr_min=0.4, lr_max=0.7, smoothing=0.9, steps=200)
    assert len(result["smoothed"]) == length < 200
    assert 4 < result["smoothed"][-1] / min(result["smoothed"]) < 5


def test_smoothing_starts_at_the_first_loss_and_weighs_the_newest():
    result = sweep(Quadratic(), smoothing=0.05, steps=5, lr_max=2e-3)
    first, second, third = result["loss"][:3]
    expected = [first, 0.05 * second + 0.95 * first]
    assert result["smoothed"][:3] == pytest.approx([*expected, 0.05 * third + 0.95 * expected[1]])


def test_a_loss_that_is_not_finite_ends_it_and_is_not_noted():
    model, losses = Quadratic(), iter([1.0, 1.0, math.nan, 1.0])

    def objective(batch):
        return {"loss": model.weight * next(losses)}

    result = lr_range_test(model, objective, [{}], 1e-6, 1e-5, steps=4, optimizer=torch.optim.SGD)
    assert len(result["lr"]) == len(result["loss"]) == 2
    assert model.weight.item() == 1


def test_a_negative_loss_may_fall_without_being_taken_for_divergence():
    model = Quadratic()
    result = lr_range_test(model, lambda batch: {"loss": -model.weight}, [{}], 0.1, 1.0, steps=8, smoothing=1.0,
                           optimizer=torch.optim.SGD)
    assert len(result["lr"]) == 8 and result["loss"] == sorted(result["loss"], reverse=True)


def test_everything_is_as_it_was_before(toy):
    model, batches = toy.model(dropout=0.5).eval(), toy.Batches()
    list(model.parameters())[0].grad = torch.ones(4, 3)
    torch.manual_seed(7), random.seed(7), np.random.seed(7)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    expected = (torch.rand(3), random.random(), np.random.rand(), next(iter(batches))["x"])

    batches = toy.Batches()
    torch.manual_seed(7), random.seed(7), np.random.seed(7)
    seen = []

    def objective(batch):
        random.random(), np.random.rand()
        seen.append(model.training)
        return toy.squared_error(model, batch)

    lr_range_test(model, objective, batches, 1e-3, 1.0, steps=9)
    assert all(seen) and not model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert torch.equal(list(model.parameters())[0].grad, torch.ones(4, 3))
    assert all(p.grad is None for p in list(model.parameters())[1:])
    assert torch.equal(torch.rand(3), expected[0])
    assert (random.random(), np.random.rand()) == expected[1:3]
    assert torch.equal(next(iter(batches))["x"], expected[3])


def test_the_model_is_restored_also_when_the_objective_fails():
    model = Quadratic()
    calls = iter(range(5))

    def objective(batch):
        if next(calls) == 3:
            raise RuntimeError("no more")
        return model.loss(batch)

    with pytest.raises(RuntimeError, match="no more"):
        lr_range_test(model, objective, [{}], 0.01, 0.1, steps=5, optimizer=torch.optim.SGD)
    assert model.weight.item() == 1


def test_a_training_after_the_test_is_the_training_without_it(toy):
    rows = []
    for test_first in (False, True):
        model, batches = toy.model(dropout=0.3), toy.Batches()
        if test_first:
            lr_range_test(model, partial(toy.squared_error, model), batches, 1e-4, 1e-1, steps=7)
        rows.append(fit([toy.phase(model)], batches, epochs=2, progress=False).first_losses)
    assert rows[0] == rows[1]


def test_impossible_ranges_and_empty_batches_are_refused():
    model = Quadratic()
    for wrong in ({"lr_min": 0.0}, {"lr_min": 20.0}, {"steps": 1}, {"smoothing": 0.0}):
        with pytest.raises(ValueError, match="lr_min < lr_max"):
            sweep(model, **wrong)
    with pytest.raises(ValueError, match="yielded nothing"):
        lr_range_test(model, model.loss, [])
    with pytest.raises(ValueError, match="before the first update"):
        lr_range_test(model, lambda batch: {"loss": model.weight * math.nan}, [{}])


def test_a_curve_that_never_falls_has_no_steepest_descent():
    found = suggested_lr({"lr": [0.1, 0.2, 0.4], "smoothed": [1.0, 1.5, 2.0]})
    assert math.isnan(found.steepest) and found.minimum == 0.1
    with pytest.raises(ValueError, match="at least 2"):
        suggested_lr({"lr": [0.1], "smoothed": [1.0]})
