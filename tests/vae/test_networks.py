import pytest
import torch

from htcv_lib.networks import count_parameters
from htcv_lib.vae.losses import discretized_logistic_log_likelihood, gaussian_log_likelihood
from htcv_lib.vae.networks import (
    DigitDecoder,
    DigitEncoder,
    ResNet9Decoder,
    ResNet9Encoder,
    make_label_vae,
    start_from_pca,
)


def test_encoder_and_decoder_have_the_parameters_of_the_reports_nets():
    assert count_parameters(DigitEncoder()) == 5196
    assert count_parameters(DigitDecoder()) == 7137


def test_the_encoder_sees_22_pixels_before_and_5_after_its_halving():
    sizes, x = [], torch.rand(1, 1, 28, 28)
    for layer in DigitEncoder():
        x = layer(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes[2:4] == [(11, 22, 22), (11, 11, 11)] and sizes[7] == (11, 5, 5)


@pytest.mark.parametrize("net", [DigitEncoder, DigitDecoder])
def test_every_normalisation_follows_the_relu(net):
    order = [type(layer).__name__ for layer in net().modules() if not list(layer.children())]
    norms = [i for i, name in enumerate(order) if name == "BatchNorm2d"]
    assert len(norms) == 6 and all(order[i - 1] == "ReLU" for i in norms)
    assert order.count("ReLU") == 6  # nothing else is rectified: the plain layers are linear


NARROW = (2, 4, 6, 8)
CONVOLUTIONS = [(3, 64), (64, 128), (128, 128), (128, 128), (128, 256), (256, 512), (512, 512), (512, 512)]


def test_the_encoder_has_the_reports_number_of_parameters():
    expected = sum(9 * a * b + 3 * b for a, b in CONVOLUTIONS) + 512 * 512 + 512
    with torch.device("meta"):
        count = count_parameters(ResNet9Encoder())
    assert count == expected and round(count / 1e6, 2) == 6.83


def test_the_decoder_has_the_reports_number_of_parameters():
    with torch.device("meta"):
        assert count_parameters(ResNet9Decoder()) == 11_026_179


def test_encoders_have_the_features_and_both_have_the_channels_asked_for():
    assert DigitEncoder(out_features=7)(torch.rand(2, 1, 28, 28)).shape == (2, 7)
    assert ResNet9Encoder(NARROW, out_features=5, in_channels=1)(torch.rand(2, 1, 32, 32)).shape == (2, 5)
    assert ResNet9Decoder(NARROW, latent=5, out_channels=1)(torch.rand(2, 5)).shape == (2, 1, 32, 32)


def test_dropout_follows_every_relu_but_never_the_logits():
    assert ResNet9Encoder(NARROW, out_features=10, dropout=1.0)(torch.rand(2, 3, 32, 32)).all()
    drops = [module for net in (ResNet9Encoder(NARROW), ResNet9Decoder(NARROW)) for module in net.modules()
             if type(module).__name__ == "Dropout"]
    assert len(drops) == 8 + 7


def test_the_decoders_output_is_linear():
    pred = ResNet9Decoder(NARROW, latent=5)(torch.randn(8, 5))
    assert pred.min() < 0 < pred.max()


@pytest.mark.parametrize(("net", "shape"), [
    (ResNet9Encoder(NARROW, dropout=0.0), (4, 3, 32, 32)), (ResNet9Decoder(NARROW, latent=5, dropout=0.0), (4, 5))])
def test_every_resnet9_parameter_gets_a_gradient(net, shape):
    net(torch.randn(shape)).square().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("net", [ResNet9Encoder(NARROW), ResNet9Decoder(NARROW)])
def test_a_residual_block_without_its_body_passes_its_input(net):
    blocks = [module for module in net.modules() if type(module).__name__ == "Residual"]
    assert len(blocks) == 2
    for block in blocks:
        channels = block.body[0][0].weight.shape[0]
        x = torch.rand(1, channels, 4, 4)
        torch.nn.init.zeros_(next(m for m in block.body[1] if type(m).__name__ == "BatchNorm2d").weight)
        assert torch.equal(block.eval()(x), x)


@pytest.mark.parametrize(("network", "shape", "latent", "widths"), [
    ("digit", (1, 28, 28), 3, ()), ("resnet9", (3, 32, 32), 16, (2, 3, 4, 5)),
    ("resnet34", (3, 32, 32), 16, (2, 2, 3, 3)),
    ("dense", (1, 28, 20), 6, (12,)), ("patch", (3, 32, 24), 8, (6, 6))])
def test_a_vae_by_name_reconstructs_its_shape_and_every_parameter_gets_a_gradient(network, shape, latent, widths):
    model = make_label_vae(network, shape, latent, widths, conditional=network in ("dense", "patch"))
    image, label = torch.rand(3, *shape), torch.tensor([0, 4, 9])
    out = model(image, label)
    assert out.pred.shape == image.shape and out.z.shape == (3, latent)
    (out.pred.sum() + model.log_scale + sum(part.sum() for part in (*out.prior, *out.posterior))).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_a_network_that_does_not_exist_or_cannot_be_conditional_is_refused():
    with pytest.raises(ValueError, match="digit, resnet9"):
        make_label_vae("unet", (1, 28, 28), 10)
    with pytest.raises(ValueError, match="is not conditional"):
        make_label_vae("digit", (1, 28, 28), 10, conditional=True)


def test_a_patch_vae_starts_as_probabilistic_pca():
    torch.manual_seed(0)
    basis = torch.randn(6, 3 * 8 * 8)
    images = (torch.randn(400, 6) @ basis).mul(0.01).view(-1, 3, 8, 8) + 0.5 + 0.001 * torch.randn(400, 3, 8, 8)
    model = make_label_vae("patch", (3, 8, 8), 6, (4,), conditional=True)
    start_from_pca(model, images, "discrete")
    labels = torch.arange(400) % 10
    with torch.no_grad():
        posterior = model.encode(images, labels)
        left = (model.reconstruct(images, labels) - images).square().mean().sqrt()
    assert left < 0.0012  # six components carry everything but the noise
    assert torch.allclose(posterior.mu.std(dim=0), torch.ones(6), atol=0.05)
    assert posterior.logvar.exp().max() < 0.01  # little noise, little doubt


@pytest.mark.parametrize("likelihood", ["gaussian", "discrete"])
def test_a_patch_vae_starts_at_the_best_scale_of_its_likelihood(likelihood):
    torch.manual_seed(0)
    basis = torch.randn(6, 3 * 8 * 8)
    images = (torch.randn(400, 6) @ basis).mul(0.03).view(-1, 3, 8, 8) + 0.5 + 0.05 * torch.randn(400, 3, 8, 8)
    images = images.clamp(0, 1).mul(255).round().div(255)
    labels = torch.arange(400) % 10
    model = make_label_vae("patch", (3, 8, 8), 6, (4,), conditional=True)
    model.std.mul_(2)  # as if these pictures varied more: the units of the scale matter
    start_from_pca(model, images, likelihood)
    with torch.no_grad():
        pred = model.decode(model.encode(images, labels).sample(), labels)

        def nats(shift: float) -> float:
            scale = model.log_scale + shift
            found = (gaussian_log_likelihood(images / model.std, pred / model.std, scale)
                     if likelihood == "gaussian" else discretized_logistic_log_likelihood(images, pred, scale))
            return float(found.mean())

        assert nats(0.0) > max(nats(-0.25), nats(0.25))


def test_pca_needs_more_pictures_than_components():
    model = make_label_vae("patch", (3, 8, 8), 6, (4,), conditional=True)
    with pytest.raises(ValueError, match="6 components need"):
        start_from_pca(model, torch.rand(6, 3, 8, 8), "discrete")
