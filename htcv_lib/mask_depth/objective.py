"""Mask and depth from one picture: the objective, the scores of a split, and what the real triplets say."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from htcv_lib.mask_depth.losses import MaskDepthLoss
from htcv_lib.mask_depth.scores import depth_rmse, scale_and_shift, score_mask_depth
from htcv_lib.metrics.pictures import checkerboard_energy
from htcv_lib.metrics.segmentation import mask_dice, mask_iou
from htcv_lib.training.device import autocast, in_mode
from htcv_lib.training.phase import Batch

OF_PETS = ("mask_iou", "mask_dice", "boundary_f")  # averaged over the pictures that hold one
See = Callable[[Mapping[str, Tensor]], Tensor]  # from a batch to what the network is shown


class Predicted(NamedTuple):
    """What a network says of a set, in its order, on the CPU."""

    mask: Tensor  # (N, 1, H, W) in [0, 1]
    depth: Tensor  # (N, 1, H, W) in [0, 1]


def mask_depth_objective(model: nn.Module, batch: Batch, loss: MaskDepthLoss, see: See) -> dict[str, Tensor]:
    """The chosen loss of one batch, and its two terms.

    Args:
        batch: image, and background if `see` asks for it, (B, 3, H, W); mask and depth (B, 1, H, W); all in [0, 1].
        loss: As from `mask_depth_loss`.
        see: What the network is called with, for example `network_input`.
    """
    return loss(model(see(batch)), batch["mask"], batch["depth"])


@torch.inference_mode()
def predict_mask_depth(model: nn.Module, batches: Iterable[Batch], see: See, amp: bool | None = None) -> Predicted:
    """Mask and depth of every picture, in the order of the batches.

    Args:
        amp: bfloat16 autocast; by default on CUDA only.
    """
    parts = []
    with in_mode(False, model):
        for batch in batches:
            with autocast(batch["image"].device, amp):
                pred = model(see(batch))
            parts.append((pred.mask.float().cpu(), pred.depth.float().cpu()))
    if not parts:
        raise ValueError("no batches to predict on")
    return Predicted(*(torch.cat(field) for field in zip(*parts, strict=True)))


@torch.inference_mode()
def score_pictures_of(pred: Predicted, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """`score_mask_depth` of every picture, (N,) float64 each, with the share of the true mask under "area", and the
    checkerboard energy of both maps, predicted and true, NaN where a map is flat."""
    rows, start = [], 0
    for batch in batches:
        mask, depth = batch["mask"].cpu(), batch["depth"].cpu()
        part = slice(start, start + len(mask))
        start += len(mask)
        row = score_mask_depth(pred.mask[part], pred.depth[part], mask, depth)
        row["area"] = (mask > 0.5).double().flatten(1).mean(dim=1)
        row["empty_right"] = ~(pred.mask[part] > 0.5).flatten(1).any(dim=1)
        for name, made, true in (("mask", pred.mask[part], mask), ("depth", pred.depth[part], depth)):
            row[f"{name}_checkerboard"] = checkerboard_energy(made)
            row[f"true_{name}_checkerboard"] = checkerboard_energy(true)
        rows.append(row)
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def summarize_mask_depth(scores: Mapping[str, Tensor]) -> dict[str, float]:
    """Means over pictures of `score_pictures_of`.

    Scores of the mask's shape are means over the pictures with a pet; "empty_right" is the share of the others in
    which nothing is found (absent if there are none). The checkerboard is relative: its mean energy over that of the
    true maps, so 1 is as much as the truth has; absent where every predicted map is flat.
    """
    there = scores["area"] > 0
    found = {}
    for name, values in scores.items():
        if name in OF_PETS:
            found[name] = values[there].mean()
        elif name == "empty_right":
            found[name] = values[~there].double().mean()
        elif name.endswith("_checkerboard"):
            if not name.startswith("true_"):
                found[name] = values.nanmean() / scores[f"true_{name}"].nanmean()
        elif name != "area":
            found[name] = values.mean()
    return {name: float(value) for name, value in found.items() if bool(torch.isfinite(value))}


def evaluate_mask_depth(model: nn.Module, batches: Iterable[Batch], see: See, loss: MaskDepthLoss | None = None,
                        amp: bool | None = None) -> dict[str, float]:
    """Scores of a split, see `summarize_mask_depth`; with a loss also its mean over the batches under "loss".

    The batches are iterated more than once and must come in the same order, without augmentation.
    """
    found = summarize_mask_depth(score_pictures_of(predict_mask_depth(model, batches, see, amp), batches))
    if loss is not None:
        found["loss"] = mean_loss(model, batches, see, loss, amp)
    return found


@torch.inference_mode()
def mean_loss(model: nn.Module, batches: Iterable[Batch], see: See, loss: MaskDepthLoss,
              amp: bool | None = None) -> float:
    """Mean of the loss over the batches, each weighted by its pictures."""
    total = pictures = 0
    with in_mode(False, model):
        for batch in batches:
            with autocast(batch["image"].device, amp):
                value = mask_depth_objective(model, batch, loss, see)["loss"]
            total, pictures = total + value.double() * len(batch["mask"]), pictures + len(batch["mask"])
    return float(total / pictures)


def score_pseudo_truth(pred: Predicted, mask: Tensor, depth: Tensor) -> dict[str, float]:
    """Means over pictures whose depth is a pseudo-truth without unit.

    Depth is aligned to it by scale and shift, picture by picture, and a picture whose scale is not above 0 has near
    and far exchanged.

    Shapes: mask, depth (N, 1, H, W) in [0, 1].

    Returns real_mask_iou, real_mask_dice, real_depth_rmse (of the aligned depth, in its own range) and
    real_depth_order, the share of pictures with a scale above 0.
    """
    line = scale_and_shift(pred.depth, depth)
    return {"real_mask_iou": float(mask_iou(pred.mask, mask).mean()),
            "real_mask_dice": float(mask_dice(pred.mask, mask).mean()),
            "real_depth_rmse": float(depth_rmse(line.apply(pred.depth), depth).mean()),
            "real_depth_order": float((line.scale > 0).double().mean())}
