"""Memory layouts of networks with convolutions over pictures and over time."""

import torch
from torch import nn

from htcv_lib.training.device import place_sequences


def test_weights_of_both_kinds_lie_channels_last_and_compute_the_same():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv3d(3, 4, 3, padding=1), nn.Flatten(2, 3), nn.Conv2d(4, 5, 3), nn.Flatten(),
                          nn.LazyLinear(2))
    image = torch.rand(2, 3, 4, 6, 6)
    before = model(image)
    assert place_sequences(model, "cpu") is model
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert model[2].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(image), before)


def test_parameters_stay_the_same_objects_so_an_optimizer_made_before_still_moves_them():
    model = nn.Conv3d(1, 2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    before = place_sequences(model, "cpu").weight.detach().clone()
    model(torch.ones(1, 1, 3, 3, 3)).sum().backward()
    optimizer.step()
    assert not torch.equal(model.weight, before)
