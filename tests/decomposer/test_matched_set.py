"""The set network in the reports' formula."""

import torch

from htcv_lib.decomposer.layers import Decomposition
from htcv_lib.decomposer.set_network import MatchedSetDecomposer, SetDecomposer


def test_its_highlight_is_the_light_that_is_added():
    torch.manual_seed(0)
    model = MatchedSetDecomposer((4, 4, 8, 8)).eval()
    with torch.no_grad():
        model.network.pixel_head.bias[-1] = 3.0  # a highlight above 1
        image = torch.rand(1, 3, 4, 16, 16)
        found, inner = model(image), model.network(image)
    assert isinstance(found, Decomposition) and isinstance(model.network, SetDecomposer)
    assert inner.highlight.min() > 1 and torch.equal(found.light, torch.ones_like(found.light))
    assert torch.equal(found.shadow, inner.shadow) and torch.equal(found.original, inner.original)
    torch.testing.assert_close(found.relit(), found.original * found.shadow + found.light)


def test_light_gets_a_gradient_from_the_start():
    torch.manual_seed(0)
    model = MatchedSetDecomposer((4, 4, 8, 8))
    model(torch.rand(1, 3, 4, 16, 16)).light.mean().backward()
    assert model.network.pixel_head.bias.grad[-1] > 0
