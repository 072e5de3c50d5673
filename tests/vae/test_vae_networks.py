"""The label VAEs and classifiers by name."""

import pytest
import torch

from htcv_lib.networks import count_parameters
from htcv_lib.vae.judge import make_classifier
from htcv_lib.vae.losses import discretized_logistic_log_likelihood, gaussian_log_likelihood
from htcv_lib.vae.networks import make_label_vae, start_from_pca


@pytest.mark.parametrize(("network", "shape", "latent", "widths"), [
    ("digit", (1, 28, 28), 10, ()), ("resnet9", (3, 32, 32), 16, (2, 3, 4, 5)),
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
    with pytest.raises(ValueError, match="plain"):
        make_classifier("vgg", 3)


def test_classifiers_by_name_have_ten_logits_and_the_guide_is_the_reports_size():
    assert count_parameters(make_classifier("digit", 1)) == 5196 < 8000
    assert make_classifier("plain", 1, (4, 8))(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert make_classifier("resnet9", 3, (2, 3, 4, 5)).eval()(torch.rand(2, 3, 32, 32)).shape == (2, 10)


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
