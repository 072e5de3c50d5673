import pytest
import torch

from htcv_lib.networks import count_parameters
from htcv_lib.vae.networks import DigitDecoder, DigitEncoder


def test_encoder_and_decoder_have_the_parameters_of_the_reports_nets():
    assert count_parameters(DigitEncoder()) == 5196
    assert count_parameters(DigitDecoder()) == 7137


def test_a_digit_becomes_features_and_features_become_a_digit():
    assert DigitEncoder(out_features=7)(torch.rand(2, 1, 28, 28)).shape == (2, 7)
    assert DigitDecoder(latent=3)(torch.rand(2, 3)).shape == (2, 1, 28, 28)


def test_the_encoder_sees_22_pixels_before_and_5_after_its_halving():
    sizes, x = [], torch.rand(1, 1, 28, 28)
    for layer in DigitEncoder():
        x = layer(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes[2:4] == [(11, 22, 22), (11, 11, 11)] and sizes[7] == (11, 5, 5)


@pytest.mark.parametrize("net", [DigitEncoder, DigitDecoder])
def test_every_normalisation_follows_the_relu(net):
    order = [type(layer).__name__ for layer in net().modules() if not list(layer.children())]
    norms = [i for i, name in enumerate(order) if name == "BatchNorm2d"]
    assert len(norms) == 6 and all(order[i - 1] == "ReLU" for i in norms)
    assert order.count("ReLU") == 6  # nothing else is rectified: the plain layers are linear
