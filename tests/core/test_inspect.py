import torch
from torch import nn

from htcv_lib.networks import count_parameters, trace_shapes
from htcv_lib.pets_unet.networks import UNet


def test_a_linear_layer_has_weights_and_biases():
    assert count_parameters(nn.Linear(3, 2)) == 8


def test_frozen_parameters_count_unless_only_trainable_ones_are_asked_for():
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    assert (count_parameters(layer), count_parameters(layer, trainable_only=True)) == (8, 6)


def test_the_trace_of_a_unet_follows_the_data_down_and_up_again():
    model = UNet((4, 8, 8), down="strided")
    layers = trace_shapes(model, (1, 3, 8, 16))
    assert [layer.name for layer in layers] == [
        "encoder.0", "down.0", "encoder.1", "down.1", "encoder.2", "up.0", "decoder.0", "up.1", "decoder.1", "head"]
    assert layers[1].kind == "Conv2d" and layers[1].params == 4 * 4 * 9 + 4
    assert layers[4].out_shape == (1, 8, 2, 4)
    assert layers[6].in_shape == (1, 16, 4, 8)  # what came up and the skip
    assert layers[-1].out_shape == (1, 3, 8, 16)
    assert sum(layer.params for layer in layers) == count_parameters(model)


def test_tracing_changes_neither_mode_nor_buffers_and_leaves_no_hook():
    model = UNet((4, 8)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trace_shapes(model, (2, 3, 4, 4))
    assert model.training and model.encoder[0].training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
