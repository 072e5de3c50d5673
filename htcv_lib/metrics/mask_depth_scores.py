"""All scores of a predicted mask and depth: the common judges of networks that were trained with different losses."""

from torch import Tensor

from htcv_lib.metrics.binary_mask import mask_dice, mask_iou, mask_rmse
from htcv_lib.metrics.boundary_f import boundary_f_score
from htcv_lib.metrics.depth_error import abs_rel, delta_accuracy, depth_rmse
from htcv_lib.metrics.reconstruction import image_ssim


def score_mask_depth(pred_mask: Tensor, pred_depth: Tensor, mask: Tensor, depth: Tensor) -> dict[str, Tensor]:
    """Every score of every image.

    Args:
        pred_mask, pred_depth, mask, depth: (B, 1, H, W) in [0, 1], the true depth > 0; H and W at least 11.

    Returns (B,) float64 each: mask_iou, mask_dice, boundary_f (higher is better), mask_rmse (lower); depth_rmse in the
    depth's unit, abs_rel (lower), delta1, delta2, delta3, depth_ssim (higher).
    """
    scores = {
        "mask_iou": mask_iou(pred_mask, mask), "mask_dice": mask_dice(pred_mask, mask),
        "boundary_f": boundary_f_score(pred_mask, mask), "mask_rmse": mask_rmse(pred_mask, mask),
        "depth_rmse": depth_rmse(pred_depth, depth), "abs_rel": abs_rel(pred_depth, depth),
    }
    scores |= {f"delta{power}": delta_accuracy(pred_depth, depth, power) for power in (1, 2, 3)}
    return scores | {"depth_ssim": image_ssim(pred_depth.float(), depth.float()).double()}
