"""Training of networks that render: regression, the report's conditional GAN, and pixel by pixel.

Batches are those of `SceneBatches`, with images in [0, 1]; generators draw in [-1, 1]. Generators and discriminators
are those of `htcv_lib.models.sphere_generators` and `sphere_discriminators`, or behave like them.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htcv_lib.losses.masked_l1 import masked_l1_loss
from htcv_lib.losses.vgg import vgg_loss
from htcv_lib.training.modes import in_mode

Batch = dict[str, Tensor]
PixelLoss = Callable[[Tensor, Tensor], Tensor]

REAL_LABEL = 0.9  # one-sided label smoothing (Salimans et al., 2016, arXiv:1606.03498)
NOISE = 0.01  # standard deviation of the discriminator's instance noise
VGG_WEIGHT = 0.6
COLOUR_LOSSES = {"l1": F.l1_loss, "mse": F.mse_loss}


def picture_terms(pred: Tensor, target: Tensor, l1_weight: float = 1.0, object_weight: float = 10.0,
                  vgg_weight: float = 0.0, vgg: PixelLoss = vgg_loss) -> dict[str, Tensor]:
    """The weighted terms that compare pictures (B, 3, H, W) in [-1, 1]: masked_l1, and vgg if it has a weight."""
    terms = {"masked_l1": l1_weight * masked_l1_loss(pred, target, object_weight)}
    if vgg_weight:
        terms["vgg"] = vgg_weight * vgg(pred, target)
    return terms


def regression_objective(generator: nn.Module, batch: Batch, *, object_weight: float = 10.0, l1_weight: float = 1.0,
                         vgg_weight: float = 0.0, vgg: PixelLoss = vgg_loss) -> dict[str, Tensor]:
    """The generator alone: the report's warm-up, and what the task asks for, as it has one answer for each scene.

    Args:
        batch: input (B, 10), image (B, 3, H, W) in [0, 1].
        object_weight: Of the sphere's pixels above 1: 10 or 19 as in the report; 0 is the plain L1 loss.
        vgg_weight: The report tried 0.6; needs weights, see `vgg_loss`.

    Returns the weighted terms masked_l1 and vgg, and beside the loss `l1`, the plain mean error in [-1, 1].
    """
    target = 2 * batch["image"] - 1
    pred = generator(batch["input"]).float()
    terms = picture_terms(pred, target, l1_weight, object_weight, vgg_weight, vgg)
    return {"loss": sum(terms.values())} | terms | {"l1": F.l1_loss(pred, target)}


def generator_objective(generator: nn.Module, discriminator: nn.Module, batch: Batch, *, l1_weight: float = 20.0,
                        object_weight: float = 10.0, vgg_weight: float = 0.0, vgg: PixelLoss = vgg_loss,
                        noise: float = NOISE, watch: bool = True) -> dict[str, Tensor]:
    """The generator against the discriminator and towards the target (Isola et al., 2017, arXiv:1611.07004).

    Args:
        batch: input (B, 10), image (B, 3, H, W) in [0, 1].
        l1_weight: The report's lambda: 20 for its models 2 and 3, 30 for model 1.
        object_weight, vgg_weight: As in `regression_objective`.
        noise: Standard deviation of the noise on the generated pictures as the discriminator gets them, in [-1, 1]; 0
            for none. The real pictures of `watch` have none.
        watch: Also measure what the discriminator says of the real pictures, which `Balance` needs.

    Returns the weighted terms adversarial, masked_l1 and vgg, and beside the loss `l1`, `fake_accuracy` (share of the
    generator's pictures the discriminator rejects) and `real_accuracy`.
    """
    given, target = batch["input"], 2 * batch["image"] - 1
    pred = generator(given)
    judged = discriminator(pred + noise * torch.randn_like(pred), given).float()
    pred = pred.float()
    terms = {"adversarial": bce(judged, 1.0)}
    terms |= picture_terms(pred, target, l1_weight, object_weight, vgg_weight, vgg)
    beside = {"l1": F.l1_loss(pred, target), "fake_accuracy": (judged <= 0).float().mean()}
    if watch:
        with torch.no_grad():
            beside["real_accuracy"] = (discriminator(target, given) > 0).float().mean()
    return {"loss": sum(terms.values())} | terms | beside


def discriminator_objective(generator: nn.Module, discriminator: nn.Module, batch: Batch, *,
                            real_weight: float = 1.5, fake_weight: float = 0.5, real_label: float = REAL_LABEL,
                            noise: float = NOISE) -> dict[str, Tensor]:
    """Half the weighted sum of the cross-entropies of real and generated pictures, both under the same draw of noise.

    Args:
        batch: input (B, 10), image (B, 3, H, W) in [0, 1].
        real_weight, fake_weight: 1.5 and 0.5 in the report's models 2 and 3, 1 and 1 in model 1.
        real_label: Of real pictures, below 1 against overconfidence.
        noise: Standard deviation of the noise on its pictures, in [-1, 1]; 0 for none.

    Returns the weighted terms real and fake, and beside the loss `real_accuracy` and `fake_accuracy`.
    """
    given, target = batch["input"], 2 * batch["image"] - 1
    with torch.no_grad():
        made = generator(given).to(target.dtype)
    grain = noise * torch.randn_like(target)
    real, fake = (discriminator(image + grain, given).float() for image in (target, made))
    terms = {"real": real_weight / 2 * bce(real, real_label), "fake": fake_weight / 2 * bce(fake, 0.0)}
    return {"loss": sum(terms.values())} | terms | {"real_accuracy": (real > 0).float().mean(),
                                                   "fake_accuracy": (fake <= 0).float().mean()}


def coordinate_objective(net: nn.Module, batch: Batch, *, colour_loss: str = "l1",
                         colour_weight: float = 10.0) -> dict[str, Tensor]:
    """Is the sphere there, and which colour has it: sampled pixels of a `CoordinateNet`.

    Args:
        batch: scene (B, 10), position (B, K, 2), colour (B, K, 3) in [0, 1], mask (B, K) in {0, 1}.
        colour_loss: "l1" or "mse", mean over the pixels on the sphere.
        colour_weight: Of the colour's error against the cross-entropy of the mask.

    Returns the weighted terms mask and colour, and beside the loss `wrong`, the share of pixels misjudged.
    """
    if colour_loss not in COLOUR_LOSSES:
        raise ValueError(f"colour_loss must be one of {', '.join(COLOUR_LOSSES)}, got {colour_loss!r}")
    pred = net(batch["scene"], batch["position"])
    logits, colour, mask = pred.logits.float(), pred.colour.float(), batch["mask"]
    error = COLOUR_LOSSES[colour_loss](colour, batch["colour"], reduction="none").mean(-1)  # (B, K)
    terms = {"mask": F.binary_cross_entropy_with_logits(logits, mask),
             "colour": colour_weight * (mask * error).sum() / mask.sum().clamp_min(1)}
    return {"loss": sum(terms.values())} | terms | {"wrong": ((logits > 0) != (mask > 0.5)).float().mean()}


@torch.no_grad()
def discriminator_accuracy(generator: nn.Module, discriminator: nn.Module,
                           batches: Iterable[Batch]) -> dict[str, float]:
    """What the discriminator says of a set, without noise and dropout: real_accuracy, fake_accuracy, and
    discriminator_loss, its mean cross-entropy on both (ln 2 is a coin).

    A real accuracy that is high on training pictures and lower on fresh ones means that it knows them by heart.

    Errors: ValueError when there are no batches.
    """
    sums, images = torch.zeros(3, dtype=torch.float64), 0
    with in_mode(False, generator, discriminator):
        for batch in batches:
            given, target = batch["input"], 2 * batch["image"] - 1
            real, fake = discriminator(target, given), discriminator(generator(given), given)
            loss = (bce(real, 1.0) + bce(fake, 0.0)) / 2 * len(given)
            sums += torch.stack(((real > 0).sum(), (fake <= 0).sum(), loss)).cpu()
            images += len(given)
    if not images:
        raise ValueError("no batches to evaluate")
    names = ("real_accuracy", "fake_accuracy", "discriminator_loss")
    return dict(zip(names, (sums / images).tolist(), strict=True))


def bce(logits: Tensor, label: float) -> Tensor:
    """Mean binary cross-entropy of logits (B,) that all have the same label in [0, 1]."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
