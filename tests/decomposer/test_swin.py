import pytest
import torch
from torch import nn
from torchvision.models.swin_transformer import PatchMerging
from torchvision.models.video.swin_transformer import PatchEmbed3d, SwinTransformer3d

from htcv_lib.decomposer.heads import Decomposer
from htcv_lib.decomposer.swin import (
    DoubleBlock,
    FramesNet,
    PatchSplitting,
    ReverseSwinNet,
    SequenceDecoder,
    VideoSwinEncoder,
    heads_for,
)
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


def features(embed_dim: int = 8, slots: int = 2, height: int = 6, width: int = 9) -> list[torch.Tensor]:
    """What an encoder would return for views of 4 * height by 4 * width."""
    found = []
    for stage in range(4):
        found.append(torch.randn(2, embed_dim * 2**stage, slots, height, width))
        height, width = -(-height // 2), -(-width // 2)
    return found


@pytest.mark.parametrize(("frames", "skips"), [(4, True), (3, True), (1, True), (4, False)])
def test_the_decoder_draws_as_many_frames_as_asked_at_four_times_the_size(frames, skips):
    assert SequenceDecoder(8, 2, frames, skips)(features()).shape == (2, 2, frames, 24, 36)


@pytest.mark.parametrize(("out_channels", "frames"), [(3, 1), (2, 10), (4, 10)])
def test_the_reports_heads_have_21_million_weights(out_channels, frames):
    weights = 0
    for before, after in [(768 + 384, 384), (384 + 192, 192), (192 + 96, 96), (96, 48), (48, 24)]:
        weights += 27 * (before * after + after * after) + 2 * (before + after)  # convolutions, group normalizations
    with torch.device("meta"):
        decoder = SequenceDecoder(96, out_channels, frames)
    assert count_parameters(decoder) == weights + 25 * out_channels
    assert round(count_parameters(decoder) / 1e6, 1) == 21.1


def test_a_block_normalizes_before_it_convolves_and_ends_positive():
    block = DoubleBlock(12, 6)
    assert [type(layer).__name__ for layer in block] == ["GroupNorm", "Conv3d", "ReLU"] * 2
    assert [block[0].num_groups, block[3].num_groups] == [4, 2]
    assert [layer.num_groups for layer in DoubleBlock(48, 24) if isinstance(layer, nn.GroupNorm)] == [8, 8]
    views = torch.randn(1, 12, 2, 4, 5)
    assert torch.allclose(block(views), block(7 * views), atol=1e-4) and block(views).min() >= 0


def test_one_picture_is_enlarged_from_the_first_slot_of_time_alone():
    torch.manual_seed(0)
    decoder, seen = SequenceDecoder(8, 3, frames=1), []
    decoder.free_blocks[0].register_forward_hook(lambda _, __, out: (out.retain_grad(), seen.append(out))[0])
    decoder([feature.requires_grad_() for feature in features(slots=5)]).square().sum().backward()
    slots = seen[0].grad.abs().amax((0, 1, 3, 4))
    assert slots[0] > 0 and slots[1:].tolist() == [0, 0, 0, 0]


def test_earlier_convolutions_carry_every_slot_to_the_one_picture():
    torch.manual_seed(0)
    found = [feature.requires_grad_() for feature in features(slots=5)]
    SequenceDecoder(8, 3, frames=1)(found).square().sum().backward()
    assert found[-1].grad.abs().amax((0, 1, 3, 4)).min() > 0


def test_without_skips_only_the_deepest_feature_matters_but_the_weights_stay():
    torch.manual_seed(0)
    decoder = SequenceDecoder(8, 2, frames=4, skips=False).eval()
    first = features()
    second = [*features()[:3], first[-1]]
    assert torch.equal(decoder(first), decoder(second))
    decoder.skips = True
    assert not torch.allclose(decoder(first), decoder(second))
    assert count_parameters(decoder) == count_parameters(SequenceDecoder(8, 2, frames=4))


@pytest.mark.parametrize("frames", [1, 4])
def test_every_parameter_of_the_decoder_gets_a_gradient(frames):
    torch.manual_seed(0)
    decoder = SequenceDecoder(8, 2, frames)
    decoder(features()).square().mean().backward()
    assert [name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_channels_that_cannot_be_halved_twice_are_refused():
    with pytest.raises(ValueError, match="multiple of 4"):
        SequenceDecoder(6, 2, frames=4)


DEPTHS = (1, 1, 1, 1)


@pytest.mark.parametrize("frames", [1, 4])
def test_the_network_draws_all_views_or_one_picture(frames):
    model = FramesNet(8, frames, depths=DEPTHS)
    views = model(torch.rand(2, 3, 4, 24, 32))
    assert views.shape == (2, 3, frames, 24, 32)
    assert 0 < views.min() and views.max() < 1


def test_the_clean_picture_of_a_many_to_many_network_is_the_mean_of_its_views():
    model, image = FramesNet(8, 4, depths=DEPTHS).eval(), torch.rand(1, 3, 4, 16, 20)
    drawn = model(image)
    expected = (drawn[:, :, 0] + drawn[:, :, 1] + drawn[:, :, 2] + drawn[:, :, 3]) / 4
    assert torch.allclose(model.clean_picture(image)[:, :, 0], expected, atol=1e-6)


@pytest.mark.parametrize(("skips", "passes"), [(True, True), (False, False)])
def test_without_skips_the_fine_features_pass_no_gradient_to_the_encoder(skips, passes):
    torch.manual_seed(0)
    model = FramesNet(8, 4, skips=skips, drop_path=0.0, depths=DEPTHS)
    features = [feature.detach().requires_grad_() for feature in model.encoder(torch.rand(1, 3, 4, 32, 32))]
    model.decoder(features).square().sum().backward()
    assert [bool(feature.grad.any()) for feature in features] == [passes, passes, passes, True]


@pytest.mark.parametrize("frames", [1, 4])
def test_every_parameter_of_the_network_gets_a_gradient(frames):
    torch.manual_seed(0)
    model = FramesNet(8, frames, drop_path=0.0, depths=DEPTHS)
    model(torch.rand(2, 3, 4, 32, 36)).square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_pretrained_encoder_fits_into_the_decomposer():
    autoencoder, decomposer = FramesNet(8, 4, skips=False, depths=DEPTHS), Decomposer(8, 4, depths=DEPTHS)
    decomposer.encoder.load_state_dict(autoencoder.encoder.state_dict())
    views = torch.rand(1, 3, 4, 16, 16)
    pairs = zip(autoencoder.eval().encoder(views), decomposer.eval().encode(views), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_another_number_of_views_is_refused_unless_one_picture_is_drawn():
    with pytest.raises(ValueError, match="draws 4 views"):
        FramesNet(8, 4, depths=DEPTHS)(torch.rand(1, 3, 6, 16, 16))
    assert FramesNet(8, 1, depths=DEPTHS)(torch.rand(1, 3, 6, 16, 16)).shape == (1, 3, 1, 16, 16)


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
