"""Stages of video encoders and their decoders."""

import pytest
import torch

from htcv_lib.decomposer.heads import decomposer_network, trace_sequence
from htcv_lib.networks import count_parameters

SIZE = (1, 3, 10, 32, 32)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return decomposer_network("decomposer", 8, depths=(1, 1, 2, 1))


def test_stages_have_the_shapes_of_the_features_and_of_what_is_drawn(network):
    layers = {layer.name: layer for layer in trace_sequence(network, SIZE)}
    with torch.no_grad():
        features = network.encoder(torch.zeros(SIZE))
        drawn = network.original_head(features)
    assert [layers[f"encoder.stage {k}"].out_shape for k in (1, 2, 3, 4)] == [tuple(each.shape) for each in features]
    assert layers["encoder.patches"].in_shape == SIZE
    assert layers["encoder.merging 1"].in_shape == layers["encoder.stage 1"].out_shape
    assert layers["original_head.head"].out_shape == tuple(drawn.shape)
    assert [layers[f"encoder.stage {k}"].kind for k in (1, 3)] == ["1 block", "2 blocks"]


def test_every_weight_is_in_a_stage_but_those_of_the_last_normalization(network):
    layers = trace_sequence(network, SIZE)
    assert sum(layer.params for layer in layers) + count_parameters(network.encoder.norm) == count_parameters(network)


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match="got unet, light_head"):
        trace_sequence(decomposer_network("set", 4), SIZE)
