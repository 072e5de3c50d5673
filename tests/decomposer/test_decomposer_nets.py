import pytest
import torch

from htcv_lib.decomposer.heads import NETWORKS, decomposer_network
from htcv_lib.decomposer.layers import Decomposition, SetDecomposition
from htcv_lib.networks import count_parameters

DEPTHS = (1, 1, 1, 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_views_and_returns_what_its_name_says(name):
    found = decomposer_network(name, embed_dim=8, frames=4, depths=DEPTHS)(torch.rand(1, 3, 4, 16, 24))
    if name in ("decomposer", "decomposer_lit", "set", "matched_set"):
        assert isinstance(found, SetDecomposition if name == "set" else Decomposition)
        assert found.recompose().shape == (1, 3, 4, 16, 24)
    else:
        assert found.shape == (1, 3, 1 if name == "one_frame" else 4, 16, 24)


def test_the_autoencoder_without_skips_differs_in_its_skips_alone():
    one, other = (decomposer_network(name, 8, 4, depths=DEPTHS) for name in ("autoencoder", "autoencoder_noskip"))
    assert (one.decoder.skips, other.decoder.skips) == (True, False)
    assert count_parameters(one) == count_parameters(other)


@pytest.mark.parametrize("name", ["decomposer", "one_frame", "reverse_swin"])
def test_the_probability_of_dropping_blocks_arrives(name):
    rates = [module.p for module in decomposer_network(name, 8, 4, drop_path=0.3, depths=DEPTHS).encoder.modules()
             if type(module).__name__ == "StochasticDepth"]
    assert rates[0] == 0 and rates[-1] == pytest.approx(0.3)


def test_the_widths_of_the_set_are_given_or_double():
    assert decomposer_network("set", 8).unet.stem.out_channels == 8
    assert [layer.out_channels for layer in decomposer_network("set", 8).unet.down] == [16, 32, 64]
    assert [layer.out_channels for layer in decomposer_network("set", widths=(8, 8, 8, 16)).unet.down] == [8, 8, 16]


def test_the_light_of_the_lit_one_starts_on():
    biases = []
    for name in ("decomposer", "decomposer_lit"):
        torch.manual_seed(0)
        biases.append(decomposer_network(name, 8, 4, depths=DEPTHS).lighting_head.head.bias[0].item())
    assert biases[1] - biases[0] == pytest.approx(0.5)


def test_unknown_names_and_widths_of_other_networks_are_refused():
    with pytest.raises(ValueError, match="a network is one of decomposer"):
        decomposer_network("unet")
    with pytest.raises(ValueError, match="takes no widths"):
        decomposer_network("decomposer", 8, widths=(8, 8, 8, 8))
