"""Seeds, threads and memory layouts."""

import random

import numpy as np
import torch
from torch import nn

from htcv_lib.training.device import place, place_sequences, prepare, seed_everything


def test_the_same_seed_gives_the_same_numbers_from_all_three_generators():
    def draw():
        seed_everything(11)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draw() == draw()


def test_preparing_says_where_to_train_and_keeps_the_threads_asked_for():
    before = torch.get_num_threads()
    try:
        assert prepare(0, threads=1) == ("cuda" if torch.cuda.is_available() else "cpu")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_placed_net_computes_channels_last():
    model = place(nn.Conv2d(3, 4, 3), "cpu")
    assert model(torch.rand(1, 3, 8, 8)).is_contiguous(memory_format=torch.channels_last)


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
