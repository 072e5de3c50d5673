"""Scores of networks that render, of each picture and of a set, and what a page shows of them."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from htcv_lib.image import ssim_map
from htcv_lib.metrics.edges import hausdorff, hausdorff_reported
from htcv_lib.metrics.flip import flip_error, flip_map
from htcv_lib.metrics.pictures import checkerboard_energy, lpips_distance, psnr_of
from htcv_lib.neural_renderer.regions import (
    box_mse,
    box_ssim,
    flat_ssim,
    highlight_error,
    silhouette_iou,
    ssim_reported,
    stretched,
    visible_box,
)
from htcv_lib.training.device import in_mode
from htcv_lib.training.evaluate import score_batches

Batch = dict[str, Tensor]
Score = Callable[[Tensor, Tensor, Tensor], Tensor]  # pred, target (B, 3, H, W) in [0, 1], box (B, 4) -> (B,)
SCORES: dict[str, Score] = {
    "flip": lambda pred, target, box: flip_error(pred, target),
    "lpips": lambda pred, target, box: lpips_distance(pred, target),
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
    "l1_reported": lambda pred, target, box: 2 * (pred - target).abs().flatten(1).mean(1),  # black is -1, white 1
}
QUICK = ("l1", "mse", "box_mse", "silhouette_iou")  # cheap enough for every epoch


@torch.no_grad()
def score_pictures(pred: Tensor, batch: Batch, names: Sequence[str] = tuple(SCORES)) -> dict[str, Tensor]:
    """The scores of each picture, (B,) float64; a score that does not apply to a picture is NaN.

    Args:
        pred: (B, 3, H, W), clipped to [0, 1].
        batch: image (B, 3, H, W) in [0, 1] and mask (B, 1, H, W), 1 on the sphere.
        names: Of `SCORES`.

    The names ending in _reported, and ssim_stretched for its model 1, are as the report computed them. A box_ score is
    that of the visible sphere's box, grown by 4 pixels; NaN where no sphere is seen. hausdorff is the diagonal where
    one picture has no edge. checkerboard is relative to the true picture, which has 1.
    """
    unknown = set(names) - set(SCORES)
    if unknown:
        raise ValueError(f"no score is called {', '.join(sorted(unknown))}; there are {', '.join(SCORES)}")
    pred, target, box = pred.clamp(0, 1), batch["image"], visible_box(batch["mask"])
    return {name: SCORES[name](pred, target, box).double() for name in names}


def score_rendering(model: nn.Module, batches: Iterable[Batch],
                    names: Sequence[str] = tuple(SCORES)) -> dict[str, Tensor]:
    """The scores of all pictures of a set, (N,) each, and their coverage in [0, 1]: the input of `coverage_frame`.

    Args:
        model: Anything with `pictures(batch) -> (B, 3, H, W) in [0, 1]`; put into evaluation mode meanwhile.
        batches: As `SceneBatches` yields them; unshuffled, if rows are to be told apart.
    """

    def score(batch: Batch) -> dict[str, Tensor]:
        return (score_pictures(model.pictures(batch).float(), batch, names)
                | {"coverage": batch["mask"].flatten(1).double().mean(1)})

    return score_batches(score, batches, model, amp=False)


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


# What a page shows of a network that renders: a few pictures beside their references, and scores by coverage.

COVERAGES = (0.0, 0.01, 0.05, 0.2, 1.0)  # edges of the table's rows
RANKS = {"small": 0.1, "medium": 0.4, "large": 0.7, "largest": 0.95}  # of coverage, among well-lit spheres
LIT = 0.2  # brightness in [0, 1] from which a pixel counts as lit; the ambient term is 0.03
WELL_LIT = 0.4  # share of the sphere


class Sheet(NamedTuple):
    """Pictures for a page."""
    rows: list[str]  # R names
    tiles: Tensor    # (R, 3, 3, H, W)  reference, output, FLIP error as grey; RGB in [0, 1], on the CPU


@torch.no_grad()
def contact_sheet(model: nn.Module, batches: Sequence[Batch], error: Tensor | None = None,
                  coverage: Tensor | None = None, largest: int = 64) -> Sheet:
    """A few scenes of a test set as rendered, as drawn and what differs; or all scenes of it.

    Args:
        model: Anything with `pictures(batch) -> (B, 3, H, W) in [0, 1]`.
        batches: As `SceneBatches` yields them, in the order of error and coverage; on the model's device.
        error, coverage: (N,) of all pictures of the batches, on the CPU; both or neither. Then rows are four well-lit
            scenes, from small to large, the same for every model; then the pictures with the median and the two
            largest errors. Fewer rows where the set has no such pictures, see `chosen_rows`.
        largest: Width of the tiles in pixels at most; wider pictures are halved, after their FLIP is taken.
    """
    batch = {name: torch.cat([part[name] for part in batches]) for name in batches[0]}
    rows = [f"scene {number}" for number in range(1, len(batch["scene"]) + 1)]
    if error is not None:
        rows, chosen = chosen_rows(batch["image"], batch["mask"], error, coverage)
        batch = {name: values[chosen] for name, values in batch.items()}
    with in_mode(False, model):
        drawn = model.pictures(batch).float().clamp(0, 1)
    wrong = flip_map(drawn, batch["image"]).reshape(-1, 1, *drawn.shape[-2:]).expand_as(drawn)
    tiles = torch.stack((batch["image"], drawn, wrong), dim=1)
    while tiles.shape[-1] > largest:
        tiles = nn.functional.avg_pool2d(tiles.flatten(0, 1), 2).unflatten(0, tiles.shape[:2])
    return Sheet(rows, tiles.cpu())


def chosen_rows(image: Tensor, mask: Tensor, error: Tensor, coverage: Tensor) -> tuple[list[str], list[int]]:
    """Names and indices: of scenes at fixed ranks of coverage, then of the median and the largest errors.

    Args:
        image, mask: (N, 3, H, W) in [0, 1] and (N, 1, H, W), 1 on the sphere.
        error, coverage: (N,) on the CPU; a picture whose error is NaN has no rank among the errors.

    No ranks of coverage if no sphere is well lit, and the same scene more than once if few are; no errors if fewer
    than three are known. Of an even number the median is the upper one.
    """
    lit = ((image.amax(1, keepdim=True) > LIT) & (mask > 0)).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp_min(1)
    good = torch.nonzero(lit.cpu() > WELL_LIT)[:, 0]
    good = good[coverage[good].argsort(stable=True)]
    rows = {name: int(good[int(rank * (len(good) - 1))]) for name, rank in RANKS.items()} if len(good) else {}
    order = error.nan_to_num(-1).argsort(stable=True)
    known = order[int((error.isnan()).sum()):]
    if len(known) > 2:
        rows |= {"median": int(known[len(known) // 2]), "second worst": int(known[-2]), "worst": int(known[-1])}
    return list(rows), list(rows.values())


def coverage_frame(scores: Mapping[str, Tensor]) -> pd.DataFrame:
    """A table of what `score_rendering` returned, by share of the frame the sphere covers; values as text.

    Needed: coverage, box_mse, silhouette_iou, highlight_error, flip and ssim, (N,) each. A value is the mean of the
    row's pictures to which the score applies, n/a if there is none; the decibels are those of the mean squared error.
    A row holds the upper edge of its share, not the lower one; empty pictures are a row of their own, and rows without
    pictures are left out.
    """
    frame = pd.DataFrame({name: values.double().numpy() for name, values in scores.items()})
    names = ["empty", *(f"{100 * low:g}-{100 * high:g} %" for low, high in pairwise(COVERAGES))]
    bins = frame.groupby(pd.cut(frame["coverage"], [-math.inf, *COVERAGES], labels=names), observed=True)
    return pd.DataFrame([{
        "Coverage": name, "Pictures": len(part),
        "PSNR in the box, dB": text(decibels(part["box_mse"].mean()), ".1f"),
        "Silhouette IoU": text(part["silhouette_iou"].mean(), ".3f"),
        "Highlight error, px": text(part["highlight_error"].mean(), ".1f"),
        "FLIP": text(part["flip"].mean(), ".4f"),
        "SSIM": text(part["ssim"].mean(), ".3f"),
    } for name, part in [*bins, ("all", frame)]])


def text(value: float, form: str) -> str:
    """A number as a table shows it; n/a for NaN."""
    return "n/a" if value != value else format(value, form)
