"""All scores of a decomposed sequence, layer by layer: the common judges of every network and baseline."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from htcv_lib.decomposer.layers import Layers
from htcv_lib.decomposer.leakage import PREDICTED, Leakage, leakage_matrix
from htcv_lib.decomposer.losses import floats
from htcv_lib.decomposer.objective import LIGHT_LAST
from htcv_lib.image import LUMINANCE, grey, linear, ssim_map
from htcv_lib.metrics.pictures import image_ssim, psnr_of
from htcv_lib.metrics.segmentation import mask_dice, mask_iou
from htcv_lib.training.evaluate import mean_scores, score_batches
from htcv_lib.training.phase import Batch

# What a collapse looks like: pictures without contrast, and masks that have decided everywhere alike.

GREY = 0.02  # standard deviation below which a picture shows nothing: 5 of 255 grey levels
DECIDED = 0.01  # distance of a mask's mean from 0 or 1 below which it is the same everywhere
LAYERS = ("original", "light", "shadow", "occlusion")


@torch.no_grad()
def constancy(pred: Tensor | tuple) -> dict[str, Tensor]:
    """How constant a prediction is, one number a sequence, (B,) float64.

    Args:
        pred: (B, C, T, H, W), the frames of a many-to-many network, or anything with the fields of `Decomposition`.

    Returns, for frames: contrast (standard deviation over the pixels of a frame, mean over channels and frames),
    grey_frames (share of the frames in which no channel has a contrast of 0.02) and best_contrast (of the frame that
    has most). For a decomposition: original_contrast, light_contrast, shadow_contrast, occlusion_contrast;
    grey_original (1 or 0); grey_occlusion (share of views whose occlusion colours are grey); light_mean, shadow_mean,
    mask_mean; and mask_saturated, 1 where the mask's mean is within 0.01 of 0 or 1. An empty mask is right where
    nothing is occluded: compare with the truth.
    """
    if isinstance(pred, Tensor):
        spread = contrast(pred)
        return {"contrast": spread.mean(dim=(1, 2)), "grey_frames": grey_share(pred),
                "best_contrast": spread.mean(dim=1).amax(dim=1)}
    found = {f"{name}_contrast": contrast(getattr(pred, name)).mean(dim=(1, 2)) for name in LAYERS}
    found |= {f"grey_{name}": grey_share(getattr(pred, name)) for name in ("original", "occlusion")}
    found |= {f"{name}_mean": getattr(pred, name).double().flatten(1).mean(dim=1)
              for name in ("light", "shadow", "mask")}
    mean = found["mask_mean"]
    return found | {"mask_saturated": ((mean < DECIDED) | (mean > 1 - DECIDED)).double()}


def contrast(frames: Tensor) -> Tensor:
    """Standard deviation over the pixels of each channel of each frame: (B, C, T, H, W) -> (B, C, T) float64."""
    return frames.double().flatten(3).std(dim=3, correction=0)


def grey_share(frames: Tensor) -> Tensor:
    """Share of the frames without contrast in any channel: (B, C, T, H, W) -> (B,) float64."""
    return (contrast(frames) < GREY).all(dim=1).double().mean(dim=1)


# Scores of one layer of a sequence, over the pixels where that layer can be seen; one value a sequence.
#
# Layers are (B, C, T, H, W); `where` is (B, 1, T, H, W) bool, or of a shape that broadcasts to the layer's.

FLAT = 1e-12  # variance below which a map is a constant
DARKEST = 0.02  # luminance of a pigment that still tells how much light falls on it
FLOOR = 0.01  # added to irradiance before the logarithm


def mean_where(values: Tensor, where: Tensor) -> Tensor:
    """Mean over the chosen values of each sequence: (B, ...) -> (B,) float64; NaN if none is chosen."""
    where = where.expand_as(values).flatten(1)
    return torch.where(where, values.double().flatten(1), 0).sum(dim=1) / where.sum(dim=1)


def layer_mae(pred: Tensor, target: Tensor, where: Tensor) -> Tensor:
    """Mean absolute error of each sequence; a layer with one channel is compared with every channel of the other."""
    pred, target = torch.broadcast_tensors(pred.double(), target.double())
    return mean_where((pred - target).abs(), where)


def layer_correlation(pred: Tensor, target: Tensor, where: Tensor) -> Tensor:
    """Pearson's correlation of each sequence over all chosen values of its views.

    Returns (B,) float64 in [-1, 1]; NaN where the truth is constant (there is nothing to find), 0 where only the
    prediction is.
    """
    pred, target = torch.broadcast_tensors(pred.double(), target.double())
    x, y = centred(pred, where), centred(target, where)
    count = where.expand_as(target).flatten(1).sum(dim=1)
    variance_x, variance_y = (x * x).sum(dim=1), (y * y).sum(dim=1)
    flat_x, flat_y = variance_x <= FLAT * count, variance_y <= FLAT * count
    found = (x * y).sum(dim=1) / (variance_x * variance_y).sqrt()
    return torch.where(flat_x, 0.0, found).masked_fill(flat_y, torch.nan)


def irradiance_scores(pred: Tensor, target: Tensor, original: Tensor, where: Tensor) -> dict[str, Tensor]:
    r"""How well the light on the picture is known, up to a factor common to the whole sequence.

    correlation: of the logarithms of the luminances, 0.01 added; the factor does not matter there. mae: mean
    :math:`|a p - t|` of the luminances with the least-squares factor `a` of the sequence; 1 is the light under which
    the clean picture was taken. Both over the chosen pixels that can tell: those whose true pigment has a luminance of
    at least 0.02 (black says nothing of its light) and that the true light leaves below white in every channel
    (beyond, a camera clips).

    Args:
        pred, target: (B, 3, T, H, W) >= 0, linear.
        original: (B, 3, 1, H, W), the true clean picture, sRGB in [0, 1].

    Returns "correlation" and "mae", (B,) float64 each; NaN as in `layer_correlation`, and where no pixel is left.
    """
    pigment = linear(original.double())
    where = where & (grey(pigment, LUMINANCE) >= DARKEST) & (pigment * target.double() < 1).all(dim=1, keepdim=True)
    x, y = (grey(light.double(), LUMINANCE) for light in (pred, target))
    both = torch.where(where, x * y, 0).flatten(1).sum(dim=1)
    own = torch.where(where, x * x, 0).flatten(1).sum(dim=1)
    factor = torch.where(own > 0, both / own, 0.0)[:, None, None, None, None]
    return {"correlation": layer_correlation((x + FLOOR).log(), (y + FLOOR).log(), where),
            "mae": layer_mae(factor * x, y, where)}


def centred(values: Tensor, where: Tensor) -> Tensor:
    """The chosen values less their mean, 0 elsewhere: (B, ...) -> (B, N)."""
    off = values - mean_where(values, where).view(-1, *[1] * (values.ndim - 1))
    return torch.where(where.expand_as(values), off, 0).flatten(1)


# How well a soft mask ranks its pixels, whatever the threshold.


def average_precision(score: Tensor, target: Tensor) -> Tensor:
    r"""Area under the steps of the precision-recall curve, :math:`\sum_k (R_k - R_{k-1}) P_k`, of each sequence.

    By scikit-learn: one step per distinct score, no interpolation. A score that knows nothing gets the share of
    positives.

    Args:
        score: (B, ...), higher is more positive; values that are equal share a step.
        target: The same shape, bool, or positive above one half.

    Returns (B,) float64 in [0, 1]; NaN where nothing is positive.
    """
    if score.shape != target.shape:
        raise ValueError(f"score and target differ in shape: {tuple(score.shape)}, {tuple(target.shape)}")
    positive = target if target.dtype == torch.bool else target > 0.5
    rows = [average_precision_score(there, values) if there.any() else math.nan for there, values in
            zip(positive.flatten(1).cpu().numpy(), score.detach().flatten(1).cpu().numpy(), strict=True)]
    return torch.tensor(rows, dtype=torch.float64, device=score.device)


# All scores of a sequence. Truth is a batch; what it does not know has no score.

OCCLUDED = 0.5  # share of a pixel above which it counts as occluded
DIM = 1e-3  # added to luminances before their ratio


@torch.no_grad()
def score_original(original: Tensor, true_original: Tensor) -> dict[str, Tensor]:
    """Scores of a clean picture alone, also of baselines that find nothing else.

    Args:
        original, true_original: (B, 3, 1, H, W) in [0, 1], H and W at least 11.

    Returns original_psnr in dB (infinite for a perfect picture) and original_ssim, (B,) float64 each.
    """
    pred, target = original[:, :, 0].double().clamp(0, 1), true_original[:, :, 0].double()
    return {"original_psnr": psnr_of((pred - target).square().flatten(1).mean(dim=1)),
            "original_ssim": image_ssim(pred, target)}


@torch.no_grad()
def score_decomposition(pred: Layers, truth: Mapping[str, Tensor], order: str = "light_last",
                        hard: bool = True) -> dict[str, Tensor]:
    """Every score of every sequence that the truth allows, (B,) float64 each; NaN where a sequence has none.

    With original: `score_original`. With mask: mask_iou, mask_f1 (at one half, over all views of a sequence together),
    mask_auprc (`average_precision`, NaN without occluders). With mask and occlusion: occlusion_mae, the mean absolute
    error of the colour where an occluder is. Always recomposition_psnr and recomposition_ssim, where no occluder is if
    the mask is known, and then occluded_psnr and occluded_ssim where one is.

    Of light, where no occluder is (everywhere, if the mask is unknown): shadow_mae and shadow_correlation with shadow,
    light_mae and light_correlation with light (both for predictions that add their light), irradiance_correlation and
    irradiance_mae with irradiance (see `implied_irradiance`). A correlation is NaN where the truth is flat.

    Args:
        pred: For B sequences; the light may have 1 or 3 channels, a colour is compared channel by channel.
        truth: A batch: image, and what is known of original, mask, occlusion, shadow, light, irradiance.
        order: In which the prediction is composed.
        hard: Cut the mask at one half; otherwise mix by it.

    Higher is better for psnr, ssim, correlation, iou, f1 and auprc; lower for mae.
    """
    image = truth["image"]
    occluded = truth["mask"] > OCCLUDED if "mask" in truth else torch.zeros_like(image[:, :1], dtype=torch.bool)
    scores = score_original(pred.original, truth["original"]) if "original" in truth else {}
    added = {} if hasattr(pred, "highlight") else {"shadow": pred.shadow, "light": pred.light}
    irradiance = implied_irradiance(pred, order) if "irradiance" in truth else None
    scores |= light_scores(added, irradiance, truth, ~occluded)
    if "mask" in truth:
        scores |= {"mask_iou": mask_iou(pred.mask, truth["mask"]), "mask_f1": mask_dice(pred.mask, truth["mask"]),
                   "mask_auprc": average_precision(pred.mask, occluded)}
    if "mask" in truth and "occlusion" in truth:
        scores["occlusion_mae"] = layer_mae(pred.occlusion, truth["occlusion"], occluded)
    recomposed = pred.recompose(hard=hard, order=order).double().clamp(0, 1)
    error = (recomposed - image.double()).square()
    similar = views_ssim_map(recomposed, image)
    places = {"recomposition": ~occluded} | ({"occluded": occluded} if "mask" in truth else {})
    for name, where in places.items():
        scores |= {f"{name}_psnr": psnr_of(mean_where(error, where)), f"{name}_ssim": mean_where(similar, where)}
    return scores


def light_scores(added: Mapping[str, Tensor], irradiance: Tensor | None, truth: Mapping[str, Tensor],
                 visible: Tensor) -> dict[str, Tensor]:
    """The scores of shadow, light and irradiance that the truth allows; see `score_decomposition`.

    Args:
        added: shadow and light of the reports' formula, (B, 1, T, H, W), or nothing.
        irradiance: (B, 3, T, H, W), needed where the truth knows it.
        visible: (B, 1, T, H, W) bool.
    """
    scores = {}
    for name, layer in added.items():
        if name in truth:
            scores |= {f"{name}_mae": layer_mae(layer, truth[name], visible),
                       f"{name}_correlation": layer_correlation(layer, truth[name], visible)}
    if "irradiance" in truth and "original" in truth:
        found = irradiance_scores(irradiance, truth["irradiance"], truth["original"], visible)
        scores |= {f"irradiance_{name}": values for name, values in found.items()}
    return scores


def implied_irradiance(pred: Layers, order: str = "light_last") -> Tensor:
    """The light that a prediction lets fall on its clean picture, linear: (B, 3, T, H, W) float64.

    shadow * light, if the prediction says so itself (it has a `highlight`), otherwise `relighting`.
    """
    if hasattr(pred, "highlight"):
        return pred.shadow.double() * pred.light.double()
    return relighting(pred.relit(order), pred.original)


def relighting(lit: Tensor, original: Tensor) -> Tensor:
    """Luminance of a lit over that of a clean picture, each raised by 0.001: (B, 3, T, H, W) float64, channels alike.

    Args:
        lit: (B, 3, T, H, W); original: (B, 3, 1, H, W), sRGB, clipped to [0, 1].
    """
    above, below = (grey(linear(values.double().clamp(0, 1)), LUMINANCE) for values in (lit, original))
    return ((above + DIM) / (below + DIM)).expand(-1, 3, -1, -1, -1)


def views_ssim_map(pred: Tensor, target: Tensor) -> Tensor:
    """`ssim_map` of every view: (B, C, T, H, W) in [0, 1], twice -> the same, float64."""
    batch = len(pred)
    maps = ssim_map(*(values.transpose(1, 2).flatten(0, 1) for values in (pred, target)))
    return maps.unflatten(0, (batch, -1)).transpose(1, 2)


# What networks say of a set, and their scores: of each sequence, and as means.

Predict = Callable[[Tensor], Any]  # image (B, 3, T, H, W) -> layers, or pictures (B, 3, T or 1, H, W)


def score_predictions(score: Callable[[Any, Batch], Mapping[str, Tensor]], predict: Predict, batches: Iterable[Batch],
                      amp: bool | None = None) -> dict[str, Tensor]:
    """`score_batches` of predictions in float32: `score(prediction, batch)`. Networks predict in evaluation mode."""
    model = predict if isinstance(predict, nn.Module) else None
    return score_batches(lambda batch: score(floats(predict(batch["image"])), batch), batches, model, amp=amp)


def predict_decomposition(model: Predict, batches: Iterable[Batch], amp: bool | None = None) -> Any:
    """The layers of every sequence in the order of the batches: what the model returns, its fields (N, ...) float32 on
    the CPU, one that is None stays so. Pictures (B, 3, T, H, W) of other networks become one tensor in the same way.
    """
    last = None

    def fields(pred: Any, batch: Batch) -> dict[str, Tensor]:
        nonlocal last
        last = pred
        known = {"pictures": pred} if isinstance(pred, Tensor) else pred._asdict()
        return {name: values for name, values in known.items() if values is not None}

    found = score_predictions(fields, model, batches, amp)
    return found["pictures"] if isinstance(last, Tensor) else last._replace(**found)


def score_sequences(model: Predict, batches: Iterable[Batch], order: str = LIGHT_LAST, hard: bool = True,
                    amp: bool | None = None) -> dict[str, Tensor]:
    """`score_decomposition` of every sequence: (N,) float64 on the CPU each, NaN where a sequence has no such score.

    Args:
        batches: Of the whole truth that is known, in order.
        order, hard: Of the composition; `hard=False` for networks trained with soft masks.
    """
    return score_predictions(lambda pred, batch: score_decomposition(pred, batch, order, hard), model, batches, amp)


def evaluate_decomposition(model: Predict, batches: Iterable[Batch], order: str = LIGHT_LAST, hard: bool = True,
                           amp: bool | None = None) -> dict[str, float]:
    """Means of `score_sequences` over the sequences that have each score; see `mean_scores`.

    A PSNR is the mean of the sequences' decibels, infinite with one perfect picture.
    """
    return mean_scores(score_sequences(model, batches, order, hard, amp), known=True)


def evaluate_original(predict: Predict, batches: Iterable[Batch], amp: bool | None = None) -> dict[str, float]:
    """original_psnr in dB and original_ssim, means over sequences, of whatever finds a clean picture.

    Args:
        predict: A baseline, a function or network that returns pictures, or one that returns layers. Of several
            pictures (B, 3, T, H, W) the mean counts, as in the first report.
    """
    def score(pred: Any, batch: Batch) -> dict[str, Tensor]:
        return score_original(clean_pictures(pred).mean(dim=2, keepdim=True), batch["original"])

    return mean_scores(score_predictions(score, predict, batches, amp), known=True)


def clean_pictures(pred: Any) -> Tensor:
    """(B, 3, T or 1, H, W): the original of layers, or the pictures themselves."""
    return pred if isinstance(pred, Tensor) else pred.original


def leakage_of(model: Predict, batches: Iterable[Batch], order: str = LIGHT_LAST, true_order: str | None = None,
               hard: bool = True, amp: bool | None = None) -> Leakage:
    """Leakage over a whole set, see `leakage_matrix`: `.entries()` for a record, from which `leakage_table` makes the
    matrix.

    Args:
        hard: Cut the mask at one half, as such networks compose; `hard=False` for networks trained with soft masks.
    """
    true = ()

    def sums(pred: Layers, batch: Batch) -> dict[str, Tensor]:
        nonlocal true
        if hard:
            pred = pred._replace(mask=(pred.mask > 0.5).to(pred.mask.dtype))
        found = leakage_matrix(pred, batch, order, true_order)
        true = found.true
        return {"products": found.products[None], "overlaps": found.overlaps[None]}  # a row for each batch

    found = score_predictions(sums, model, batches, amp)
    return Leakage(true, PREDICTED, found["products"].sum(dim=0), found["overlaps"].sum(dim=0))


def constancy_of(model: Predict, batches: Iterable[Batch], amp: bool | None = None) -> dict[str, float]:
    """How constant predictions are, means over sequences: `constancy`, and relative_contrast.

    That is the contrast of the predicted clean pictures (of all pictures, for networks that return several) over that
    of the true ones, of the whole set: 1 is right, 0 is grey.
    """
    def score(pred: Any, batch: Batch) -> dict[str, Tensor]:
        return constancy(pred) | {"made": contrast(clean_pictures(pred)).mean(dim=(1, 2)),
                                  "true": contrast(batch["original"]).mean(dim=(1, 2))}

    found = score_predictions(score, model, batches, amp)
    made, true = float(found.pop("made").sum()), float(found.pop("true").sum())
    return mean_scores(found, known=True) | {"relative_contrast": made / true if true > 0 else math.nan}


def evaluate_objective(objective: Callable[[nn.Module, Batch], Mapping[str, Tensor]], model: nn.Module,
                       batches: Iterable[Batch], amp: bool | None = None) -> dict[str, float]:
    """"loss" and the other terms of an objective on a set that is not trained on: means over sequences.

    A term that sums over its batch depends on the batch size, as in training; one NaN makes the mean NaN.
    """
    terms = score_batches(lambda batch: objective(model, batch), batches, model, amp=amp)
    return {name: float(values.double().mean()) for name, values in terms.items()}
