import pytest
import torch

from htcv_lib.metrics.pictures import checkerboard_energy


def test_a_checkerboard_is_nothing_but_alternation():
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    board = ((rows + columns) % 2).float().expand(1, 3, 8, 8)
    stripes = (columns % 2).float().expand(1, 3, 8, 8)
    assert checkerboard_energy(torch.cat((board, stripes))).tolist() == pytest.approx([1, 1])


def test_a_slow_wave_has_none_and_a_mixture_its_share():
    x = torch.arange(16, dtype=torch.float64)
    wave = (2 * torch.pi * x / 8).sin().expand(1, 1, 16, 16)
    fast = (torch.pi * x).cos().expand(1, 1, 16, 16)
    assert float(checkerboard_energy(wave)) == pytest.approx(0, abs=1e-12)
    # variances: sin 1/2, alternation 1, scaled by 0.1 squared
    assert float(checkerboard_energy(0.5 + wave + 0.1 * fast)) == pytest.approx(0.01 / 0.51)


def test_noise_has_its_share_of_the_bins():
    noise = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    bins = (32 + 32 - 1) / (32 * 32 - 1)
    assert float(checkerboard_energy(noise).mean()) == pytest.approx(bins, rel=0.05)


def test_one_colour_has_no_answer_and_odd_sides_are_refused():
    assert checkerboard_energy(torch.full((2, 3, 8, 8), 0.3)).isnan().all()
    with pytest.raises(ValueError, match="even"):
        checkerboard_energy(torch.zeros(1, 3, 7, 8))
