"""What holds for any network: parameters, traced shapes, frozen nets; the shared ResNet-34."""

import torch
from torch import nn
from torchvision.models import resnet34

from htcv_lib.networks import count_parameters, frozen, trace_shapes
from htcv_lib.pets_unet.networks import UNet
from htcv_lib.vae.networks import ResNet34Encoder


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


def test_a_frozen_model_is_in_evaluation_mode_and_passes_gradients_without_taking_any():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    assert frozen(net) is net and not any(module.training for module in net.modules())
    before = net[1].running_mean.clone()
    x = torch.ones(3, 2, requires_grad=True)
    net(x).sum().backward()
    assert x.grad.any() and all(p.grad is None for p in net.parameters())
    assert torch.equal(net[1].running_mean, before)


def test_it_is_torchvisions_net_but_for_the_stem_and_the_head():
    with torch.device("meta"):
        ours = count_parameters(ResNet34Encoder(out_features=10))
        theirs = count_parameters(resnet34(num_classes=10))
    assert ours == theirs - 3 * 64 * 7 * 7 + 3 * 64 * 3 * 3


def test_it_computes_what_torchvisions_stages_compute():
    torch.manual_seed(0)
    ours, theirs = ResNet34Encoder(out_features=10).eval(), resnet34(num_classes=10).eval()
    theirs.conv1, theirs.bn1, theirs.maxpool = ours[0][0], ours[0][1], torch.nn.Identity()
    for mine, name in zip(list(ours)[1:5], ("layer1", "layer2", "layer3", "layer4"), strict=True):
        getattr(theirs, name).load_state_dict(mine.state_dict())
    theirs.fc.load_state_dict(ours[-1].state_dict())
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image))


def test_an_image_of_32_pixels_reaches_the_last_stage_with_4():
    net = ResNet34Encoder((2, 4, 6, 8), out_features=5, in_channels=1)
    sizes, x = [], torch.rand(2, 1, 32, 32)
    for stage in net:
        x = stage(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes == [(2, 32, 32), (2, 32, 32), (4, 16, 16), (6, 8, 8), (8, 4, 4), (8, 1, 1), (8,), (5,)]
