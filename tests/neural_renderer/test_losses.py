import pytest
import torch
from torch import nn
from torchvision.models import vgg16

from htcv_lib.data.files import missing
from htcv_lib.data.manifest import DataError, load_manifest
from htcv_lib.neural_renderer.losses import (
    LAYERS,
    MEAN,
    STD,
    masked_l1_loss,
    truncated,
    vgg_features,
    vgg_layers,
    vgg_loss,
)


def test_an_error_on_the_object_counts_eleven_times_and_on_black_once():
    target = torch.full((1, 3, 2, 2), -1.0)
    target[..., 0, 0] = -0.94  # ambient light
    pred = target + 0.1
    assert masked_l1_loss(pred, target).item() == pytest.approx(0.1 * (11 + 3) / 4, rel=1e-5)
    assert masked_l1_loss(pred, target, object_weight=19).item() == pytest.approx(0.1 * (20 + 3) / 4, rel=1e-5)
    assert masked_l1_loss(pred, target, object_weight=0).item() == pytest.approx(0.1, rel=1e-5)


def test_only_the_target_says_what_the_object_is():
    black = torch.full((1, 3, 2, 2), -1.0)
    assert masked_l1_loss(black + 1, black).item() == 1
    assert masked_l1_loss(black, black).item() == 0


def same_layers() -> nn.Sequential:
    """As many layers as VGG16 has up to relu3_3; all keep what they are given."""
    return nn.Sequential(*(nn.Identity() for _ in range(LAYERS[-1] + 1)))


def test_layers_that_change_nothing_give_three_times_the_difference_of_normalised_pictures():
    target = torch.rand(2, 3, 8, 9) - 0.5
    expected = 3 * sum(0.1 / std for std in STD) / 3  # [-1, 1] to [0, 1] halves the difference
    assert vgg_loss(target + 0.2, target, same_layers()).item() == pytest.approx(expected, rel=1e-4)
    assert vgg_loss(target, target, same_layers()).item() == 0


def test_mid_grey_reaches_the_network_as_imagenet_has_it():
    seen = []
    network = same_layers()
    network[0].register_forward_hook(lambda module, given, output: seen.append(given[0]))
    vgg_loss(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), network)
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx([(0.5 - m) / s for m, s in zip(MEAN, STD, strict=True)])


def test_the_layers_are_relu1_2_relu2_2_and_relu3_3():
    with torch.device("meta"):
        network = truncated(vgg16())
        shapes = [tuple(f.shape) for f in vgg_features(torch.zeros(1, 3, 32, 48), network)]
    assert shapes == [(1, 64, 32, 48), (1, 128, 16, 24), (1, 256, 8, 12)]
    assert all(isinstance(network[number], nn.ReLU) for number in LAYERS)
    assert not any(p.requires_grad for p in network.parameters())


def test_without_weights_the_loss_says_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.delenv("HTCV_DATA", raising=False)
    monkeypatch.setenv("HTCV_CACHE", str(tmp_path))
    vgg_layers.cache_clear()
    with pytest.raises(DataError, match=r"vgg16-relu3_3.*htcv data fetch"):
        vgg_loss(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32))


def test_with_its_weights_the_loss_sees_structure_and_not_only_a_difference():
    if missing(load_manifest("imagenet_backbones")):
        pytest.skip("the ImageNet backbones are not here")
    torch.manual_seed(0)
    target = torch.zeros(1, 3, 32, 32)
    striped = target + 0.2 * torch.tensor([1.0, -1.0]).repeat(16)
    assert vgg_loss(striped, target) > 1.5 * vgg_loss(target + 0.2, target) > 0


def test_the_gradient_goes_to_the_prediction_alone():
    pred, target = (torch.rand(1, 3, 4, 4).requires_grad_() for _ in range(2))
    vgg_loss(pred, target, same_layers()).backward()
    assert pred.grad.abs().sum() > 0 and target.grad is None
