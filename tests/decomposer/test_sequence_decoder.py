import pytest
import torch
from torch import nn

from htcv_lib.decomposer.swin import DoubleBlock, SequenceDecoder
from htcv_lib.networks import count_parameters


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
