"""Hausdorff distance of the edges of two pictures.

The edges are those of the report: OpenCV's Canny detector on the 8-bit colour picture, without smoothing, its upper
threshold chosen by Otsu's method on the grey picture, the lower one 0.3 of that. It is written out here, so that
pictures need no OpenCV; on the same 8-bit picture both find the same pixels. Because the threshold follows the
bright part of a picture, faint rims are missed, and a nearly black picture may get edges of noise.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor

LOW_SHARE = 0.3
LUMA = (9798, 19235, 3735)  # red, green, blue, in 2^-15: the weights of OpenCV's grey
TANGENT_22_5 = 13573  # in 2^-15


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
    values = to_bytes(image)
    high = otsu_threshold(grey(values))
    return canny(values, (LOW_SHARE * high.double()).floor().int(), high)


def to_bytes(image: Tensor) -> Tensor:
    """The 8-bit picture a PNG file would hold: [0, 1] -> int32 in [0, 255], halves rounded up."""
    return (image.detach().clamp(0, 1) * 255 + 0.5).int()


def grey(values: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 255] -> (B, H, W) int32 in [0, 255]."""
    red, green, blue = values.unbind(dim=1)
    return (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2] + (1 << 14)) >> 15


def otsu_threshold(values: Tensor) -> Tensor:
    """The grey level that best parts dark from bright (Otsu, 1979): (B, H, W) in [0, 255] -> (B,) int64.

    The first level of the largest variance between the two classes; 0 for a picture of one level. Level by level,
    in OpenCV's order of operations, since ties are decided by rounding.
    """
    flat = values.flatten(1)
    offset = 256 * torch.arange(len(flat), device=flat.device)[:, None]
    counts = torch.bincount((flat + offset).flatten(), minlength=256 * len(flat)).view(-1, 256).cpu().numpy()
    scale = 1 / flat.shape[1]
    mean = (counts * np.arange(256.0)).sum(axis=1) * scale
    share, dark, largest = (np.zeros(len(counts)) for _ in range(3))
    best = np.zeros(len(counts), dtype=np.int64)
    tiny = float(np.finfo(np.float32).eps)
    for level in range(256):
        here = counts[:, level] * scale
        dark = dark * share
        share = share + here
        rest = 1 - share
        usable = (np.minimum(share, rest) >= tiny) & (np.maximum(share, rest) <= 1 - tiny)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean_dark = (dark + level * here) / share
            bright = (mean - share * mean_dark) / rest
            between = share * rest * (mean_dark - bright) * (mean_dark - bright)
        dark = np.where(usable, mean_dark, dark)
        better = usable & (between > largest)
        best[better], largest[better] = level, between[better]
    return torch.from_numpy(best).to(values.device)


def canny(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Edges of colour pictures (Canny, 1986), as OpenCV finds them with its default settings.

    3 x 3 Sobel gradients of the channel with the steepest one, their strength |dx| + |dy|; a pixel stays if it is
    the strongest across the edge, in one of four directions, and above `low`; then every group of touching pixels
    stays that has one above `high`.

    Args:
        values: (B, 3, H, W) int32 in [0, 255].
        low, high: (B,) integer thresholds of the strength.

    Returns (B, H, W) bool.
    """
    padded = F.pad(values.float(), (1, 1, 1, 1), mode="replicate").int()
    down = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]  # smoothed along columns
    across = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    dx, dy = down[..., 2:] - down[..., :-2], across[..., 2:, :] - across[..., :-2, :]  # (B, 3, H, W)
    steepest = (dx.abs() + dy.abs()).argmax(dim=1, keepdim=True)  # the first of equals
    dx, dy = dx.gather(1, steepest)[:, 0], dy.gather(1, steepest)[:, 0]  # (B, H, W)
    strength = dx.abs() + dy.abs()
    thin = strongest_across(strength, dx, dy) & (strength > low[:, None, None])
    return connected(thin, thin & (strength > high[:, None, None]))


def strongest_across(strength: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """Is a pixel the strongest of the three along its gradient? All (B, H, W); nothing is outside the image."""
    height, width = strength.shape[-2:]
    padded = F.pad(strength, (1, 1, 1, 1))

    def beside(down: int, right: int) -> Tensor:
        return padded[:, 1 + down:1 + down + height, 1 + right:1 + right + width]

    steep = dy.abs() << 15
    tangent = dx.abs() * TANGENT_22_5
    horizontal = (strength > beside(0, -1)) & (strength >= beside(0, 1))
    vertical = (strength > beside(-1, 0)) & (strength >= beside(1, 0))
    falling = (strength > beside(-1, -1)) & (strength > beside(1, 1))
    rising = (strength > beside(-1, 1)) & (strength > beside(1, -1))
    diagonal = torch.where((dx < 0) != (dy < 0), rising, falling)
    upright = torch.where(steep > tangent + (dx.abs() << 16), vertical, diagonal)  # beyond 67.5 degrees
    return torch.where(steep < tangent, horizontal, upright)


def connected(pixels: Tensor, seeds: Tensor) -> Tensor:
    """Groups of touching pixels, diagonals included, that hold a seed: (B, H, W) bool, twice -> (B, H, W) bool."""
    touching = np.zeros((3, 3, 3), dtype=bool)
    touching[1] = True  # within one image
    labels, count = ndimage.label(pixels.cpu().numpy(), structure=touching)
    kept = np.zeros(count + 1, dtype=bool)
    kept[labels[seeds.cpu().numpy()]] = True
    return torch.from_numpy(kept[labels]).to(pixels.device)
