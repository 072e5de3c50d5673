from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from htcv_lib.networks import frozen
from htcv_lib.training.loop import fit
from htcv_lib.training.phase import Phase, gradient_step
from htcv_lib.vae.losses import (
    discretized_logistic_log_likelihood,
    gaussian_log_likelihood,
    kl_divergence,
    kl_sample,
    mixture_log_likelihood,
)
from htcv_lib.vae.model import LabelVAE
from htcv_lib.vae.networks import make_mixture_vae
from htcv_lib.vae.objective import (
    evaluate_mixture,
    evaluate_pictures,
    evaluate_vae,
    guide_nll,
    in_units_of,
    mixture_objective,
    perturb_labels,
    vae_objective,
)

SHAPE = (1, 12, 13)  # C, H, W


class TellingDecoder(nn.Module):
    """Linear in z and in the one-hot label."""

    def __init__(self, latent: int):
        super().__init__()
        self.linear = nn.Linear(latent + 10, 12 * 13)

    def forward(self, z, label):
        return self.linear(torch.cat([z, F.one_hot(label, 10)], dim=1)).unflatten(1, SHAPE)


def tiny_vae(conditional: bool = False, **more) -> LabelVAE:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12 * 13, 6), nn.Tanh())
    decoder = TellingDecoder(3) if conditional else nn.Sequential(nn.Linear(3, 12 * 13), nn.Unflatten(1, SHAPE))
    model = LabelVAE(encoder, decoder, 6, 3, mean=[0.4], std=[0.25], conditional=conditional, **more)
    if conditional:  # as if trained: every class elsewhere
        for table in (model.label_mu, model.prior_mu, model.prior_logvar):
            nn.init.normal_(table.weight)
    return model


def tiny_guide() -> nn.Module:
    """A classifier with batch normalization and dropout, which betray the mode they are in."""
    torch.manual_seed(1)
    return frozen(nn.Sequential(nn.Flatten(), nn.Linear(12 * 13, 8), nn.BatchNorm1d(8), nn.Dropout(0.5),
                                nn.Linear(8, 10)))


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (8, *SHAPE), generator=generator)
    return {"image": pixels / 255, "label": torch.arange(8) % 10}


def buffers(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.named_buffers()}


def test_labels_are_perturbed_as_often_as_asked_and_one_in_ten_of_those_stays():
    torch.manual_seed(0)
    label = torch.full((20_000,), 3)
    assert perturb_labels(label, 0.0) is label
    assert (perturb_labels(label, 0.1) != 3).double().mean().item() == pytest.approx(0.09, abs=0.01)
    assert (perturb_labels(torch.full((32,), 10), 0.1, num_classes=3) != 10).sum() == 3  # rounded down, as the report
    everything = torch.bincount(perturb_labels(label, 1.0), minlength=10)
    assert everything.double().div(20_000).tolist() == pytest.approx([0.1] * 10, abs=0.01)


@pytest.mark.parametrize("likelihood", ["gaussian", "discrete"])
@pytest.mark.parametrize("kl", ["analytic", "sample"])
def test_the_terms_are_the_published_ones_and_add_up(batch, kl, likelihood):
    model, guide = tiny_vae(init_log_scale=-1.0), tiny_guide()
    torch.manual_seed(5)
    terms = vae_objective(model, batch, guide=guide, label_weight=7.0, kl=kl, kl_weight=0.5, likelihood=likelihood)
    torch.manual_seed(5)
    out = model(batch["image"], batch["label"])
    if likelihood == "gaussian":
        normalised = ((picture - 0.4) / 0.25 for picture in (batch["image"], out.pred))
        nats = gaussian_log_likelihood(*normalised, model.log_scale)
    else:
        nats = discretized_logistic_log_likelihood(batch["image"], out.pred, model.log_scale)
    divergence = kl_divergence(*out.posterior) if kl == "analytic" else kl_sample(out.z, *out.posterior)
    assert list(terms) == ["loss", "reconstruction", "kl", "label"]
    torch.testing.assert_close(terms["reconstruction"], -nats.mean())
    torch.testing.assert_close(terms["kl"], 0.5 * divergence.mean())
    torch.testing.assert_close(terms["label"], 7 * F.cross_entropy(guide(out.pred), batch["label"]))
    torch.testing.assert_close(terms["loss"], terms["reconstruction"] + terms["kl"] + terms["label"])


def test_the_label_term_follows_the_given_label_or_the_true_one(batch):
    model, guide = tiny_vae(), tiny_guide()

    def term(target: str, perturb: float) -> float:
        torch.manual_seed(2)
        terms = vae_objective(model, batch, guide=guide, label_weight=1.0, label_target=target, perturb=perturb)
        return terms["label"].item()

    assert term("given", 0.0) == term("true", 0.0)
    torch.manual_seed(2)
    given = perturb_labels(batch["label"], 0.5)
    out = model(batch["image"], given)
    assert (given != batch["label"]).any()
    expected = [F.cross_entropy(guide(out.pred), target).item() for target in (given, batch["label"])]
    assert [term("given", 0.5), term("true", 0.5)] == pytest.approx(expected) and expected[0] != expected[1]


def test_a_frozen_guide_stays_as_it_is_and_gets_no_gradient(batch):
    model, guide = tiny_vae(), tiny_guide()
    before = buffers(guide)
    vae_objective(model, batch, guide=guide, label_weight=1.0)["label"].backward()
    assert not guide.training and all(p.grad is None for p in guide.parameters())
    assert all(torch.equal(value, before[name]) for name, value in guide.named_buffers())
    assert model.decoder[0].weight.grad.abs().sum() > 0  # passed through the guide


def test_a_guide_in_training_mode_drifts_and_is_left_in_evaluation_mode(batch):
    model, guide = tiny_vae(), tiny_guide()
    before = buffers(guide)
    vae_objective(model, batch, guide=guide, label_weight=1.0, guide_training=True)["label"].backward()
    assert not any(module.training for module in guide.modules())
    assert all(p.grad is None for p in guide.parameters())
    assert not torch.equal(guide[2].running_mean, before["2.running_mean"])
    losses = {guide_nll(guide, batch["image"], batch["label"], training=True).item() for _ in range(3)}
    assert len(losses) == 3  # dropout


def test_every_step_has_the_same_terms_whatever_is_switched_off(batch):
    model, guide = tiny_vae(), tiny_guide()
    for more in ({}, {"label_weight": 1.0}, {"guide": guide}, {"kl_weight": 0.0, "sample": False}):
        terms = vae_objective(model, batch, **more)
        assert list(terms) == ["loss", "reconstruction", "kl", "label"] and terms["label"] == 0
        assert all(value.shape == () for value in terms.values())
    assert terms["kl"] == 0


def test_an_autoencoder_trains_though_its_variance_is_not_used(batch):
    model = tiny_vae()
    objective = partial(vae_objective, model, kl_weight=0.0, sample=False)
    untouched = model.to_logvar.weight.clone()
    gradient_step(Phase("vae", objective, torch.optim.Adam(model.parameters())), batch)
    assert torch.equal(model.to_logvar.weight, untouched) and model.to_mu.weight.grad is not None


@pytest.mark.parametrize("conditional", [False, True])
def test_swapped_pictures_are_those_of_relabel_and_judged_by_the_label_asked_for(batch, conditional):
    model, guide, seen = tiny_vae(conditional), tiny_guide(), []
    guide.register_forward_hook(lambda _, inputs, logits: seen.append((inputs[0], logits)))
    terms = vae_objective(model, batch, guide=guide, label_weight=3.0, swap_share=0.3)
    [(pictures, logits)] = seen
    assert len(pictures) == 3  # of 8, rounded up
    image, label = batch["image"][:3], batch["label"][:3]
    clipped = {(i, other): model.relabel(image[[i]], label[[i]], torch.tensor([other]))[0].clamp(0, 1)
               for i in range(3) for other in range(10)}
    candidates = [[other for other in range(10)
                   if other != own and torch.allclose(picture, clipped[i, other], atol=1e-5)]
                  for i, (own, picture) in enumerate(zip(label.tolist(), pictures, strict=True))]
    assert [len(found) for found in candidates] == [1, 1, 1]
    other = torch.tensor(candidates).flatten()
    torch.testing.assert_close(terms["label"], 3 * F.cross_entropy(logits, other))
    (gradient,) = torch.autograd.grad(terms["label"], model.to_mu.weight)
    assert gradient.abs().sum() > 0


def test_the_cycle_costs_the_way_back_in_standard_deviations(batch):
    model = tiny_vae(conditional=True)
    torch.manual_seed(4)
    terms = vae_objective(model, batch, swap_share=1.0, cycle_weight=2.0)
    torch.manual_seed(4)
    torch.randn(8, 3)  # the draw from the posterior
    other = (batch["label"] + torch.randint(1, 10, (8,))) % 10
    swapped = model.relabel(batch["image"], batch["label"], other)
    away = [in_units_of(model.prior(label), model.encode(picture, label).mu)
            for picture, label in ((batch["image"], batch["label"]), (swapped, other))]
    torch.testing.assert_close(terms["cycle"], 2 * (away[1] - away[0]).square().sum(1).mean())
    torch.testing.assert_close(terms["loss"], terms["reconstruction"] + terms["kl"] + terms["cycle"])


@pytest.mark.parametrize("kl", ["analytic", "sample"])
def test_terms_are_computed_in_float32_where_the_nets_compute_in_bfloat16(batch, kl):
    model, guide = tiny_vae(conditional=True), tiny_guide()
    with torch.autocast("cpu", torch.bfloat16):
        terms = vae_objective(model, batch, guide=guide, label_weight=1.0, kl=kl, swap_share=1.0, cycle_weight=1.0)
    assert {value.dtype for value in terms.values()} == {torch.float32}
    terms["loss"].backward()


@pytest.mark.parametrize(("options", "words"), [
    ({"label_target": "own"}, "given or true"), ({"kl": "exact"}, "analytic or sample"),
    ({"likelihood": "mse"}, "gaussian or discrete"), ({"cycle_weight": 1.0}, "swap_share"),
])
def test_unknown_options_are_refused_by_name(batch, options, words):
    with pytest.raises(ValueError, match=words):
        vae_objective(tiny_vae(), batch, **options)


def test_a_conditional_model_is_told_no_wrong_labels(batch):
    with pytest.raises(ValueError, match="perturb must be 0"):
        vae_objective(tiny_vae(conditional=True), batch, perturb=0.1)


def test_a_tiny_vae_learns_one_batch(batch):
    model, guide = tiny_vae(conditional=True), tiny_guide()
    objective = partial(vae_objective, model, guide=guide, label_weight=1.0, swap_share=0.5, cycle_weight=0.1)
    phase = Phase("vae", objective, torch.optim.Adam(model.parameters(), lr=0.01))
    before = evaluate_vae(model, [batch], guide=guide)
    history = fit([phase], [batch], epochs=40, models={"vae": model}, progress=False)
    after = evaluate_vae(model, [batch], guide=guide)
    assert after["total"] < before["total"] and after["psnr"] > before["psnr"]
    assert history.rows[-1]["train/vae/loss"] < history.rows[0]["train/vae/loss"]


@pytest.mark.parametrize("conditional", [False, True])
def test_scores_of_a_split_are_its_means_the_same_each_time_and_leave_modes_and_noise(batch, conditional):
    model, guide, judge = tiny_vae(conditional).train(), tiny_guide(), tiny_guide().train()
    parts = [{name: value[rows] for name, value in batch.items()} for rows in (slice(0, 5), slice(5, 8))]
    torch.manual_seed(0)
    scores = evaluate_vae(model, parts, guide=guide, judge=judge, label_weight=10.0)
    drawn = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(1), drawn)  # the global generator was not used
    assert model.training and judge.training and not guide.training
    assert scores == evaluate_vae(model, parts, guide=guide, judge=judge, label_weight=10.0)
    assert scores.keys() == {"total", "reconstruction_ll", "kl", "label_loss", "label_nll", "sigma", "psnr", "ssim",
                             "sharpness", "recognised", "swap_success", "style_kept", "swap_guide"}
    assert scores["total"] == pytest.approx(scores["kl"] - scores["reconstruction_ll"] + scores["label_loss"])
    assert scores["label_loss"] == pytest.approx(10 * scores["label_nll"]) and scores["sigma"] == 1
    posterior, prior = model.encode(batch["image"], batch["label"]), model.prior(batch["label"])
    assert scores["kl"] == pytest.approx(kl_divergence(*posterior, *prior).mean().item(), rel=1e-5)


def test_bits_per_dim_are_those_of_the_bound(batch):
    model = tiny_vae(init_log_scale=-3.0)
    scores = evaluate_vae(model, [batch], likelihood="discrete")
    bits = (scores["kl"] - scores["reconstruction_ll"]) / 0.6931472 / (12 * 13)
    assert scores["bits_per_dim"] == pytest.approx(bits) and bits > 0 and "label_nll" not in scores


class Relabeller(nn.Module):
    """Pictures in which the first ten pixels tell the class, and the rest is their style.

    Args:
        change: Show the given class.
        keep: Keep the rest; otherwise it is the mean of the given class.
    """

    def __init__(self, change: bool, keep: bool, rest: torch.Tensor | None = None):
        super().__init__()
        self.change, self.keep, self.rest = change, keep, rest

    def reconstruct(self, image, label):
        return image

    def relabel(self, image, label, given):
        pred = image.clone() if self.keep else self.rest.expand_as(image).clone()
        return show_class(pred, given if self.change else label)


class Reader(nn.Module):
    """The judge that knows where the class is written."""

    def forward(self, image):
        return image[:, 0, 0, :10]


def show_class(image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    image[:, 0, 0, :10] = 0.2 * F.one_hot(label, 10)
    return image


@pytest.fixture
def written() -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(200) % 10
    style = (torch.rand(200, *SHAPE, generator=generator) > 0.5).float()
    image = show_class(style.clone(), label)
    return [{"image": image[rows], "label": label[rows]} for rows in (slice(0, 130), slice(130, 200))]


@pytest.mark.parametrize(("change", "keep", "success", "style"), [
    (False, True, 0, 1), (True, False, 1, 0), (True, True, 1, 1),
], ids=["left alone", "class prototype", "oracle"])
def test_success_and_style_of_models_whose_answer_is_known(written, change, keep, success, style):
    model = Relabeller(change, keep, rest=written[0]["image"][:50].mean(0, keepdim=True))
    scores = evaluate_pictures(model, written, judge=Reader(), guide=Reader())
    assert scores["swap_success"] == scores["swap_guide"] == success and scores["recognised"] == 1
    assert scores["style_kept"] == pytest.approx(style, abs=0.1)
    assert scores["ssim"] == pytest.approx(1) and scores["sharpness"] == pytest.approx(1)


def test_without_a_judge_only_the_reconstructions_are_scored(batch):
    class Shifted(nn.Module):
        def reconstruct(self, image, label):
            return image + 0.1

    dark = {"image": 0.5 * batch["image"], "label": batch["label"]}
    scores = evaluate_pictures(Shifted(), [dark])
    assert scores.keys() == {"psnr", "ssim", "sharpness"}
    assert scores["psnr"] == pytest.approx(20, abs=1e-4) and scores["sharpness"] == pytest.approx(1, abs=1e-4)
    with pytest.raises(ValueError, match="no batches"):
        evaluate_pictures(Shifted(), [])


def test_the_mixtures_bound_is_its_likelihood_and_divergence_and_its_picture_the_mean():
    torch.manual_seed(0)
    model = make_mixture_vae((1, 4, 5), latent=3, width=8, num_blocks=1)
    batch = {"image": torch.rand(6, 1, 4, 5).mul(255).round().div(255), "label": torch.arange(6)}
    torch.manual_seed(1)
    terms = mixture_objective(model, batch)
    torch.manual_seed(1)
    posterior = model.encode(batch["image"], batch["label"])
    told = model.distribution(posterior.sample(), batch["label"])
    torch.testing.assert_close(terms["reconstruction"], -mixture_log_likelihood(batch["image"], *told).mean())
    torch.testing.assert_close(terms["loss"], terms["reconstruction"] + terms["kl"])
    scores = evaluate_mixture(model, [batch])
    assert scores["bits_per_dim"] == pytest.approx(scores["total"] / (20 * 0.693147), rel=1e-4)
    location, _, odds = model.distribution(posterior.mu, batch["label"])
    odds = odds.exp()  # of black and white, to 1 of the logistic
    by_hand = (location + odds[:, 1]) / (1 + odds.sum(dim=1))
    torch.testing.assert_close(model.reconstruct(batch["image"], batch["label"]), by_hand)
