"""Mask and depth from one picture: the objective, the scores of a split, and what the real triplets say."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from htcv_lib.mask_depth.losses import MaskDepthLoss
from htcv_lib.mask_depth.output import MaskDepth
from htcv_lib.mask_depth.scores import depth_rmse, scale_and_shift, score_mask_depth
from htcv_lib.metrics.pictures import checkerboard_energy
from htcv_lib.metrics.segmentation import mask_dice, mask_iou
from htcv_lib.training.evaluate import score_batches
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


def predict_mask_depth(model: nn.Module, batches: Iterable[Batch], see: See, amp: bool | None = None) -> Predicted:
    """Mask and depth of every picture, in the order of the batches; bfloat16 autocast by default on CUDA only."""
    return Predicted(**score_batches(lambda batch: maps_of(model(see(batch))), batches, model, amp=amp))


def maps_of(pred: MaskDepth) -> dict[str, Tensor]:
    """What is kept of a prediction."""
    return {"mask": pred.mask, "depth": pred.depth}


def score_pictures_of(pred: Predicted, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """`score_mask_depth` of every picture, (N,) float64 each, with the share of the true mask under "area", whether an
    empty mask was predicted under "empty_right", and the checkerboard energy of both maps, predicted and true, NaN
    where a map is flat."""
    def pairs() -> Iterator[Batch]:
        start = 0
        for batch in batches:
            part = slice(start, start + len(batch["mask"]))
            yield {"pred_mask": pred.mask[part], "pred_depth": pred.depth[part],
                   "mask": batch["mask"].cpu(), "depth": batch["depth"].cpu()}
            start = part.stop

    def score(pair: Batch) -> dict[str, Tensor]:
        drawn = {"mask": pair["pred_mask"], "depth": pair["pred_depth"],
                 "true_mask": pair["mask"], "true_depth": pair["depth"]}
        return score_mask_depth(**pair) | {
            "area": (pair["mask"] > 0.5).double().flatten(1).mean(dim=1),
            "empty_right": ~(pair["pred_mask"] > 0.5).flatten(1).any(dim=1),
        } | {f"{name}_checkerboard": checkerboard_energy(maps) for name, maps in drawn.items()}

    return score_batches(score, pairs(), amp=False)


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
        elif f"true_{name}" in scores:
            found[name] = values.nanmean() / scores[f"true_{name}"].nanmean()
        elif name != "area" and not name.startswith("true_"):
            found[name] = values.mean()
    return {name: float(value) for name, value in found.items() if bool(torch.isfinite(value))}


def evaluate_mask_depth(model: nn.Module, batches: Iterable[Batch], see: See, loss: MaskDepthLoss | None = None,
                        amp: bool | None = None) -> dict[str, float]:
    """Scores of a split, see `summarize_mask_depth`; with a loss also its mean over the pictures under "loss".

    The batches are iterated twice and must come in the same order, without augmentation.
    """
    def judge(batch: Batch) -> dict[str, Tensor]:
        pred = model(see(batch))
        terms = {} if loss is None else {"loss": loss(pred, batch["mask"], batch["depth"])["loss"]}
        return maps_of(pred) | terms

    values = score_batches(judge, batches, model, amp=amp)
    found = summarize_mask_depth(score_pictures_of(Predicted(values["mask"], values["depth"]), batches))
    return found if loss is None else found | {"loss": float(values["loss"].double().mean())}


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
