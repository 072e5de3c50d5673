"""Label-conditioned VAEs: the objective, as the Session 18 report has it and as done well, and the scores of a split.

Models are those of `htcv_lib.vae.model` or behave like them. The guide is the classifier whose opinion of a
picture is trained on; the judge is another one, which no training has seen.
"""

import math
from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htcv_lib.metrics.pictures import bits_per_dim, gradient_energy, image_ssim, psnr_of
from htcv_lib.training.device import in_mode
from htcv_lib.training.evaluate import mean_scores, score_batches
from htcv_lib.vae.losses import (
    discretized_logistic_log_likelihood,
    gaussian_log_likelihood,
    kl_divergence,
    kl_sample,
    mixture_log_likelihood,
)
from htcv_lib.vae.model import MixtureVAE
from htcv_lib.vae.scores import other_labels, style_correlation, style_descriptors


def perturb_labels(label: Tensor, share: float, num_classes: int = 10) -> Tensor:
    """Give `int(share * B)` random images a uniformly drawn class, which may be their own: (B,), as the report does."""
    count = int(share * len(label))
    if not count:
        return label
    which = torch.randperm(len(label), device=label.device)[:count]
    drawn = torch.randint(num_classes, (count,), device=label.device)
    return label.index_copy(0, which, drawn)


def vae_objective(model: nn.Module, batch: dict[str, Tensor], *, guide: nn.Module | None = None,
                  guide_training: bool = False, label_target: str = "given", label_weight: float = 0.0,
                  perturb: float = 0.0, likelihood: str = "gaussian", kl: str = "analytic", kl_weight: float = 1.0,
                  sample: bool = True, swap_share: float = 0.0, cycle_weight: float = 0.0,
                  num_classes: int = 10) -> dict[str, Tensor]:
    """Negative evidence lower bound plus what the guide thinks of the pictures; nats per image, mean over the batch.

    The label term is a cross-entropy of the guide: by default on the reconstruction, against the label given to the
    model or the image's own; with `swap_share` on images the model has relabelled, against the label asked for.

    Args:
        batch: image (B, C, H, W) in [0, 1], and label (B,) int64.
        guide: Image to logits; it gets reconstructions unclipped, as in the report, and relabelled images clipped.
        guide_training: Have the guide in training mode (the report's defect: batch statistics, dropout, and running
            statistics that drift); otherwise it is used as it comes.
        label_target: "given" (as the report says) or "true" (as its code does).
        label_weight: Of the label term, the report's lambda.
        perturb: Share of the labels replaced before the model is given them (`perturb_labels`); a conditional model
            is told no wrong labels.
        likelihood: "gaussian", in normalised units, or "discrete", a logistic over the 256 levels.
        kl: "analytic", or "sample", the report's one-sample estimate.
        sample: Decode a draw from the posterior; else its mean.
        swap_share: Share of the batch to relabel, each image to another class at random.
        cycle_weight: Of the squared distance, summed over the latents and in standard deviations of the prior,
            between the posterior means of the relabelled images and of the images they came from.

    Returns weighted terms that sum to "loss": reconstruction, kl, label (0 where there is no guide or weight), and
    cycle if it has a weight.
    """
    if label_target not in ("given", "true"):
        raise ValueError(f"label_target must be given or true, got {label_target!r}")
    if kl not in ("analytic", "sample"):
        raise ValueError(f"kl must be analytic or sample, got {kl!r}")
    if cycle_weight and not swap_share:
        raise ValueError("a cycle needs a swap_share")
    if perturb and model.conditional:
        raise ValueError("a conditional model is told the images' own labels: perturb must be 0")
    image, label = batch["image"], batch["label"]
    given = perturb_labels(label, perturb, num_classes)
    out = model(image, given, sample=sample)
    zero = image.new_zeros(())
    terms = {"reconstruction": -log_likelihood(model, image, out.pred, likelihood).mean(), "kl": zero, "label": zero}
    if kl_weight:
        mu, logvar = (part.float() for part in out.posterior)  # bfloat16 ends here
        divergence = (kl_divergence(mu, logvar, *out.prior) if kl == "analytic"
                      else kl_sample(out.z.float(), mu, logvar, *out.prior))
        terms["kl"] = kl_weight * divergence.mean()
    guided = guide is not None and label_weight > 0
    if swap_share and (guided or cycle_weight):
        count = math.ceil(swap_share * len(label))
        other = (label[:count] + torch.randint(1, num_classes, (count,), device=label.device)) % num_classes
        place = in_units_of(out.prior, out.posterior.mu)[:count]
        if model.conditional:  # as `relabel` does, from the posterior there is
            wanted = model.prior(other)
            swapped = model.decode(wanted.mu + (0.5 * wanted.logvar).exp() * place, other)
        else:
            swapped = model.relabel(image[:count], label[:count], other)
        if guided:
            terms["label"] = label_weight * guide_nll(guide, swapped.clamp(0, 1), other, guide_training)
        if cycle_weight:
            again = in_units_of(model.prior(other), model.encode(swapped, other).mu)
            terms["cycle"] = cycle_weight * (again - place.detach()).float().square().sum(dim=1).mean()
    elif guided:
        target = given if label_target == "given" else label
        terms["label"] = label_weight * guide_nll(guide, out.pred, target, guide_training)
    return {"loss": sum(terms.values())} | terms


def evaluate_vae(model: nn.Module, batches: Iterable[dict[str, Tensor]], *, guide: nn.Module | None = None,
                 judge: nn.Module | None = None, label_weight: float = 0.0, likelihood: str = "gaussian",
                 num_classes: int = 10) -> dict[str, float]:
    """The objective of a split, its images given their own labels, and the scores of `evaluate_pictures`.

    Args:
        batches: Unshuffled; iterated twice.
        guide: For the label term; without one label_loss is 0 and label_nll left out.

    Returns, as means over images: total (kl + label_loss - reconstruction_ll; of a model trained with `swap_share` not
    what it minimized, whose label term is of relabelled pictures), reconstruction_ll (log-likelihood, nats, higher is
    better), kl (analytic), label_loss, label_nll (the same without its weight), all of one draw from the posterior,
    the same in every evaluation; sigma (mean scale of the likelihood, in its units); for the discrete likelihood
    bits_per_dim, from the bound without the label term; and those of `evaluate_pictures`.
    """
    generator = torch.Generator().manual_seed(0)

    def score(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        image, label = batch["image"], batch["label"]
        posterior = model.encode(image, label)
        pred = model.decode(posterior.sample(generator), label)
        scores = {"ll": log_likelihood(model, image, pred, likelihood),
                  "kl": kl_divergence(*posterior, *model.prior(label))}
        if guide is not None:
            shown = pred if likelihood == "gaussian" else pred.clamp(0, 1)
            scores["nll"] = F.cross_entropy(guide(shown), label, reduction="none")
        if likelihood == "discrete":
            scores["bits"] = bits_per_dim(scores["kl"].double() - scores["ll"].double(), image[0].numel())
        return scores

    mean = mean_scores(score_batches(score, batches, model, guide, amp=False))
    label_loss = label_weight * mean.get("nll", 0.0)
    scores = {"total": mean["kl"] - mean["ll"] + label_loss, "reconstruction_ll": mean["ll"], "kl": mean["kl"],
              "label_loss": label_loss, "sigma": float(model.log_scale.detach().exp().mean())}
    scores |= {name: mean[key] for name, key in (("label_nll", "nll"), ("bits_per_dim", "bits")) if key in mean}
    return scores | evaluate_pictures(model, batches, judge, guide, num_classes)


def mixture_objective(model: MixtureVAE, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Negative evidence lower bound of a `MixtureVAE`, nats per image, mean over a batch: loss, reconstruction, kl."""
    image, label = batch["image"], batch["label"]
    posterior, prior = model.encode(image, label), model.prior(label)
    ll = mixture_log_likelihood(image, *model.distribution(posterior.sample(), label)).mean()
    kl = kl_divergence(*posterior, *prior).mean()
    return {"loss": kl - ll, "reconstruction": -ll, "kl": kl}


def evaluate_mixture(model: MixtureVAE, batches: Iterable[dict[str, Tensor]]) -> dict[str, float]:
    """The bound of a split, of one draw from the posterior, the same in every evaluation.

    Returns, as means over images: total (kl - reconstruction_ll, nats), reconstruction_ll, kl, bits_per_dim.
    """
    generator = torch.Generator().manual_seed(0)

    def score(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        image, label = batch["image"], batch["label"]
        posterior = model.encode(image, label)
        found = {"reconstruction_ll": mixture_log_likelihood(
            image, *model.distribution(posterior.sample(generator), label)),
            "kl": kl_divergence(*posterior, *model.prior(label))}
        found["total"] = found["kl"] - found["reconstruction_ll"]
        return found | {"bits_per_dim": bits_per_dim(found["total"].double(), image[0].numel())}

    return mean_scores(score_batches(score, batches, model, amp=False))


def evaluate_pictures(model: nn.Module, batches: Iterable[dict[str, Tensor]], judge: nn.Module | None = None,
                      guide: nn.Module | None = None, num_classes: int = 10) -> dict[str, float]:
    """Scores of the pictures a model makes: of anything with `reconstruct` and `relabel`, VAE or not.

    Args:
        batches: Unshuffled dicts of image (B, C, H, W) in [0, 1] and label (B,) int64: the position of an image
            decides to which other class it is relabelled.
        judge, guide: Image to logits, from pictures clipped to [0, 1].

    Returns psnr (dB, of the mean squared error over all images), ssim (mean) and sharpness (gradient energy over that
    of the images) of the reconstructions, which are clipped; with a judge also recognised (share of reconstructions
    it sees the true class in), swap_success (share of relabelled pictures it sees the given class in) and style_kept
    (correlation); with a guide in addition swap_guide (its opinion of the relabelled pictures).
    """
    def numbered() -> Iterator[dict[str, Tensor]]:
        position = 0
        for batch in batches:
            yield batch | {"given": other_labels(batch["label"], num_classes, position)}
            position += len(batch["label"])

    def score(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        image, label, given = batch["image"], batch["label"], batch["given"]
        pred = model.reconstruct(image, label).clamp(0, 1)
        scores = {"mse": (pred - image).square().flatten(1).mean(dim=1), "ssim": image_ssim(pred, image),
                  "energy": gradient_energy(pred), "true_energy": gradient_energy(image)}
        if judge is not None:
            relabelled = model.relabel(image, label, given).clamp(0, 1)
            scores |= {"recognised": judge(pred).argmax(dim=1) == label,
                       "swap_success": judge(relabelled).argmax(dim=1) == given,
                       "before": style_descriptors(image), "label": label,
                       "after": style_descriptors(relabelled), "given": given}
            if guide is not None:
                scores["swap_guide"] = guide(relabelled).argmax(dim=1) == given
        return scores

    table = score_batches(score, numbered(), model, judge, guide, amp=False)
    mean = mean_scores(table)
    scores = {"psnr": psnr_of(mean["mse"]), "ssim": mean["ssim"], "sharpness": mean["energy"] / mean["true_energy"]}
    if judge is not None:
        scores |= {name: mean[name] for name in ("recognised", "swap_success")}
        scores["style_kept"] = style_correlation(*(table[name] for name in ("before", "label", "after", "given")))
        if guide is not None:
            scores["swap_guide"] = mean["swap_guide"]
    return scores


def log_likelihood(model: nn.Module, image: Tensor, pred: Tensor, likelihood: str) -> Tensor:
    """Nats of each image, (B,), under the model's learned scale; see `vae_objective`."""
    if likelihood == "gaussian":  # in normalised units, of which the means cancel
        return gaussian_log_likelihood(image / model.std, pred.float() / model.std, model.log_scale)
    if likelihood == "discrete":
        return discretized_logistic_log_likelihood(image, pred.float(), model.log_scale)
    raise ValueError(f"likelihood must be gaussian or discrete, got {likelihood!r}")


def guide_nll(guide: nn.Module, pred: Tensor, target: Tensor, training: bool) -> Tensor:
    """Cross-entropy of the guide's logits, with the guide in training mode if so asked, else as it is."""
    with in_mode(True, guide if training else None):
        logits = guide(pred)
    return F.cross_entropy(logits.float(), target)


def in_units_of(prior: tuple[Tensor, Tensor], z: Tensor) -> Tensor:
    """Where z is in its prior, a (mu, logvar), in standard deviations from the mean: (B, L)."""
    mu, logvar = prior
    return (z - mu) * torch.exp(-0.5 * logvar)
