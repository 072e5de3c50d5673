import pytest
import torch
from torchvision.models.video.swin_transformer import PatchEmbed3d, SwinTransformer3d

from htcv_lib.decomposer.swin import VideoSwinEncoder, heads_for
from htcv_lib.networks import count_parameters

TINY = {"embed_dim": 6, "depths": (1, 2, 1, 1), "num_heads": (1, 2, 2, 3)}


def torchvisions(**sizes) -> SwinTransformer3d:
    return SwinTransformer3d(patch_size=[2, 4, 4], window_size=[2, 7, 7], num_classes=5, stochastic_depth_prob=0.3,
                             patch_embed=lambda patch_size, embed_dim, norm_layer: PatchEmbed3d(
                                 patch_size, embed_dim=embed_dim), **{k: list(v) if k != "embed_dim" else v
                                                                      for k, v in sizes.items()})


@pytest.mark.parametrize("size", [(4, 32, 72), (6, 20, 44)])  # windows shrunken and shifted; odd grids
def test_the_encoder_equals_torchvisions_network_of_the_same_weights(size):
    torch.manual_seed(0)
    whole, encoder = torchvisions(**TINY).eval(), VideoSwinEncoder(**TINY).eval()
    weights = {name: value for name, value in whole.state_dict().items() if not name.startswith("head.")}
    encoder.load_state_dict(weights)  # every name and shape is torchvision's
    seen = {}
    for index in (0, 2, 4):
        whole.features[index].register_forward_hook(lambda _, __, out, index=index: seen.update({index: out}))
    views = torch.rand(2, 3, *size)
    with torch.no_grad():
        logits, features = whole(views), encoder(views)
        assert torch.allclose(whole.head(features[-1].mean((2, 3, 4))), logits, atol=1e-6)
    for feature, index in zip(features, seen, strict=False):
        assert torch.equal(feature, seen[index].permute(0, 4, 1, 2, 3))
    assert not torch.allclose(logits[0], logits[1])


def test_the_reports_encoder_has_28_million_weights_and_the_reports_grids():
    with torch.device("meta"):
        encoder = VideoSwinEncoder()
        features = encoder(torch.empty(1, 3, 10, 256, 256))
    assert [tuple(feature.shape[1:]) for feature in features] == [
        (96, 5, 64, 64), (192, 5, 32, 32), (384, 5, 16, 16), (768, 5, 8, 8)]
    patches, merging, blocks, tables = 96 * (3 * 2 * 4 * 4 + 1), 0, 0, 0
    for stage, (depth, heads) in enumerate(zip((2, 2, 6, 2), (3, 6, 12, 24), strict=True)):
        c = 96 * 2**stage
        blocks += depth * (12 * c * c + 13 * c)  # attention 4, perceptron 8 and its 5 biases; 4 biases, 4 norms
        tables += depth * heads * 3 * 13 * 13
        merging += 0 if stage == 3 else 8 * c * c + 8 * c
    assert count_parameters(encoder) == patches + blocks + tables + merging + 2 * 768 == 27_570_414


def test_an_odd_side_is_halved_upwards():
    features = VideoSwinEncoder(**TINY)(torch.rand(1, 3, 4, 48, 20))
    assert [tuple(feature.shape) for feature in features] == [
        (1, 6, 2, 12, 5), (1, 12, 2, 6, 3), (1, 24, 2, 3, 2), (1, 48, 2, 2, 1)]


def test_every_parameter_of_the_encoder_gets_a_gradient():
    torch.manual_seed(0)
    encoder = VideoSwinEncoder(**TINY, drop_path=0.0)
    sum(feature.square().sum() for feature in encoder(torch.rand(1, 3, 4, 64, 68))).backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_blocks_are_dropped_in_training_alone():
    torch.manual_seed(0)
    encoder, views = VideoSwinEncoder(**TINY, drop_path=0.9), torch.rand(1, 3, 4, 16, 16)
    assert any(not torch.equal(encoder(views)[-1], encoder(views)[-1]) for _ in range(5))
    encoder.eval()
    assert torch.equal(encoder(views)[-1], encoder(views)[-1])


@pytest.mark.parametrize("shape", [(1, 3, 5, 32, 32), (1, 3, 4, 30, 32), (1, 3, 4, 32, 33), (1, 1, 4, 32, 32),
                                   (3, 4, 32, 32)])
def test_sizes_the_encoder_cannot_do_are_refused(shape):
    with pytest.raises(ValueError, match="must be"):
        VideoSwinEncoder(**TINY)(torch.rand(shape))


def test_heads_are_the_papers_where_they_divide_the_channels():
    assert heads_for(96) == heads_for(24) == (3, 6, 12, 24)
    assert heads_for(8) == (2, 4, 8, 16)
    with pytest.raises(ValueError, match="multiple of 2 or 3"):
        heads_for(35)
    with pytest.raises(ValueError, match="do not divide"):
        VideoSwinEncoder(8, num_heads=(3, 6, 12, 24))
