import pytest
import torch

from htcv_lib.decomposer.layers import Decomposition, SetDecomposition


def layers(**changed) -> Decomposition:
    """One sequence of two views of one pixel; values chosen to be added in the head."""
    fields = {"original": torch.tensor([0.8, 0.4, 0.2]).view(1, 3, 1, 1, 1),
              "light": torch.tensor([0.1, 0.0]).view(1, 1, 2, 1, 1),
              "shadow": torch.tensor([0.5, 1.0]).view(1, 1, 2, 1, 1),
              "occlusion": torch.tensor([1.0, 0.0, 0.5]).view(1, 3, 1, 1, 1).repeat(1, 1, 2, 1, 1),
              "mask": torch.tensor([0.25, 0.75]).view(1, 1, 2, 1, 1)}
    return Decomposition(**(fields | changed))


def set_layers(**changed) -> SetDecomposition:
    fields = layers()._asdict() | {"light": torch.ones(1, 3, 2, 1, 1), "shadow": torch.ones(1, 1, 2, 1, 1),
                                   "highlight": torch.zeros(1, 1, 2, 1, 1)}
    return SetDecomposition(**(fields | changed))


def by_view(picture: torch.Tensor) -> list[list[float]]:
    return picture[0, :, :, 0, 0].T.tolist()


@pytest.mark.parametrize(("order", "first"), [("light_last", [0.5, 0.3, 0.2]), ("light_first", [0.45, 0.25, 0.15])])
def test_light_is_added_after_the_shadow_or_before_it(order, first):
    relit = by_view(layers().relit(order))
    assert relit[0] == pytest.approx(first)
    assert relit[1] == pytest.approx([0.8, 0.4, 0.2])  # no light, no shadow


def test_another_order_is_refused():
    with pytest.raises(ValueError, match="light_last, light_first"):
        layers().relit("light")


def test_a_hard_mask_shows_one_layer_or_the_other():
    views = by_view(layers().recompose())
    assert views[0] == pytest.approx([0.5, 0.3, 0.2])
    assert views[1] == pytest.approx([1.0, 0.0, 0.5])


def test_the_threshold_itself_counts_as_occluded():
    assert by_view(layers().recompose(threshold=0.75))[1] == pytest.approx([1.0, 0.0, 0.5])
    assert by_view(layers().recompose(threshold=0.76))[1] == pytest.approx([0.8, 0.4, 0.2])


def test_a_soft_mask_mixes_the_two_layers():
    views = by_view(layers().recompose(hard=False, order="light_first"))
    assert views[0] == pytest.approx([0.75 * 0.45 + 0.25, 0.75 * 0.25, 0.75 * 0.15 + 0.25 * 0.5])
    assert views[1] == pytest.approx([0.25 * 0.8 + 0.75, 0.25 * 0.4, 0.25 * 0.2 + 0.75 * 0.5])


@pytest.mark.parametrize("made", [layers, set_layers])
def test_only_a_soft_mask_passes_a_gradient(made):
    logits = torch.zeros(1, 1, 2, 1, 1, requires_grad=True)
    light = (0.5 * torch.ones_like(made().light)).requires_grad_()
    layered = made(mask=logits.sigmoid() * 0.9, light=light)  # 0.45, so that the hard mask shows what is behind
    hard = layered.recompose(hard=True).square().sum()
    assert torch.autograd.grad(hard, logits, allow_unused=True, retain_graph=True) == (None,)
    assert torch.autograd.grad(hard, light)[0].abs().min() > 0
    soft = layered.recompose(hard=False).square().sum()
    assert torch.autograd.grad(soft, logits)[0].abs().min() > 0


def test_light_and_shadow_of_a_set_multiply_linear_values_colour_by_colour():
    light = torch.tensor([2.0, 1.0, 0.5]).view(1, 3, 1, 1, 1).repeat(1, 1, 2, 1, 1)
    shadow = torch.tensor([0.5, 1.0]).view(1, 1, 2, 1, 1)
    grey = torch.full((1, 3, 1, 1, 1), 0.5)  # linear 0.21404
    relit = by_view(set_layers(original=grey, light=light, shadow=shadow).relit())
    assert relit[0] == pytest.approx([0.5, 0.36078, 0.25648], abs=1e-4)  # of 0.21404, 0.10702, 0.05351
    assert relit[1] == pytest.approx([0.68583, 0.5, 0.36078], abs=1e-4)  # of 0.42808, 0.21404, 0.10702


def test_too_much_light_and_highlights_are_clipped_to_white():
    assert by_view(set_layers(light=torch.full((1, 3, 2, 1, 1), 40.0)).relit()) == [pytest.approx([1.0] * 3)] * 2
    assert by_view(set_layers(highlight=torch.ones(1, 1, 2, 1, 1)).relit()) == [pytest.approx([1.0] * 3)] * 2


def test_a_set_under_plain_light_mixes_the_clean_picture_with_what_stands_in_front():
    views = by_view(set_layers().recompose())
    assert views[0] == pytest.approx([0.75 * 0.8 + 0.25, 0.75 * 0.4, 0.75 * 0.2 + 0.25 * 0.5], abs=1e-5)
    assert by_view(set_layers().recompose(hard=True))[1] == pytest.approx([1.0, 0.0, 0.5], abs=1e-5)
