import pytest
import torch
from torch import Tensor

from htcv_lib.decomposer.layers import ORDERS, Decomposition, SetDecomposition
from htcv_lib.decomposer.leakage import leakage_matrix, predicted_effects, true_effects


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


LEFT, MIDDLE, RIGHT = slice(0, 4), slice(4, 8), slice(8, 12)  # of 12 columns


def truth_of(shade: slice, shine: slice, solid: slice) -> dict[str, Tensor]:
    """2 sequences of 3 views of noise, with a shadow, a light and a solid, each in its columns."""
    original = 0.3 + 0.3 * torch.rand(2, 3, 1, 6, 12, generator=torch.Generator().manual_seed(0))
    shadow, light, mask = torch.ones(2, 1, 3, 6, 12), torch.zeros(2, 1, 3, 6, 12), torch.zeros(2, 1, 3, 6, 12)
    shadow[..., shade], light[..., shine], mask[..., solid] = 0.6, 0.25, 1
    occlusion = mask * torch.tensor([0.9, 0.1, 0.2]).view(1, 3, 1, 1, 1)
    truth = Decomposition(original, light, shadow, occlusion, mask, None)
    return {name: value for name, value in truth._asdict().items() if value is not None} | {"image": truth.recompose()}


def as_pred(truth: dict[str, Tensor]) -> Decomposition:
    return Decomposition(*(truth[name] for name in ("original", "light", "shadow", "occlusion", "mask")), None)


@pytest.fixture
def apart() -> dict[str, Tensor]:
    return truth_of(LEFT, MIDDLE, RIGHT)


@pytest.fixture
def overlapping() -> dict[str, Tensor]:
    return truth_of(slice(0, 7), slice(2, 10), slice(5, 12))


IDENTITY = torch.eye(3, 4, dtype=torch.float64)


def test_the_truth_has_the_identity_and_paints_nothing_into_the_original(apart):
    found = leakage_matrix(as_pred(apart), apart)
    assert found.true == ("shadow", "light", "occlusion")
    assert found.predicted == ("shadow", "light", "occlusion", "original")
    torch.testing.assert_close(found.matrix, IDENTITY)
    torch.testing.assert_close(found.unmixed, IDENTITY)


def test_where_effects_overlap_only_the_unmixed_matrix_of_the_truth_is_the_identity(overlapping):
    found = leakage_matrix(as_pred(overlapping), overlapping)
    torch.testing.assert_close(found.unmixed, IDENTITY)
    assert (found.matrix - IDENTITY).abs().max() > 0.1


def test_a_shadow_that_swallows_the_occlusion_has_all_of_it(apart):
    solid = apart["mask"] > 0
    # a grey factor can only imitate a solid that is the painting, darker
    truth = apart | {"occlusion": torch.where(solid, 0.4 * apart["original"], 0)}
    pred = as_pred(truth)._replace(shadow=torch.where(solid, 0.4, apart["shadow"]),
                                   mask=torch.zeros_like(apart["mask"]))
    torch.testing.assert_close(leakage_matrix(pred, truth).matrix[2], IDENTITY[0])
    torch.testing.assert_close(leakage_matrix(pred, truth).matrix[:2], IDENTITY[:2])


def test_an_occlusion_branch_that_repaints_the_views_takes_every_row(apart):
    pred = as_pred(apart)._replace(occlusion=apart["image"], mask=torch.ones_like(apart["mask"]),
                                   shadow=torch.ones_like(apart["shadow"]), light=torch.zeros_like(apart["light"]))
    torch.testing.assert_close(leakage_matrix(pred, apart).unmixed, IDENTITY[2].expand(3, 4))


def test_a_mean_of_views_taken_for_the_original_has_the_light_painted_into_it(apart):
    mean = apart["image"].mean(dim=2, keepdim=True)
    pred = as_pred(apart)._replace(original=mean, shadow=torch.ones_like(apart["shadow"]),
                                   light=torch.zeros_like(apart["light"]), mask=torch.zeros_like(apart["mask"]))
    torch.testing.assert_close(leakage_matrix(pred, apart).matrix, IDENTITY.new_tensor([[0, 0, 0, 1]] * 3))


def test_rows_add_up_to_one_when_the_recomposition_is_exact_whoever_explains_it(overlapping):
    generator = torch.Generator().manual_seed(1)
    shadow = 0.2 + 0.8 * torch.rand(2, 1, 3, 6, 12, generator=generator)
    mask = torch.rand(2, 1, 3, 6, 12, generator=generator)
    original = torch.rand(2, 3, 1, 6, 12, generator=generator)
    light = overlapping["image"] - original * shadow  # three channels: explains whatever is left, under any mask
    pred = Decomposition(original, light, shadow, overlapping["image"], mask, None)
    torch.testing.assert_close(pred.recompose(hard=False), overlapping["image"])
    torch.testing.assert_close(leakage_matrix(pred, overlapping).unmixed.sum(dim=1), torch.ones(3).double())


def test_half_of_an_effect_is_one_half(apart):
    pred = as_pred(apart)._replace(light=apart["light"] / 2)
    assert leakage_matrix(pred, apart).matrix[1].tolist() == pytest.approx([0, 0.5, 0, 0])


def test_an_effect_that_never_occurs_has_no_row(apart):
    truth = apart | {"light": torch.zeros_like(apart["light"])}
    found = leakage_matrix(as_pred(truth), truth)
    for matrix in (found.matrix, found.unmixed):
        assert matrix[1].isnan().all()
        torch.testing.assert_close(matrix[[0, 2]], IDENTITY[[0, 2]])


def test_physical_truth_has_one_row_for_light_and_a_prediction_may_divide_it(apart):
    irradiance = torch.full((2, 3, 3, 6, 12), 0.8)
    truth = {name: apart[name] for name in ("original", "mask", "occlusion")} | {"irradiance": irradiance}
    ones = torch.ones(2, 1, 3, 6, 12)
    pred = SetDecomposition(apart["original"], irradiance, ones, apart["occlusion"], apart["mask"], None, 0 * ones)
    found = leakage_matrix(pred, truth)
    assert found.true == ("irradiance", "occlusion")
    torch.testing.assert_close(found.unmixed, IDENTITY[1:], atol=1e-5, rtol=0)
    shaded = leakage_matrix(pred._replace(light=irradiance / 0.8, shadow=0.8 * ones), truth).unmixed
    torch.testing.assert_close(shaded, IDENTITY[[0, 2]], atol=1e-5, rtol=0)
    between = leakage_matrix(pred._replace(light=irradiance / 0.9, shadow=0.9 * ones), truth).unmixed
    assert 0.3 < between[0, 0] < 0.7 and between[0, :2].sum().item() == pytest.approx(1, abs=1e-5)


def test_entries_are_named_for_a_record(apart):
    entries = leakage_matrix(as_pred(apart), apart).entries()
    assert len(entries) == 12
    assert entries["shadow>shadow"] == pytest.approx(1) and entries["light>original"] == pytest.approx(0)
