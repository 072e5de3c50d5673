import pytest
import torch
from torch import nn

from htcv_lib.networks import count_parameters
from htcv_lib.neural_renderer.networks import PLANS, make_discriminator


@pytest.mark.parametrize(("name", "parameters"), [("d0", 7_251_841), ("d1", 7_251_841), ("d23", 2_305_089)])
def test_the_reports_discriminators_have_its_numbers_of_parameters(name, parameters):
    with torch.device("meta"):  # counted by hand: 7.25 and 2.31 million
        model = make_discriminator(name)
    assert count_parameters(model) == parameters


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("size", [16, 32, 128])
def test_a_discriminator_gives_every_picture_one_logit_and_every_parameter_a_gradient(name, size):
    model = make_discriminator(name, size, width_factor=1 / 16)
    logits = model(torch.randn(3, 3, size, size), torch.randn(3, 10))
    assert logits.shape == (3,)
    logits.square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_the_verdict_depends_on_the_scene_as_well_as_on_the_picture():
    model = make_discriminator("d23", 16, 1 / 8).eval()
    image, given = torch.randn(1, 3, 16, 16), torch.randn(1, 10)
    assert not torch.equal(model(image, given), model(image, -given))
    assert not torch.equal(model(image, given), model(-image, given))


def test_dropout_can_be_switched_off():
    rates = [[m.p for m in make_discriminator(name, 16, 1 / 16, dropout=rate).modules() if isinstance(m, nn.Dropout)]
             for name, rate in (("d0", None), ("d1", None), ("d23", None), ("d23", 0.0))]
    assert rates == [[0.0], [0.5], [0.5], [0.0]]


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match="16 x 16"):
        make_discriminator("d23", 16, 1 / 16)(torch.zeros(1, 3, 16, 32), torch.zeros(1, 10))
