import pytest
import torch

from htcv_lib.decomposer.set_network import SetBlock, SetUNet, enlarged


def test_features_have_the_size_of_their_resolution():
    features = SetUNet(5, (4, 8, 12))(torch.rand(2, 5, 3, 16, 24))
    assert [tuple(feature.shape) for feature in features] == [(2, 4, 3, 16, 24), (2, 8, 3, 8, 12), (2, 12, 3, 4, 6)]


@pytest.mark.parametrize("context", [False, True])
def test_a_view_hears_of_the_others_in_every_block(context):
    torch.manual_seed(0)
    block, views = SetBlock(8, context), torch.rand(1, 8, 3, 4, 5)
    changed = views.clone()
    changed[:, :, 2] += torch.rand(8, 4, 5)
    assert not torch.allclose(block(views)[:, :, 0], block(changed)[:, :, 0])


def test_only_with_context_a_pixel_hears_of_pixels_far_away():
    torch.manual_seed(0)
    for context, hears in ((False, False), (True, True)):
        block = SetBlock(8, context)
        block.first[0] = block.second[0] = torch.nn.Identity()  # group statistics, too, carry news everywhere
        views = torch.rand(1, 8, 3, 4, 12)
        changed = views.clone()
        changed[..., -1] += 1
        assert bool((block(views)[..., 0] != block(changed)[..., 0]).any()) is hears


def test_which_view_is_darker_is_not_normalized_away():
    torch.manual_seed(0)
    unet, picture = SetUNet(3, (4, 8)), torch.rand(1, 3, 1, 8, 8)
    alike = unet(picture.expand(-1, -1, 2, -1, -1))[0]
    darker = unet(torch.cat([picture, 0.3 * picture], dim=2))[0]
    assert torch.allclose(alike[:, :, 0], alike[:, :, 1], atol=1e-6)
    assert not torch.allclose(darker[:, :, 0], darker[:, :, 1], atol=1e-2)


def test_enlarging_mixes_neighbouring_pixels_but_never_views():
    x = torch.zeros(1, 1, 3, 2, 2)
    x[0, 0, 1] = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    bilinear, nearest = enlarged(x, 2), enlarged(x, 2, "nearest")
    assert bilinear[0, 0, 1, 0].tolist() == pytest.approx([0, 0.25, 0.75, 1])
    assert nearest[0, 0, 1, 0].tolist() == [0, 0, 1, 1]
    assert not bilinear[0, 0, [0, 2]].any() and bilinear.shape == nearest.shape == (1, 1, 3, 4, 4)
