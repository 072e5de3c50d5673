"""Hausdorff distance of the edges of two pictures.

The edges are those of the report: OpenCV's detector (Canny, 1986) on the 8-bit colour picture, without smoothing, its
upper threshold chosen by Otsu's method on the grey picture, the lower one 0.3 of that. Since the threshold follows the
bright part of a picture, faint rims are missed, and a nearly black picture may get edges of noise.
"""

import math

import cv2
import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

LOW_SHARE = 0.3
OTSU = cv2.THRESH_BINARY + cv2.THRESH_OTSU


def hausdorff(pred: Tensor, target: Tensor, missing: str | float = "diagonal") -> Tensor:
    """Symmetric Hausdorff distance between the edges of two pictures.

    The largest distance from an edge pixel of one picture to the nearest of the other.

    Args:
        pred, target: (B, 3, H, W) in [0, 1].
        missing: The distance, in pixels, where one picture has edges and the other has none; "diagonal" is that of
            the image, sqrt(H^2 + W^2), just above the largest possible.

    Returns (B,) float64, in pixels; 0 where the edges agree, or where neither picture has any.
    """
    if missing == "diagonal":
        missing = math.hypot(*pred.shape[-2:])
    distances = [points_distance(*pair) for pair in zip(edge_points(pred), edge_points(target), strict=True)]
    return torch.tensor([missing if d == math.inf else d for d in distances], dtype=torch.float64,
                        device=pred.device)


def hausdorff_reported(pred: Tensor, target: Tensor) -> Tensor:
    """`hausdorff` as the report averaged it: NaN, to be left out, where it is 0 or one picture has no edges.

    So neither a perfect picture nor one without any edge counts. Arguments and result as `hausdorff`.
    """
    distance = hausdorff(pred, target, missing=math.inf)
    return torch.where((distance > 0) & distance.isfinite(), distance, math.nan)


def points_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Symmetric Hausdorff distance of two point sets (N, 2), (M, 2); infinite if just one is empty, 0 if both."""
    if len(first) == 0 or len(second) == 0:
        return 0.0 if len(first) == len(second) else math.inf
    return float(max(cKDTree(first).query(second)[0].max(), cKDTree(second).query(first)[0].max()))


def edge_points(image: Tensor) -> list[np.ndarray]:
    """Row and column of the edge pixels: (B, 3, H, W) in [0, 1] -> B arrays (N, 2)."""
    return [np.argwhere(edges) for edges in edge_map(image).cpu().numpy()]


def edge_map(image: Tensor) -> Tensor:
    """Edges as the report found them: (B, 3, H, W) in [0, 1] -> (B, H, W) bool."""
    found = []
    for picture in to_bytes(image).permute(0, 2, 3, 1).contiguous().cpu().numpy():
        high, _ = cv2.threshold(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 0, 255, OTSU)
        found.append(cv2.Canny(picture, LOW_SHARE * high, high) > 0)
    return torch.from_numpy(np.stack(found)).to(image.device)


def to_bytes(image: Tensor) -> Tensor:
    """The 8-bit picture of the report's PNG files: [0, 1] -> uint8, halves rounded up."""
    return (image.detach().clamp(0, 1) * 255 + 0.5).to(torch.uint8)


def otsu_threshold(levels: Tensor) -> Tensor:
    """The level that parts dark from bright best (Otsu, 1979): (B, H, W) in [0, 255] -> (B,) int64; 0 if all agree."""
    pictures = levels.to(torch.uint8).contiguous().cpu().numpy()
    return torch.tensor([int(cv2.threshold(each, 0, 255, OTSU)[0]) for each in pictures], device=levels.device)
