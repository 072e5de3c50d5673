import pytest
import torch

from htcv_lib.decomposer.heads import Decomposer
from htcv_lib.decomposer.swin import FramesNet

DEPTHS = (1, 1, 1, 1)


@pytest.mark.parametrize("frames", [1, 4])
def test_the_network_draws_all_views_or_one_picture(frames):
    model = FramesNet(8, frames, depths=DEPTHS)
    views = model(torch.rand(2, 3, 4, 24, 32))
    assert views.shape == (2, 3, frames, 24, 32)
    assert 0 < views.min() and views.max() < 1


def test_the_clean_picture_of_a_many_to_many_network_is_the_mean_of_its_views():
    model, image = FramesNet(8, 4, depths=DEPTHS).eval(), torch.rand(1, 3, 4, 16, 20)
    drawn = model(image)
    expected = (drawn[:, :, 0] + drawn[:, :, 1] + drawn[:, :, 2] + drawn[:, :, 3]) / 4
    assert torch.allclose(model.clean_picture(image)[:, :, 0], expected, atol=1e-6)


@pytest.mark.parametrize(("skips", "passes"), [(True, True), (False, False)])
def test_without_skips_the_fine_features_pass_no_gradient_to_the_encoder(skips, passes):
    torch.manual_seed(0)
    model = FramesNet(8, 4, skips=skips, drop_path=0.0, depths=DEPTHS)
    features = [feature.detach().requires_grad_() for feature in model.encoder(torch.rand(1, 3, 4, 32, 32))]
    model.decoder(features).square().sum().backward()
    assert [bool(feature.grad.any()) for feature in features] == [passes, passes, passes, True]


@pytest.mark.parametrize("frames", [1, 4])
def test_every_parameter_of_the_network_gets_a_gradient(frames):
    torch.manual_seed(0)
    model = FramesNet(8, frames, drop_path=0.0, depths=DEPTHS)
    model(torch.rand(2, 3, 4, 32, 36)).square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_pretrained_encoder_fits_into_the_decomposer():
    autoencoder, decomposer = FramesNet(8, 4, skips=False, depths=DEPTHS), Decomposer(8, 4, depths=DEPTHS)
    decomposer.encoder.load_state_dict(autoencoder.encoder.state_dict())
    views = torch.rand(1, 3, 4, 16, 16)
    pairs = zip(autoencoder.eval().encoder(views), decomposer.eval().encode(views), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_another_number_of_views_is_refused_unless_one_picture_is_drawn():
    with pytest.raises(ValueError, match="draws 4 views"):
        FramesNet(8, 4, depths=DEPTHS)(torch.rand(1, 3, 6, 16, 16))
    assert FramesNet(8, 1, depths=DEPTHS)(torch.rand(1, 3, 6, 16, 16)).shape == (1, 3, 1, 16, 16)
