import pytest
import torch

from htcv_lib.image import linear, srgb


@pytest.mark.parametrize(("stored", "light"), [(0.0, 0.0), (1.0, 1.0), (0.04045, 0.04045 / 12.92),
                                               (0.5, 0.2140411), (128 / 255, 0.2158605)])
def test_stored_values_become_the_light_of_the_standards_table(stored, light):
    assert linear(torch.tensor(stored)).item() == pytest.approx(light, abs=2e-6)
    assert srgb(torch.tensor(light)).item() == pytest.approx(stored, abs=2e-5)


def test_the_two_curves_undo_each_other():
    values = torch.linspace(0, 1, 4097, dtype=torch.float64)
    assert torch.allclose(srgb(linear(values)), values, atol=1e-7)
    assert torch.allclose(linear(srgb(values)), values, atol=1e-7)


def test_black_passes_the_gradient_of_the_line_and_not_infinity():
    black = torch.zeros(3, requires_grad=True)
    srgb(black).sum().backward()
    assert black.grad.tolist() == pytest.approx([12.92] * 3)


@pytest.mark.parametrize("curve", [linear, srgb])
def test_gradients_of_the_curves_are_those_of_finite_differences(curve):
    values = torch.tensor([0.001, 0.02, 0.2, 0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(curve, (values,))
