import pytest
import torch
from torch import nn

from htcv_lib.vae.model import Gaussian, LabelVAE

MEAN, STD = (0.5, 0.25), (0.5, 0.125)
# (2, 2, 1, 1); in normalised units (1, 2) and (-1, 0)
IMAGES = torch.tensor([[[[1.0]], [[0.5]]], [[[0.0]], [[0.25]]]])
LABELS, GIVEN = torch.tensor([0, 2]), torch.tensor([1, 0])


class Unfold(nn.Module):
    """z as the pixels; a label, where one is handed over, is added to them."""

    def forward(self, z, label=None):
        return (z if label is None else z + label[:, None])[:, :, None, None]


def identity_vae(**choices) -> LabelVAE:
    """Two pixels, two latents: mu is the normalised image plus (label, 10 label), unit variance."""
    model = LabelVAE(nn.Flatten(), Unfold(), 2, 2, MEAN, STD, num_classes=3, **choices)
    with torch.no_grad():
        model.to_mu.weight.copy_(torch.eye(2))
        for p in (model.to_mu.bias, model.to_logvar.weight, model.to_logvar.bias, model.label_logvar.weight):
            p.zero_()
        model.label_mu.weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 10.0], [2.0, 20.0]]))
    return model


def test_the_posterior_is_that_of_the_normalised_image_plus_its_label():
    posterior = identity_vae().encode(IMAGES, LABELS)
    assert posterior.mu.tolist() == [[1, 2], [-1 + 2, 0 + 20]]
    assert posterior.logvar.tolist() == [[0, 0], [0, 0]]


def test_the_log_variance_has_its_own_map_and_its_own_embedding():
    model = identity_vae()
    with torch.no_grad():
        model.to_logvar.weight.copy_(3 * torch.eye(2))
        model.label_logvar.weight[2] = 5
    assert model.encode(IMAGES, LABELS).logvar.tolist() == [[3, 6], [-3 + 5, 0 + 5]]


def test_a_picture_comes_back_in_the_units_of_the_image_unclipped():
    pred = identity_vae().decode(torch.tensor([[1.0, 2.0], [-4.0, 0.0]]), LABELS)
    assert pred.flatten(1).tolist() == [[1.0, 0.5], [0.5 - 4 * 0.5, 0.25]]


def test_without_sampling_z_is_the_posteriors_mean():
    out = identity_vae()(IMAGES, torch.zeros(2, dtype=torch.long), sample=False)
    assert torch.equal(out.z, out.posterior.mu)
    torch.testing.assert_close(out.pred, IMAGES)


def test_with_sampling_z_is_drawn_from_the_posterior():
    model = identity_vae()
    torch.manual_seed(0)
    out = model(IMAGES, LABELS)
    torch.manual_seed(0)
    torch.testing.assert_close(out.z, out.posterior.mu + torch.randn(2, 2))


def test_draws_have_the_mean_and_the_deviation_of_the_gaussian_and_follow_the_generator():
    gaussian = Gaussian(torch.full((20000, 1), 3.0), torch.full((20000, 1), 0.25).log())
    one, again = (gaussian.sample(torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(one, again)
    assert one.mean() == pytest.approx(3, abs=0.02) and one.std() == pytest.approx(0.5, abs=0.02)


def test_gradients_pass_through_a_draw():
    mu, logvar = torch.zeros(4, 2, requires_grad=True), torch.zeros(4, 2, requires_grad=True)
    Gaussian(mu, logvar).sample().sum().backward()
    assert mu.grad.eq(1).all() and logvar.grad.any()


def test_the_reports_model_relabels_by_encoding_with_the_given_label():
    model = identity_vae()
    torch.testing.assert_close(model.relabel(IMAGES, LABELS, GIVEN), model.reconstruct(IMAGES, GIVEN))
    assert not torch.equal(model.relabel(IMAGES, LABELS, GIVEN), model.reconstruct(IMAGES, LABELS))


def test_the_reports_prior_is_standard_for_every_label():
    prior = identity_vae().prior(LABELS)
    assert prior.mu.tolist() == prior.logvar.tolist() == [[0, 0], [0, 0]]


def test_a_conditional_prior_starts_standard_and_belongs_to_the_label():
    model = LabelVAE(nn.Flatten(), Unfold(), 2, 2, MEAN, STD, conditional=True)
    assert not model.prior(LABELS).mu.any() and not model.prior(LABELS).logvar.any()
    with torch.no_grad():
        model.prior_mu.weight[2] = 7
    assert model.prior(LABELS).mu.tolist() == [[0, 0], [7, 7]]


def test_a_conditional_model_moves_z_from_its_own_prior_to_the_given_one():
    model = identity_vae(conditional=True)
    with torch.no_grad():
        model.label_mu.weight.zero_()
        model.prior_mu.weight.copy_(torch.tensor([[0.0, 1.0], [10.0, 20.0], [3.0, 4.0]]))
        model.prior_logvar.weight.copy_(2 * torch.tensor([[1.0, 1.0], [3.0, 5.0], [2.0, 4.0]]).log())
    # first image, 0 -> 1: z (1, 2) is (1, 1) beyond its mean; deviations grow 3 and 5 times: (10 + 3, 20 + 5)
    # second image, 2 -> 0: z (-1, 0) is (-4, -4) beyond; deviations shrink to 1/2 and 1/4: (0 - 2, 1 - 1)
    # the decoder then adds the given label, 1 and 0
    expected = torch.tensor([[14.0, 26.0], [-2.0, 0.0]]) * torch.tensor(STD) + torch.tensor(MEAN)
    torch.testing.assert_close(model.relabel(IMAGES, LABELS, GIVEN).flatten(1), expected)


def test_relabelling_with_the_own_label_is_reconstructing():
    model = identity_vae(conditional=True)
    nn.init.normal_(model.prior_mu.weight)
    nn.init.normal_(model.prior_logvar.weight)
    torch.testing.assert_close(model.relabel(IMAGES, LABELS, LABELS), model.reconstruct(IMAGES, LABELS))


def test_only_a_conditional_decoder_is_told_the_label():
    z = torch.zeros(2, 2)
    assert torch.equal(identity_vae().decode(z, LABELS), identity_vae().decode(z, GIVEN))
    model = identity_vae(conditional=True)
    assert not torch.equal(model.decode(z, LABELS), model.decode(z, GIVEN))


@pytest.mark.parametrize("shape", [(), (2, 1, 1)])
def test_the_scale_of_the_likelihood_is_learned_with_the_shape_asked_for(shape):
    model = identity_vae(scale_shape=shape, init_log_scale=-1.5)
    assert model.log_scale.shape == shape and model.log_scale.eq(-1.5).all()
    assert any(p is model.log_scale for p in model.parameters())


def test_mean_and_deviation_are_saved_but_not_learned():
    model = identity_vae()
    assert {"mean", "std"} <= model.state_dict().keys()
    assert not {"mean", "std"} & {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("label", [torch.tensor([0]), torch.zeros(2, 3, dtype=torch.long), torch.zeros(2)])
def test_labels_that_are_not_one_integer_an_image_are_refused(label):
    model = identity_vae()
    for call in (lambda: model.encode(IMAGES, label), lambda: model.decode(torch.zeros(2, 2), label)):
        with pytest.raises(ValueError, match="expected 2 integer labels"):
            call()


def test_a_gain_moves_the_priors_faster_and_changes_nothing_else():
    plain, fast = (identity_vae(conditional=True, prior_gain=gain) for gain in (1.0, 5.0))
    label = torch.tensor([1, 2])
    for model in (plain, fast):
        torch.nn.init.ones_(model.prior_mu.weight)
    assert torch.equal(fast.prior(label).mu, 5 * plain.prior(label).mu)
    assert torch.equal(fast.prior(label).logvar, plain.prior(label).logvar)
