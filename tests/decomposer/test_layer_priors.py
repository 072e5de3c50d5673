import math

import pytest
import torch

from htcv_lib.decomposer.set_losses import exclusion, mask_prior, smoothness, sparsity


def step(column: int, height: float = 1.0, size: tuple[int, int] = (8, 16)) -> torch.Tensor:
    """A picture (1, 1, 1, H, W) that is 0 left of a column and `height` from it on."""
    values = torch.zeros(1, 1, 1, *size)
    values[..., column:] = height
    return values


def test_the_smoothness_of_a_step_is_its_height_over_the_pairs_of_neighbours():
    assert smoothness(step(5, 0.5)).item() == pytest.approx(0.5 / 15)
    assert smoothness(step(5, 0.5).transpose(-1, -2)).item() == pytest.approx(0.5 / 15)
    assert smoothness(torch.full((2, 3, 4, 5, 6), 0.7)).item() == 0


def test_an_edge_of_the_guide_makes_a_step_cheaper_only_where_it_is():
    values = step(5, 0.5)
    same, other = step(5, 0.1).expand(1, 3, 1, 8, 16), step(9, 0.1).expand(1, 3, 1, 8, 16)
    assert smoothness(values, same).item() == pytest.approx(0.5 / 15 * math.exp(-1))
    assert smoothness(values, other).item() == pytest.approx(0.5 / 15)


def test_a_guide_with_one_view_serves_all_views():
    values = torch.rand(2, 1, 4, 6, 7)
    guide = torch.rand(2, 3, 1, 6, 7)
    each = [smoothness(values[:, :, t:t + 1], guide) for t in range(4)]
    torch.testing.assert_close(smoothness(values, guide), torch.stack(each).mean())


def test_sparsity_is_the_mean_absolute_value():
    assert sparsity(torch.tensor([-1.0, 0.0, 0.0, 3.0])).item() == 1


def test_exclusion_punishes_shared_edges_and_nothing_else():
    assert exclusion(step(5), step(9), scales=1).item() == 0
    assert exclusion(step(5), torch.ones(1, 1, 1, 8, 16)).item() == 0
    assert exclusion(step(5), step(5), scales=1).item() == pytest.approx(math.tanh(1) ** 2 / 15 / 2)


def test_a_faint_layer_does_not_evade_the_exclusion():
    loud, faint = exclusion(step(5), step(5)).item(), exclusion(step(5), step(5, 0.01)).item()
    # lambda takes both edges to 0.1, where tanh is nearly the identity: as if the product were what counts
    assert faint == pytest.approx(exclusion(step(5, 0.1), step(5, 0.1)).item())
    assert 0 < faint < loud


def test_scales_beyond_the_picture_are_refused():
    with pytest.raises(ValueError, match="4 scales need sides of at least 16"):
        exclusion(step(5), step(5), scales=4)


def test_exclusion_of_flat_layers_has_a_finite_gradient():
    first, second = torch.ones(1, 1, 2, 8, 8, requires_grad=True), torch.rand(1, 3, 2, 8, 8, requires_grad=True)
    exclusion(first, second).backward()
    assert first.grad.isfinite().all() and second.grad.isfinite().all()


def test_the_mask_prior_is_entropy_and_area():
    mask = torch.tensor([0.0, 1.0, 0.5, 0.5]).view(1, 1, 1, 1, 4)
    terms = mask_prior(mask, entropy_weight=0.2, area_weight=0.3)
    assert terms["entropy"].item() == pytest.approx(0.2 * math.log(2) / 2, abs=1e-5)
    assert terms["area"].item() == pytest.approx(0.15)
    assert terms["loss"].item() == pytest.approx(terms["entropy"].item() + terms["area"].item())
    assert mask_prior(torch.zeros(1, 1, 1, 2, 2))["loss"].item() == pytest.approx(0, abs=1e-6)


def test_the_mask_priors_gradient_is_finite_for_a_decided_mask():
    mask = torch.tensor([0.0, 1.0, 0.3]).requires_grad_()
    mask_prior(mask)["loss"].backward()
    assert mask.grad.isfinite().all()
