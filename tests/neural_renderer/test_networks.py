import pytest
import torch
from torch import nn

from htcv_lib.networks import count_parameters
from htcv_lib.neural_renderer.networks import GENERATORS, PLANS, init_dcgan, make_discriminator, make_generator


@pytest.mark.parametrize(("make", "name", "parameters"), [
    (make_generator, "g0", 6_057_760), (make_generator, "g1", 7_258_560), (make_generator, "g2", 7_276_992),
    (make_generator, "g3", 1_684_320), (make_discriminator, "d0", 7_251_841), (make_discriminator, "d1", 7_251_841),
    (make_discriminator, "d23", 2_305_089)])
def test_the_reports_networks_have_its_numbers_of_parameters(make, name, parameters):
    with torch.device("meta"):  # counted by hand
        assert count_parameters(make(name)) == parameters


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("size", [8, 32, 128])
def test_a_generator_draws_the_size_it_is_asked_for_and_every_parameter_gets_a_gradient(name, size):
    model = make_generator(name, size, width_factor=1 / 32)
    image = model(torch.randn(3, 10))
    assert image.shape == (3, 3, size, size) and image.abs().max() <= 1
    image.square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_pictures_are_the_output_between_black_0_and_white_1():
    model = make_generator("g3", 8, width_factor=1 / 64).eval()
    given = torch.randn(2, 10)
    assert torch.equal(model.pictures({"input": given}), (model(given) + 1) / 2)


def test_g1_is_g2_without_normalization_of_the_linear_layers():
    kinds = [[type(layer) for layer in make_generator(name, 32, 1 / 64).modules()] for name in ("g1", "g2")]
    assert (kinds[0].count(nn.BatchNorm1d), kinds[1].count(nn.BatchNorm1d)) == (0, 3)
    assert [k for k in kinds[0] if k is not nn.Identity] == [k for k in kinds[1] if k is not nn.BatchNorm1d]


@pytest.mark.parametrize("size", [4, 48, 100, 256])
def test_a_size_no_doublings_lead_to_is_refused(size):
    with pytest.raises(ValueError, match="size must be"):
        make_generator("g2", size)


def test_convolutions_and_batch_norms_start_as_in_dcgan_and_linear_layers_as_pytorch_has_them():
    torch.manual_seed(0)
    linear, conv, norm = model = nn.Sequential(nn.Linear(200, 100), nn.Conv2d(50, 100, 3), nn.BatchNorm1d(100))
    before = linear.weight.clone()
    assert init_dcgan(model) is model
    assert torch.equal(linear.weight, before)
    assert conv.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert norm.bias.abs().max() == 0
    assert norm.weight.mean().item() == pytest.approx(1, abs=0.01)
    assert norm.weight.std().item() == pytest.approx(0.02, rel=0.3)


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
