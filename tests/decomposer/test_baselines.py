import numpy as np
import pytest
import torch

from htcv_lib.decomposer.baselines import (
    MeanOfViews,
    MedianOfViews,
    RobustPCAOfViews,
    robust_pca,
    shrink_singular_values,
)


def test_mean_and_median_of_three_views_of_a_pixel():
    views = torch.tensor([0.1, 0.9, 0.2]).view(1, 1, 3, 1, 1).expand(1, 3, 3, 2, 4)
    assert MeanOfViews()(views).unique().tolist() == pytest.approx([0.4])
    assert MedianOfViews()(views).unique().tolist() == pytest.approx([0.2])


@pytest.mark.parametrize("views", [1, 2, 5, 10])
def test_mean_and_median_are_numpys(views):
    image = torch.rand(2, 3, views, 4, 5)
    mean, median = MeanOfViews()(image), MedianOfViews()(image)
    assert mean.shape == median.shape == (2, 3, 1, 4, 5)
    assert np.allclose(mean, image.numpy().mean(2, keepdims=True), atol=1e-6)
    assert np.allclose(median, np.median(image.numpy(), axis=2, keepdims=True), atol=1e-6)


def test_a_pixel_occluded_in_less_than_half_of_the_views_is_restored_by_the_median_alone():
    image = torch.full((1, 3, 10, 2, 2), 0.3)
    image[:, :, :4] = 0.9
    assert torch.allclose(MedianOfViews()(image), torch.tensor(0.3))
    assert torch.allclose(MeanOfViews()(image), torch.tensor(0.54))


def low_rank_plus_sparse(seed, rank, share=0.05, shape=(40, 200)):
    """Both parts, float64: rank `rank`, and a `share` of entries of magnitude 1 to 2 of either sign."""
    draw = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(*size, generator=draw, dtype=torch.float64) for size in ((shape[0], rank),
                                                                                       (rank, shape[1])))
    sign = torch.randn(shape, generator=draw, dtype=torch.float64).sign()
    there = torch.rand(shape, generator=draw) < share
    return left @ right, torch.where(there, sign * (1 + torch.rand(shape, generator=draw)), 0)


def plain_robust_pca(matrix, tolerance=1e-7, steps=500):
    """The same algorithm written down for one matrix with a full singular value decomposition."""
    weight, spectral = max(matrix.shape) ** -0.5, torch.linalg.svdvals(matrix)[0]
    multiplier = matrix / max(spectral, matrix.abs().max() / weight)
    penalty, sparse = 1.25 / spectral, torch.zeros_like(matrix)
    for step in range(1, steps + 1):
        u, values, v = torch.linalg.svd(matrix - sparse + multiplier / penalty, full_matrices=False)
        low_rank = u @ torch.diag((values - 1 / penalty).clamp(min=0)) @ v
        left = matrix - low_rank + multiplier / penalty
        sparse = left.sign() * (left.abs() - weight / penalty).clamp(min=0)
        gap = matrix - low_rank - sparse
        multiplier, penalty = multiplier + penalty * gap, min(1.5 * penalty, 1.25e7 / spectral)
        if gap.norm() < tolerance * matrix.norm():
            return low_rank, sparse, step
    raise AssertionError("no convergence")


@pytest.mark.parametrize("rank", [1, 2])
def test_a_low_rank_and_a_sparse_matrix_are_recovered_exactly_from_their_sum(rank):
    smooth, spikes = low_rank_plus_sparse(1, rank)
    found = robust_pca((smooth + spikes)[None])
    torch.testing.assert_close(found.low_rank[0], smooth, atol=2e-5, rtol=0)
    assert torch.equal(found.sparse[0].abs() > 1e-3, spikes != 0)
    assert torch.linalg.matrix_rank(found.low_rank[0], atol=1e-3).item() == rank


def test_it_is_the_algorithm_with_a_full_singular_value_decomposition():
    matrix = sum(low_rank_plus_sparse(2, 3, share=0.2))
    low_rank, sparse, steps = plain_robust_pca(matrix)
    found = robust_pca(matrix[None])
    assert found.iterations.tolist() == [steps]
    torch.testing.assert_close(found.low_rank[0], low_rank, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.sparse[0], sparse, atol=1e-6, rtol=0)


def test_matrices_of_a_batch_do_not_touch_each_other():
    pair = [sum(low_rank_plus_sparse(3, 1)), 50 * sum(low_rank_plus_sparse(4, 4, share=0.3))]
    both, alone = robust_pca(torch.stack(pair)), [robust_pca(matrix[None]) for matrix in pair]
    assert both.iterations[0] != both.iterations[1]
    for i, single in enumerate(alone):
        assert both.iterations[i] == single.iterations[0]
        torch.testing.assert_close(both.low_rank[i], single.low_rank[0])
        torch.testing.assert_close(both.sparse[i], single.sparse[0])


def test_single_precision_keeps_its_dtype_and_comes_as_near_as_it_can():
    smooth, spikes = low_rank_plus_sparse(5, 1)
    found = robust_pca((smooth + spikes)[None].float())
    assert found.low_rank.dtype == found.sparse.dtype == torch.float32
    torch.testing.assert_close(found.low_rank[0], smooth.float(), atol=1e-4, rtol=0)


def test_zeros_are_finished_before_they_begin_and_a_limit_is_kept():
    found = robust_pca(torch.stack([torch.zeros(40, 200).double(), sum(low_rank_plus_sparse(6, 2))]), max_iterations=3)
    assert found.iterations.tolist() == [0, 3]
    assert not found.low_rank[0].any() and not found.sparse[0].any()


def test_singular_values_shrink_and_directions_stay():
    matrix = torch.tensor([[0.0, 3.0, 0.0], [-1.0, 0.0, 0.0]], dtype=torch.float64)  # singular values 3 and 1
    shrunk = shrink_singular_values(matrix, 1.5)
    torch.testing.assert_close(shrunk, torch.tensor([[0.0, 1.5, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64))


def views_with_a_square():
    """A picture under ten brightnesses; a square of another colour covers four pixels in the views 2 and 7."""
    picture = 0.1 + 0.5 * torch.rand(3, 1, 12, 16, generator=torch.Generator().manual_seed(7))
    brightness = torch.linspace(0.6, 1.4, 10).view(1, 10, 1, 1)
    image, mask = (picture * brightness)[None].clone(), torch.zeros(1, 1, 10, 12, 16)
    for t in (2, 7):
        mask[:, :, t, t : t + 2, 4:6] = 1
    return torch.where(mask > 0, torch.tensor((0.0, 1.0, 0.9)).view(3, 1, 1, 1), image), picture[None], mask


@pytest.mark.parametrize("over_views", ["median", "mean"])
def test_an_occluder_is_found_and_the_picture_behind_it_redrawn(over_views):
    image, picture, mask = views_with_a_square()
    layers = RobustPCAOfViews(over_views=over_views).layers(image)
    assert torch.equal(layers.mask, mask)
    torch.testing.assert_close(layers.original, picture, atol=5e-3, rtol=0)
    torch.testing.assert_close(layers.low_rank + layers.sparse, image, atol=1e-4, rtol=0)
    assert torch.equal(RobustPCAOfViews(over_views=over_views)(image), layers.original)


def test_the_median_lies_between_the_two_in_the_middle_and_differs_from_the_mean():
    image = torch.zeros(1, 3, 4, 2, 3)
    image[:, :, 2], image[:, :, 3] = 0.2, 0.8
    model = RobustPCAOfViews(sparsity=100.0)  # nothing is sparse: the low-rank part is the image
    torch.testing.assert_close(model(image), torch.full((1, 3, 1, 2, 3), 0.1), atol=1e-5, rtol=0)
    mean = RobustPCAOfViews(over_views="mean", sparsity=100.0)(image)
    torch.testing.assert_close(mean, torch.full((1, 3, 1, 2, 3), 0.25), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("matrix", "message"), [
    (torch.zeros(4, 5), r"expected \(B, T, P\)"), (torch.zeros(1, 4, 5, dtype=torch.int64), "floating point, got"),
    (torch.full((1, 2, 3), torch.nan), "not finite")])
def test_what_is_no_batch_of_matrices_is_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        robust_pca(matrix)


def test_an_unknown_pool_is_refused():
    with pytest.raises(ValueError, match="over_views must be one of median, mean"):
        RobustPCAOfViews(over_views="mode")
