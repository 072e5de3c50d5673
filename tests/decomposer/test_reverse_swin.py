import pytest
import torch
from torchvision.models.swin_transformer import PatchMerging

from htcv_lib.decomposer.swin import PatchSplitting, ReverseSwinNet

DEPTHS = (1, 1, 1, 1)


def test_splitting_puts_the_quarters_of_a_patch_into_rows_and_columns():
    splitting = PatchSplitting(8)
    torch.nn.init.zeros_(splitting.expansion.weight)
    for quarter in range(4):  # top left, top right, bottom left, bottom right: a channel of its own for each pair
        splitting.expansion.weight.data[4 * quarter, quarter] = 1.0
    splitting.norm = torch.nn.Identity()
    patch = torch.zeros(1, 1, 2, 1, 8)
    patch[0, 0, 0, 0, :4] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    patch[0, 0, 1, 0, :4] = torch.tensor([5.0, 6.0, 7.0, 8.0])
    assert splitting(patch)[0, 0, :, :, 0].tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]


def test_splitting_undoes_the_shape_of_merging():
    patches = torch.rand(2, 3, 4, 6, 8)
    assert PatchSplitting(16)(PatchMerging(8)(patches)).shape == patches.shape


@pytest.mark.parametrize("size", [(32, 64), (20, 48)])
@pytest.mark.parametrize("frames", [1, 4])
def test_the_mirrored_decoder_returns_to_the_size_of_the_views(frames, size):
    views = ReverseSwinNet(8, frames, views=4, depths=DEPTHS)(torch.rand(2, 3, 4, *size))
    assert views.shape == (2, 3, frames, *size)
    assert 0 < views.min() and views.max() < 1


@pytest.mark.parametrize("frames", [1, 4])
def test_every_parameter_of_the_mirrored_network_that_is_used_gets_a_gradient(frames):
    torch.manual_seed(0)
    model = ReverseSwinNet(8, frames, views=4, drop_path=0.0, depths=DEPTHS)
    model(torch.rand(2, 3, 4, 64, 68)).square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_fine_features_are_not_seen():
    model = ReverseSwinNet(8, 4, drop_path=0.0, depths=DEPTHS).eval()
    features = model.encoder(torch.rand(1, 3, 4, 32, 32))
    others = [torch.rand_like(feature) for feature in features[:3]]
    assert torch.equal(model.decoder(features), model.decoder([*others, features[-1]]))


def test_another_number_of_views_is_refused():
    with pytest.raises(ValueError, match="views"):
        ReverseSwinNet(8, 4, depths=DEPTHS)(torch.rand(1, 3, 6, 32, 32))
    with pytest.raises(ValueError, match="takes 4 views"):
        ReverseSwinNet(8, 1, views=4, depths=DEPTHS)(torch.rand(1, 3, 6, 32, 32))
