import pytest
import torch

from htcv_lib.mask_depth.networks import NETWORKS, AtrousNet, mask_depth_network, network_input
from htcv_lib.mask_depth.output import SCALINGS, MaskDepth
from htcv_lib.mask_depth.unet import MaskDepthUNet
from htcv_lib.networks import count_parameters


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("inputs", ["composite", "both"])
def test_every_network_takes_what_it_is_shown(name, inputs):
    batch = {"image": torch.rand(2, 3, 16, 32), "background": torch.rand(2, 3, 16, 32)}
    out = mask_depth_network(name, 8, inputs, bins=4)(network_input(batch, inputs))
    assert isinstance(out, MaskDepth)
    assert out.mask.shape == out.depth.shape == (2, 1, 16, 32) and out.raw.shape == (2, 5, 16, 32)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_every_scaling_can_be_asked_of_every_network(scaling):
    models = {name: mask_depth_network(name, 8, scaling=scaling) for name in NETWORKS}
    assert {name: model.scaling for name, model in models.items()} == dict.fromkeys(NETWORKS, scaling)


@pytest.mark.parametrize(("name", "parameters"), [("v1", 244_720), ("v2", 224_688)])
def test_the_reports_networks_are_the_default(name, parameters):
    model = mask_depth_network(name)
    assert isinstance(model, AtrousNet) and count_parameters(model) == parameters
    assert model.scaling == "minmax"


def test_the_unet_at_16_planes_is_the_default_one():
    assert count_parameters(mask_depth_network("unet")) == count_parameters(MaskDepthUNet())


def test_residual_and_coordinates_reach_the_network():
    assert all(block.residual for block in mask_depth_network("v2", 2, residual=True).encoder[3:])
    assert mask_depth_network("unet", 8, coords=True).coords


def test_the_input_is_the_composite_or_composite_then_background():
    batch = {"image": torch.rand(1, 3, 2, 4), "background": torch.rand(1, 3, 2, 4)}
    assert torch.equal(network_input(batch), batch["image"])
    both = network_input(batch, "both")
    assert torch.equal(both[:, :3], batch["image"]) and torch.equal(both[:, 3:], batch["background"])


def test_the_composite_alone_needs_no_background():
    assert network_input({"image": torch.zeros(1, 3, 2, 4)}).shape == (1, 3, 2, 4)


@pytest.mark.parametrize(("settings", "message"), [
    ({"name": "v3"}, "a network is one of"), ({"name": "v2", "inputs": "background"}, "inputs must be"),
    ({"name": "unet", "residual": True}, "no dilated blocks"), ({"name": "v1", "coords": True}, "no coordinates"),
    ({"name": "v1", "scaling": "clip"}, "scaling must be"), ({"name": "v1", "bins": 0}, "at least 1")])
def test_settings_a_network_does_not_have_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        mask_depth_network(**settings)


def test_an_unknown_input_is_refused():
    with pytest.raises(ValueError, match="inputs must be"):
        network_input({"image": torch.zeros(1, 3, 2, 2)}, "difference")


def test_what_is_shown_can_be_rounded_to_equal_levels():
    batch = {"image": torch.tensor([0.0, 0.2, 0.4, 0.8]).view(1, 1, 1, 4)}
    assert network_input(batch, levels=3).flatten().tolist() == [0.0, 0.0, 0.5, 1.0]  # 0.4 is nearer to 0.5 than to 0
    with pytest.raises(ValueError, match="levels"):
        network_input(batch, levels=1)
