import pytest
import torch
from torch import Tensor

from htcv_lib.decomposer.layers import ORDERS, Decomposition, SetDecomposition
from htcv_lib.decomposer.leakage import predicted_effects, true_effects


def noise(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.fixture
def layers() -> Decomposition:
    """2 sequences of 3 views, 5 x 6 pixels."""
    return Decomposition(noise(2, 3, 1, 5, 6), noise(2, 1, 3, 5, 6), noise(2, 1, 3, 5, 6, low=0.3),
                         noise(2, 3, 3, 5, 6), noise(2, 1, 3, 5, 6), None)


@pytest.mark.parametrize("order", ORDERS)
def test_predicted_effects_add_up_to_the_soft_recomposition(layers, order):
    true_original = noise(2, 3, 1, 5, 6)
    total = true_original + sum(predicted_effects(layers, true_original, order).values())
    torch.testing.assert_close(total, layers.recompose(hard=False, order=order).double())


def test_effects_of_a_prediction_in_linear_light_add_up_too(layers):
    pred = SetDecomposition(layers.original, noise(2, 3, 3, 5, 6, high=1.5), layers.shadow, layers.occlusion,
                            layers.mask, None, noise(2, 1, 3, 5, 6, high=0.2))
    effects = predicted_effects(pred, layers.original)
    torch.testing.assert_close(layers.original + sum(effects.values()), pred.recompose(hard=False).double(),
                               atol=1e-5, rtol=0)
    without = pred._replace(shadow=torch.ones_like(pred.shadow))
    assert predicted_effects(without, layers.original)["shadow"].abs().max() < 1e-6


@pytest.mark.parametrize("order", ORDERS)
def test_true_effects_are_the_predicted_ones_of_the_truth(layers, order):
    truth = {name: value for name, value in layers._asdict().items() if value is not None}
    found = predicted_effects(layers, layers.original, order)
    for name, effect in true_effects(truth, order).items():
        torch.testing.assert_close(effect, found[name], msg=name)


def test_physical_truth_has_one_effect_of_light():
    original = torch.full((1, 3, 1, 1, 2), 0.5)
    irradiance = torch.tensor([1.0, 100.0]).view(1, 1, 1, 1, 2).expand(1, 3, 1, 1, 2)
    effects = true_effects({"original": original, "irradiance": irradiance})
    assert list(effects) == ["irradiance"]
    assert effects["irradiance"][0, 0].flatten().tolist() == pytest.approx([0, 0.5], abs=1e-6)  # the second is clipped


def test_truth_without_light_and_unknown_orders_are_refused(layers):
    with pytest.raises(ValueError, match="shadow and light, or with irradiance"):
        true_effects({"original": layers.original, "mask": layers.mask})
    with pytest.raises(ValueError, match="light_last, light_first"):
        true_effects({"original": layers.original}, "shadow_last")
