"""Filters of a row and a column kernel, as two small matrix products.

The products run in float64: on a GPU, float32 ones may be rounded to 10 bits (TF32), too coarse for a metric.
"""

import torch
from torch import Tensor


def separable_filter(images: Tensor, down: Tensor, across: Tensor, border: str = "replicate") -> Tensor:
    """Correlate every map with the outer product of two kernels; the size is kept.

    Args:
        images: (..., H, W), floating point.
        down, across: (2r + 1,) weights along a column and along a row; their lengths may differ.
        border: What lies outside the image: "replicate" a a|a b c|c c, or "symmetric" b a|a b c|c b.

    Returns (..., H, W), of the type of `images`.
    """
    height, width = images.shape[-2:]
    rows = filter_matrix(down.to(images.device), height, border)
    columns = filter_matrix(across.to(images.device), width, border)
    return (rows @ images.double() @ columns.T).to(images.dtype)


def filter_matrix(kernel: Tensor, size: int, border: str = "replicate") -> Tensor:
    """The matrix that correlates a vector of `size` numbers with a kernel, borders folded in: (size, size)."""
    radius = len(kernel) // 2
    out = torch.arange(size, device=kernel.device)
    source = out[:, None] + torch.arange(-radius, radius + 1, device=kernel.device)  # (size, 2r + 1)
    if border == "replicate":
        source = source.clamp(0, size - 1)
    elif border == "symmetric":
        source = source.remainder(2 * size)
        source = torch.minimum(source, 2 * size - 1 - source)
    else:
        raise ValueError(f"border is 'replicate' or 'symmetric', got {border!r}")
    matrix = torch.zeros(size, size, dtype=torch.float64, device=kernel.device)
    return matrix.index_put_((out[:, None].expand_as(source), source), kernel.double().expand_as(source), True)
