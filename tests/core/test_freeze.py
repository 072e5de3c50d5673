import torch
from torch import nn

from htcv_lib.networks import frozen


def test_a_frozen_model_is_in_evaluation_mode_and_passes_gradients_without_taking_any():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    assert frozen(net) is net and not any(module.training for module in net.modules())
    before = net[1].running_mean.clone()
    x = torch.ones(3, 2, requires_grad=True)
    net(x).sum().backward()
    assert x.grad.any() and all(p.grad is None for p in net.parameters())
    assert torch.equal(net[1].running_mean, before)
