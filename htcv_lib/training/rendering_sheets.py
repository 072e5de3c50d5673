"""What a page shows of a network that renders: a few pictures beside their references, and scores by coverage."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from htcv_lib.metrics.flip import flip_map
from htcv_lib.metrics.object_region import by_coverage
from htcv_lib.training.modes import in_mode
from htcv_lib.training.rendering_scores import Batch, decibels

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
    """
    rows = by_coverage({name: values for name, values in scores.items() if name != "coverage"}, scores["coverage"])
    return pd.DataFrame([{
        "Coverage": row["coverage"], "Pictures": row["pictures"],
        "PSNR in the box, dB": text(decibels(row["box_mse"]), ".1f"),
        "Silhouette IoU": text(row["silhouette_iou"], ".3f"),
        "Highlight error, px": text(row["highlight_error"], ".1f"),
        "FLIP": text(row["flip"], ".4f"),
        "SSIM": text(row["ssim"], ".3f"),
    } for row in rows])


def text(value: float, form: str) -> str:
    """A number as a table shows it; n/a for NaN."""
    return "n/a" if value != value else format(value, form)
