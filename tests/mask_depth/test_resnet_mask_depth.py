import pytest
import torch
from torchvision.models import resnet18

from htcv_lib.mask_depth.networks import ResNetMaskDepth
from htcv_lib.networks import count_parameters


def test_mask_and_depth_have_the_resolution_of_the_image():
    out = ResNetMaskDepth(1, in_channels=6, bins=3)(torch.rand(2, 6, 16, 24))
    assert out.mask.shape == out.depth.shape == (2, 1, 16, 24)
    assert out.raw.shape == (2, 4, 16, 24)


def test_every_parameter_of_the_resnet_gets_a_gradient():
    torch.manual_seed(0)
    model = ResNetMaskDepth(2, scaling="sigmoid")
    out = model(torch.rand(2, 3, 16, 24))
    (out.mask.square().mean() + out.depth.square().mean()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_encoder_has_the_parameters_of_a_resnet_18_behind_another_stem():
    with torch.device("meta"):
        model, published = ResNetMaskDepth(), resnet18()
    stem = 9 * (3 * 16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64)
    theirs = sum(count_parameters(getattr(published, f"layer{i}")) for i in range(1, 5))
    assert count_parameters(model.encoder) == stem + theirs
    assert count_parameters(model) == 11_497_744  # the report's follow-up says 11 million


def test_the_coarsest_features_have_an_eighth_of_the_resolution():
    assert ResNetMaskDepth(1).encoder(torch.rand(1, 3, 16, 24)).shape == (1, 32, 2, 3)


def test_sizes_that_do_not_halve_three_times_are_refused():
    with pytest.raises(ValueError, match="multiples of 8"):
        ResNetMaskDepth(1)(torch.rand(1, 3, 16, 20))
