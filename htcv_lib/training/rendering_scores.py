"""Scores of networks that render, and of the baselines: of each picture, and as one number for a set."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from htcv_lib.metrics.as_reported import flat_ssim, mean_l1_reported, ssim_reported, stretched
from htcv_lib.metrics.edges import hausdorff, hausdorff_reported
from htcv_lib.metrics.flip import flip_error
from htcv_lib.metrics.mask_box import visible_box
from htcv_lib.metrics.object_region import box_mse, box_ssim, highlight_error, silhouette_iou, ssim_map
from htcv_lib.metrics.perceptual import BackboneUnavailable, lpips_distance
from htcv_lib.metrics.reconstruction import psnr_of
from htcv_lib.metrics.spectrum import checkerboard_energy
from htcv_lib.training.modes import in_mode

Batch = dict[str, Tensor]
Score = Callable[[Tensor, Tensor, Tensor], Tensor]  # pred, target (B, 3, H, W) in [0, 1], box (B, 4) -> (B,)

SCORES: dict[str, Score] = {
    "flip": lambda pred, target, box: flip_error(pred, target),
    "lpips": lambda pred, target, box: lpips_distance(pred, target, "squeeze"),
    "ssim": lambda pred, target, box: ssim_map(pred, target).mean(dim=(1, 2, 3)),
    "hausdorff": lambda pred, target, box: hausdorff(pred, target),
    "l1": lambda pred, target, box: (pred - target).abs().flatten(1).mean(1),
    "mse": lambda pred, target, box: (pred - target).double().square().flatten(1).mean(1),
    "box_mse": box_mse,
    "box_ssim": box_ssim,
    "silhouette_iou": lambda pred, target, box: silhouette_iou(pred, target),
    "highlight_error": lambda pred, target, box: highlight_error(pred, target),
    "checkerboard": lambda pred, target, box: checkerboard_energy(pred).nan_to_num(0) / checkerboard_energy(target),
    "ssim_reported": lambda pred, target, box: ssim_reported(pred, target),
    "ssim_stretched": lambda pred, target, box: flat_ssim(stretched(pred), stretched(target)),
    "hausdorff_reported": lambda pred, target, box: hausdorff_reported(pred, target),
    "l1_reported": lambda pred, target, box: mean_l1_reported(pred, target),
}
QUICK = ("l1", "mse", "box_mse", "silhouette_iou")  # cheap enough for every epoch


@torch.no_grad()
def score_pictures(pred: Tensor, batch: Batch, names: Sequence[str] = tuple(SCORES)) -> dict[str, Tensor]:
    """The scores of each picture, (B,) on the CPU; a score that does not apply to a picture is NaN.

    Args:
        pred: (B, 3, H, W), clipped to [0, 1].
        batch: image (B, 3, H, W) in [0, 1] and mask (B, 1, H, W), 1 on the sphere.
        names: Of `SCORES`. lpips is left out where its weights are not on this machine.

    The names ending in _reported, and ssim_stretched for its model 1, are as the report computed them. A box_ score is
    that of the visible sphere's box, grown by 4 pixels; NaN where no sphere is seen. hausdorff is the diagonal where
    one picture has no edge. checkerboard is relative to the true picture, which has 1.
    """
    unknown = set(names) - set(SCORES)
    if unknown:
        raise ValueError(f"no score is called {', '.join(sorted(unknown))}; there are {', '.join(SCORES)}")
    pred, target, box = pred.clamp(0, 1), batch["image"], visible_box(batch["mask"])
    scores = {}
    for name in names:
        try:
            scores[name] = SCORES[name](pred, target, box).double().cpu()
        except BackboneUnavailable:
            continue
    return scores


@torch.no_grad()
def score_rendering(model: nn.Module, batches: Iterable[Batch],
                    names: Sequence[str] = tuple(SCORES)) -> dict[str, Tensor]:
    """The scores of all pictures of a set, (N,) each, and their coverage in [0, 1]: the input of `by_coverage`.

    Args:
        model: Anything with `pictures(batch) -> (B, 3, H, W) in [0, 1]`; put into evaluation mode meanwhile.
        batches: As `SceneBatches` yields them; unshuffled, if rows are to be told apart.
    """
    rows = []
    with in_mode(False, model):
        for batch in batches:
            row = score_pictures(model.pictures(batch).float(), batch, names)
            rows.append(row | {"coverage": batch["mask"].flatten(1).double().mean(1).cpu()})
    if not rows:
        raise ValueError("no batches to evaluate")
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def summarize_scores(scores: Mapping[str, Tensor]) -> dict[str, float]:
    """One number for each score (N,): its mean over the pictures it applies to, NaN if there is none.

    Instead of mse and box_mse there are psnr and box_psnr in dB, of the mean of the squared errors over pictures: a
    mean of decibels would be infinite by one perfect picture. Beside them box_psnr_median, of the pictures' own. With
    hausdorff_reported comes hausdorff_counted, the share of pictures that it does not exclude.
    """
    numbers = {}
    for name, values in scores.items():
        mean = float(values.nanmean())
        if name in ("mse", "box_mse"):
            numbers[name.replace("mse", "psnr")] = decibels(mean)
        elif name != "coverage":
            numbers[name] = mean
        if name == "box_mse":
            numbers["box_psnr_median"] = decibels(float(values.nanmedian()))
        if name == "hausdorff_reported":
            numbers["hausdorff_counted"] = float((~values.isnan()).double().mean())
    return numbers


def evaluate_rendering(model: nn.Module, batches: Iterable[Batch],
                       names: Sequence[str] = tuple(SCORES)) -> dict[str, float]:
    """`summarize_scores` of `score_rendering`; `names=QUICK` for every epoch."""
    return summarize_scores(score_rendering(model, batches, names))


def decibels(mse: float) -> float:
    """PSNR of a mean squared error; infinite for 0, NaN (no picture to measure) for NaN."""
    return math.nan if math.isnan(mse) else psnr_of(mse)
