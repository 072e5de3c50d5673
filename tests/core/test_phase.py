import pytest
import torch
from torch import nn

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
