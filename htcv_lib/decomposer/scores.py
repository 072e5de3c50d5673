"""All scores of a decomposed sequence, layer by layer: the common judges of every network and baseline."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from htcv_lib.decomposer.leakage import Leakage, leakage_matrix
from htcv_lib.decomposer.objective import LIGHT_LAST, floats
from htcv_lib.image import LUMINANCE, grey, linear, ssim_map
from htcv_lib.metrics.pictures import image_ssim, psnr_of
from htcv_lib.metrics.segmentation import mask_dice, mask_iou
from htcv_lib.training.device import autocast, in_mode
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

    The definition of scikit-learn: one step per distinct score, no interpolation. A score that knows nothing gets the
    share of positives.

    Args:
        score: (B, ...), higher is more positive; values that are equal share a step.
        target: The same shape, bool, or positive above one half.

    Returns (B,) float64 in [0, 1]; NaN where nothing is positive.
    """
    if score.shape != target.shape:
        raise ValueError(f"score and target differ in shape: {tuple(score.shape)}, {tuple(target.shape)}")
    positive = target if target.dtype == torch.bool else target > 0.5
    rows = [one_average(*row) for row in zip(score.detach().flatten(1), positive.flatten(1), strict=True)]
    return torch.stack(rows) if rows else torch.zeros(0, dtype=torch.float64)


def one_average(score: Tensor, positive: Tensor) -> Tensor:
    """`average_precision` of one row, (N,) and (N,) bool -> scalar."""
    ranked, order = score.sort(descending=True)
    found = positive[order].double().cumsum(0)  # true positives among the first k
    last = torch.ones_like(positive)
    last[:-1] = ranked[1:] != ranked[:-1]  # the last of equal scores ends a step
    hits = found[last]
    precision = hits / (last.nonzero()[:, 0] + 1)
    step = hits.diff(prepend=hits.new_zeros(1)) / found[-1]
    return torch.where(found[-1] > 0, (step * precision).sum(), math.nan)


# All scores of a decomposed sequence, layer by layer: the common judges of every network and baseline.
#
# A prediction is anything with the fields and methods of `Decomposition`, or of `SetDecomposition`, which has a
# `highlight` besides. Truth is a batch; what it does not know has no score.

OCCLUDED = 0.5  # share of a pixel above which it counts as occluded
DIM = 1e-3  # added to luminances before their ratio


class Predicted(Protocol):
    """What is judged; see above."""

    original: Tensor
    light: Tensor
    shadow: Tensor
    occlusion: Tensor
    mask: Tensor

    def relit(self, order: str = "light_last") -> Tensor: ...

    def recompose(self, hard: bool = True, threshold: float = 0.5, order: str = "light_last") -> Tensor: ...


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
def score_decomposition(pred: Predicted, truth: Mapping[str, Tensor], order: str = "light_last",
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
    scores |= light_scores(pred, truth, ~occluded, order)
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


def light_scores(pred: Predicted, truth: Mapping[str, Tensor], visible: Tensor, order: str) -> dict[str, Tensor]:
    """The scores of shadow, light and irradiance; see `score_decomposition`. `visible`: (B, 1, T, H, W) bool."""
    scores = {}
    if not hasattr(pred, "highlight"):
        for name in ("shadow", "light"):
            if name in truth:
                scores |= {f"{name}_mae": layer_mae(getattr(pred, name), truth[name], visible),
                           f"{name}_correlation": layer_correlation(getattr(pred, name), truth[name], visible)}
    if "irradiance" in truth and "original" in truth:
        found = irradiance_scores(implied_irradiance(pred, order), truth["irradiance"], truth["original"], visible)
        scores |= {f"irradiance_{name}": values for name, values in found.items()}
    return scores


def implied_irradiance(pred: Predicted, order: str = "light_last") -> Tensor:
    """The light that a prediction lets fall on its clean picture, linear: (B, 3, T, H, W) float64.

    shadow * light, if the prediction says so itself (it has a `highlight`). Otherwise the ratio of luminances of the
    lit and the clean picture, each raised by 0.001, the same in all channels.
    """
    if hasattr(pred, "highlight"):
        return pred.shadow.double() * pred.light.double()
    lit, clean = (grey(linear(values.double().clamp(0, 1)), LUMINANCE) for values in (pred.relit(order), pred.original))
    return ((lit + DIM) / (clean + DIM)).expand(-1, 3, -1, -1, -1)


def views_ssim_map(pred: Tensor, target: Tensor) -> Tensor:
    """`ssim_map` of every view: (B, C, T, H, W) in [0, 1], twice -> the same, float64."""
    batch = len(pred)
    maps = ssim_map(*(values.transpose(1, 2).flatten(0, 1) for values in (pred, target)))
    return maps.unflatten(0, (batch, -1)).transpose(1, 2)


# What networks that decompose a sequence say of a set, and their scores: of each sequence, and as means.

Predict = Callable[[Tensor], Any]  # image (B, 3, T, H, W) -> layers, or pictures (B, 3, T or 1, H, W)


def predictions(predict: Predict, batches: Iterable[Batch], amp: bool | None) -> Iterator[tuple[Batch, Any]]:
    """Batch and prediction, float32 and without a graph, one after the other; networks predict in evaluation mode.

    Errors: ValueError if there are no batches.
    """
    model = predict if isinstance(predict, nn.Module) else None
    count = 0
    for batch in batches:
        with torch.no_grad(), in_mode(False, model), autocast(batch["image"].device, amp):
            pred = predict(batch["image"])
        count += 1
        yield batch, pred.float() if isinstance(pred, Tensor) else floats(pred)
    if not count:
        raise ValueError("no batches to predict on")


def predict_decomposition(model: Predict, batches: Iterable[Batch], amp: bool | None = None) -> Any:
    """The layers of every sequence in the order of the batches: what the model returns, its fields (N, ...) float32 on
    the CPU, one that is None stays so. Pictures (B, 3, T, H, W) of other networks become one tensor in the same way.

    Args:
        amp: bfloat16 autocast; by default on CUDA only.
    """
    parts = [to_cpu(pred) for _, pred in predictions(model, batches, amp)]
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    fields = zip(*parts, strict=True)
    return type(parts[0])(*(None if field[0] is None else torch.cat(field) for field in fields))


def score_sequences(model: Predict, batches: Iterable[Batch], order: str = LIGHT_LAST, hard: bool = True,
                    amp: bool | None = None) -> dict[str, Tensor]:
    """`score_decomposition` of every sequence: (N,) float64 on the CPU each, NaN where a sequence has no such score.

    Args:
        batches: Of the whole truth that is known, in order.
        order, hard: Of the composition; `hard=False` for networks trained with soft masks.
    """
    return gathered(score_decomposition(pred, batch, order, hard) for batch, pred in predictions(model, batches, amp))


def evaluate_decomposition(model: Predict, batches: Iterable[Batch], order: str = LIGHT_LAST, hard: bool = True,
                           amp: bool | None = None) -> dict[str, float]:
    """Means over sequences of `score_sequences`; see `mean_scores`."""
    return mean_scores(score_sequences(model, batches, order, hard, amp))


def evaluate_original(predict: Predict, batches: Iterable[Batch], amp: bool | None = None) -> dict[str, float]:
    """original_psnr in dB and original_ssim, means over sequences, of whatever finds a clean picture.

    Args:
        predict: A baseline, a function or network that returns pictures, or one that returns layers. Of several
            pictures (B, 3, T, H, W) the mean counts, as in the first report.
    """
    return mean_scores(gathered(
        score_original((pred if isinstance(pred, Tensor) else pred.original).mean(dim=2, keepdim=True),
                       batch["original"])
        for batch, pred in predictions(predict, batches, amp)))


def leakage_of(model: Predict, batches: Iterable[Batch], order: str = LIGHT_LAST, true_order: str | None = None,
               hard: bool = True, amp: bool | None = None) -> Leakage:
    """Leakage over a whole set, see `leakage_matrix`: `.entries()` for a record, from which `leakage_table` of
    `htcv_lib.figures` makes the matrix.

    Args:
        hard: Cut the mask at one half, as such networks compose; `hard=False` for networks trained with soft masks.
    """
    total = None
    for batch, pred in predictions(model, batches, amp):
        if hard:
            pred = pred._replace(mask=(pred.mask > 0.5).to(pred.mask.dtype))
        found = leakage_matrix(pred, batch, order, true_order)
        total = found if total is None else total + found
    return Leakage(total.true, total.predicted, total.products.cpu(), total.overlaps.cpu())


def constancy_of(model: Predict, batches: Iterable[Batch], amp: bool | None = None) -> dict[str, float]:
    """How constant predictions are, means over sequences: `constancy`, and relative_contrast.

    That is the contrast of the predicted clean pictures (of all pictures, for networks that return several) over that
    of the true ones, of the whole set: 1 is right, 0 is grey.
    """
    rows, made, true = [], 0.0, 0.0
    for batch, pred in predictions(model, batches, amp):
        rows.append(constancy(pred))
        made += float(contrast(pred if isinstance(pred, Tensor) else pred.original).mean(dim=(1, 2)).sum())
        true += float(contrast(batch["original"]).mean(dim=(1, 2)).sum())
    return mean_scores(gathered(rows)) | {"relative_contrast": made / true if true > 0 else math.nan}


def evaluate_objective(objective: Callable[[nn.Module, Batch], Mapping[str, Tensor]], model: nn.Module,
                       batches: Iterable[Batch], amp: bool | None = None) -> dict[str, float]:
    """"loss" and the other terms of an objective on a set that is not trained on: means over sequences.

    A term that sums over its batch depends on the batch size, as in training.
    """
    totals, count = {}, 0
    with torch.no_grad(), in_mode(False, model):
        for batch in batches:
            size = len(batch["image"])
            with autocast(batch["image"].device, amp):
                terms = objective(model, batch)
            for name, value in terms.items():
                totals[name] = totals.get(name, 0) + value.double() * size
            count += size
    if not count:
        raise ValueError("no batches to evaluate")
    return {name: float(value) / count for name, value in totals.items()}


def mean_scores(scores: Mapping[str, Tensor]) -> dict[str, float]:
    """The mean of each score (N,) over the sequences that have it; a score that none has is absent.

    A PSNR is the mean of the sequences' decibels, infinite with one perfect picture.
    """
    return {name: float(values.nanmean()) for name, values in scores.items() if not bool(values.isnan().all())}


def gathered(rows: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Scores (B,) of several batches as (N,) on the CPU."""
    rows = [{name: values.cpu() for name, values in row.items()} for row in rows]
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def to_cpu(pred: Any) -> Any:
    """A tensor or a NamedTuple of tensors on the CPU."""
    if isinstance(pred, Tensor):
        return pred.cpu()
    return pred._replace(**{name: value.cpu() for name, value in pred._asdict().items() if value is not None})
