"""The architecture drawing, from traces made by hand."""

from typing import NamedTuple

import pytest
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from htcv_lib.figures.networks import _blocks, _place, draw_architecture, short_count


class Layer(NamedTuple):
    name: str
    kind: str
    in_shape: tuple
    out_shape: tuple
    params: int


UNET = [
    Layer("encoder.0", "ConvBlock", (1, 3, 16, 24), (1, 8, 16, 24), 900),
    Layer("down.0", "MaxPool2d", (1, 8, 16, 24), (1, 8, 8, 12), 0),
    Layer("encoder.1", "ConvBlock", (1, 8, 8, 12), (1, 16, 8, 12), 3500),
    Layer("up.0", "ConvTranspose2d", (1, 16, 8, 12), (1, 16, 16, 24), 2300),
    Layer("decoder.0", "ConvBlock", (1, 24, 16, 24), (1, 4, 16, 24), 2000),
    Layer("head", "Conv2d", (1, 4, 16, 24), (1, 3, 16, 24), 15),
]


def shown(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_stages_are_sorted_into_encoder_bottleneck_and_decoder():
    blocks = _blocks(UNET)
    assert [(block.name, block.part) for block in blocks] == [
        ("image", "input"), ("encoder.0", "encoder"), ("encoder.1", "bottleneck"), ("decoder.0", "decoder"),
        ("head", "decoder")]


def test_a_skip_is_drawn_only_where_channels_were_concatenated():
    assert [(b.name, b.skip.name) for b in _blocks(UNET) if b.skip] == [("decoder.0", "encoder.0")]
    without = [layer._replace(in_shape=(1, 16, 16, 24)) if layer.name == "decoder.0" else layer for layer in UNET]
    assert not [block for block in _blocks(without) if block.skip]


def test_a_decoder_stage_stands_beside_its_encoder_stage_and_the_head_above():
    blocks = _blocks(UNET)
    _place(blocks, 7.2, 2.0, 0.5, False)
    place = {block.name: block for block in blocks}
    assert place["encoder.0"].y == place["decoder.0"].y < place["encoder.1"].y
    assert place["image"].y == place["head"].y < place["decoder.0"].y
    assert place["encoder.0"].x < place["encoder.1"].x < place["decoder.0"].x


@pytest.mark.parametrize("narrow", [False, True])
def test_every_stage_shows_shape_and_parameters_and_every_step_an_arrow(narrow):
    figure = draw_architecture(UNET, "toy", narrow)
    patches = figure.axes[0].patches
    assert len([patch for patch in patches if isinstance(patch, FancyBboxPatch)]) == 5
    assert len([patch for patch in patches if isinstance(patch, FancyArrowPatch)]) == 5  # four steps and a skip
    expected = {"encoder.0", "8 × 16 × 24", "3.50 k", "max pool", "transposed · 2.30 k", "3 × 16 × 24"}
    assert expected <= set(shown(figure))


def test_shapes_without_a_batch_axis_are_understood():
    layers = [layer._replace(in_shape=layer.in_shape[1:], out_shape=layer.out_shape[1:]) for layer in UNET]
    assert shown(draw_architecture(layers)) == shown(draw_architecture(UNET))


def test_a_network_of_one_resolution_becomes_a_column():
    layers = [UNET[0], UNET[0]._replace(name="next", in_shape=(1, 8, 16, 24)), UNET[-1]]
    assert {block.part for block in _blocks(layers)} == {"input", "encoder"}
    assert "next" in shown(draw_architecture(layers))


def test_stages_that_halve_on_their_own_are_boxes():
    layers = [Layer(f"stage{k}", "Stage", (1, 3, 32 >> k, 32 >> k), (1, 3, 16 >> k, 16 >> k), 10) for k in range(3)]
    assert [block.name for block in _blocks(layers)] == ["image", "stage0", "stage1", "stage2"]
    draw_architecture(layers)


def test_counts_have_three_digits():
    assert [short_count(n) for n in (51, 9248, 55682, 886274, 1475714)] == ["51", "9.25 k", "55.7 k", "886 k", "1.48 M"]


def test_no_layers_are_an_error():
    with pytest.raises(ValueError, match="no layers"):
        draw_architecture([])
