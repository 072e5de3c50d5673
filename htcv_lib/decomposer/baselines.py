"""The clean picture without learning: mean, median, and what all views share by robust PCA."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MeanOfViews(nn.Module):
    """The mean of each pixel and channel: (B, 3, T, H, W) -> (B, 3, 1, H, W)."""

    def forward(self, image: Tensor) -> Tensor:
        return image.mean(dim=2, keepdim=True)


class MedianOfViews(nn.Module):
    """The median of each pixel and channel: (B, 3, T, H, W) -> (B, 3, 1, H, W)."""

    def forward(self, image: Tensor) -> Tensor:
        return median_of_views(image)


def median_of_views(image: Tensor) -> Tensor:
    """(B, C, T, H, W) -> (B, C, 1, H, W); of an even number of views the mean of the two in the middle."""
    views = image.shape[2]
    ranked = image.sort(dim=2).values
    return (ranked[:, :, (views - 1) // 2] + ranked[:, :, views // 2]).div(2).unsqueeze(2)


# Principal component pursuit (Candes, Li, Ma, Wright, "Robust principal component analysis?", JACM 2011,
# arXiv:0912.3599) by the inexact augmented Lagrange multiplier method (Lin, Chen, Ma, 2010, arXiv:1009.5055).

GROWTH = 1.5  # of the penalty from one step to the next
START, LIMIT = 1.25, 1e7  # first penalty over 1 / spectral norm; how many times larger it may become


class LowRankSparse(NamedTuple):
    """D = low_rank + sparse, to the tolerance asked for."""

    low_rank: Tensor  # (B, T, P)
    sparse: Tensor  # (B, T, P)
    iterations: Tensor  # (B,) int64; one that used up `max_iterations` may not have reached the tolerance


class ViewLayers(NamedTuple):
    """Views explained without a network."""

    original: Tensor  # (B, 3, 1, H, W) in [0, 1]
    mask: Tensor  # (B, 1, T, H, W) in {0, 1}, 1 is occluded
    low_rank: Tensor  # (B, 3, T, H, W), not clipped
    sparse: Tensor  # (B, 3, T, H, W)


@torch.no_grad()
def robust_pca(matrix: Tensor, sparsity: float | None = None, tolerance: float = 1e-7,
               max_iterations: int = 500) -> LowRankSparse:
    r"""The low-rank and the sparse matrix whose sum is `matrix`.

    .. math:: \min_{L, S} \|L\|_* + \lambda \|S\|_1 \quad \text{such that} \quad L + S = D

    Singular values come from the T x T matrix :math:`X X^\top`, so that a step costs :math:`O(T^2 P)`, in float64
    whatever the dtype. Every matrix has its own penalty and stops on its own.

    Args:
        matrix: (B, T, P) float32 or float64, quick for T much smaller than P.
        sparsity: lambda; by default :math:`1 / \sqrt{\max(T, P)}`, as the first paper proves its recovery for.
        tolerance: On the Frobenius norm of D - L - S over that of D.
        max_iterations: Steps at most.

    Returns both parts in the dtype of `matrix`, and the steps of each matrix.
    Errors: ValueError for another number of dimensions, integers, or values that are not finite.
    """
    if matrix.ndim != 3 or not matrix.is_floating_point():
        raise ValueError(f"expected (B, T, P) floating point, got {tuple(matrix.shape)} {matrix.dtype}")
    if not matrix.isfinite().all():
        raise ValueError("the matrix has values that are not finite")
    weight = max(matrix.shape[1:]) ** -0.5 if sparsity is None else sparsity
    parts = [pursuit(data, weight, tolerance, max_iterations) for data in matrix.double()]
    low_rank, sparse, iterations = zip(*parts, strict=True)
    return LowRankSparse(torch.stack(low_rank).to(matrix), torch.stack(sparse).to(matrix),
                         torch.tensor(iterations, device=matrix.device))


def pursuit(data: Tensor, weight: float, tolerance: float, max_iterations: int) -> tuple[Tensor, Tensor, int]:
    """Low-rank and sparse part of one matrix (T, P) float64, and the steps it took."""
    low_rank, sparse = data, torch.zeros_like(data)
    size = float(data.norm())
    if size == 0:
        return low_rank, sparse, 0
    spectral = float(torch.linalg.eigvalsh(data @ data.mT)[-1].clamp(min=0).sqrt())
    multiplier = data / max(spectral, float(data.abs().amax()) / weight)
    penalty, step = START / spectral, 0
    ceiling = penalty * LIMIT
    while step < max_iterations:
        step += 1
        low_rank = shrink_singular_values(data - sparse + multiplier / penalty, 1 / penalty)
        sparse = F.softshrink(data - low_rank + multiplier / penalty, weight / penalty)
        gap = data - low_rank - sparse
        multiplier = multiplier + penalty * gap
        penalty = min(penalty * GROWTH, ceiling)
        if float(gap.norm()) <= tolerance * size:
            break
    return low_rank, sparse, step


def shrink_singular_values(matrix: Tensor, by: float) -> Tensor:
    """Soft thresholding of the singular values of (T, P), T at most P, from the eigenvalues of the T x T product."""
    squares, left = torch.linalg.eigh(matrix @ matrix.mT)  # (T,), (T, T)
    kept = (1 - by / squares.clamp(min=0).sqrt().clamp(min=1e-300)).clamp(min=0)
    return (left * kept) @ (left.mT @ matrix)


POOLS = {"median": MedianOfViews, "mean": MeanOfViews}


class RobustPCAOfViews(nn.Module):
    """Robust PCA of the views: a baseline without training that every learned decomposition has to beat.

    A sequence is a matrix of T rows, one view each, of 3 H W sRGB values. Unless the light changes in a complicated way
    the rows without occluders are nearly multiples of each other, so of low rank; occluders are sparse. The original is
    the per-pixel median, or mean, over views of the low-rank part: the median forgets the views that are far too dark
    or bright, the mean is nearer to the truth where most are. A pixel is occluded where the sparse part of any channel
    exceeds the threshold, as in the code of the reports (version 3 of its labels), which solves the same problem with a
    fixed penalty and 500 steps.

    Args:
        threshold: On the magnitude of the sparse part, in units of white.
        over_views: "median" (between the two in the middle for an even T) or "mean".
        sparsity, tolerance, max_iterations: As `robust_pca`.

    Shapes:
        image:  (B, 3, T, H, W) in [0, 1]
        return: (B, 3, 1, H, W) in [0, 1]; `layers` returns the mask as well.
    """

    def __init__(self, threshold: float = 0.3, over_views: str = "median", sparsity: float | None = None,
                 tolerance: float = 1e-6, max_iterations: int = 200):
        super().__init__()
        if over_views not in POOLS:
            raise ValueError(f"over_views must be one of {', '.join(POOLS)}, got {over_views!r}")
        self.threshold, self.pool = threshold, POOLS[over_views]()
        self.sparsity, self.tolerance, self.max_iterations = sparsity, tolerance, max_iterations

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image).original

    def layers(self, image: Tensor) -> ViewLayers:
        """Original, mask and both parts."""
        rows = image.transpose(1, 2)  # (B, T, 3, H, W)
        parts = robust_pca(rows.flatten(2), self.sparsity, self.tolerance, self.max_iterations)
        low_rank, sparse = (part.view(rows.shape).transpose(1, 2) for part in parts[:2])
        original = self.pool(low_rank).clamp(0, 1)
        mask = (sparse.abs() > self.threshold).any(1, keepdim=True).to(image)
        return ViewLayers(original, mask, low_rank, sparse)
