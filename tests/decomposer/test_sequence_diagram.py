"""The drawing of a video encoder and its decoders, from a trace made by hand."""

from types import SimpleNamespace

import pytest
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from htcv_lib.decomposer.figures import draw_sequence_network


def layer(name, before, after, kind="DoubleBlock"):
    return SimpleNamespace(name=name, kind=kind, in_shape=before, out_shape=after, params=1234)


def network(*decoders):
    fine, coarse, image = (1, 8, 5, 4, 4), (1, 16, 5, 2, 2), (1, 3, 10, 16, 16)
    layers = [layer("encoder.patches", image, fine), layer("encoder.stage 1", fine, fine, "2 blocks"),
              layer("encoder.merging 1", fine, coarse), layer("encoder.stage 2", coarse, coarse, "6 blocks")]
    for name in decoders:
        layers += [layer(f"{name}.block 1", (1, 24, 5, 4, 4), fine), layer(f"{name}.block 2", fine, (1, 4, 5, 8, 8)),
                   layer(f"{name}.block 3", (1, 4, 5, 8, 8), (1, 2, 10, 16, 16)),
                   layer(f"{name}.head", (1, 2, 10, 16, 16), image)]
    return layers


def drawn(figure):
    axes = figure.axes[0]
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    boxes = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    return boxes, arrows, [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("decoders", [("decoder",), ("original_head", "lighting_head", "occlusion_head")])
def test_a_box_for_every_stage_and_a_skip_for_every_decoder(decoders):
    boxes, arrows, texts = drawn(draw_sequence_network(network(*decoders)))
    assert len(boxes) == 3 + 4 * len(decoders)  # views and two stages; three blocks and what comes out
    dashed = [arrow for arrow in arrows if arrow.get_linestyle() != "-"]
    assert len(dashed) == len(decoders)  # one resolution that both sides have
    assert len(arrows) == 2 + 5 * len(decoders)
    assert "8 × 5 × 4 × 4" in texts and "merging · 1.23 k" in texts and "2 blocks" in texts


def test_boxes_of_one_column_do_not_overlap_and_stay_on_the_sheet():
    figure = draw_sequence_network(network("original_head", "lighting_head", "occlusion_head"), "A title")
    width, height = figure.get_size_inches()
    areas = [patch.get_window_extent(figure.canvas.get_renderer()) for patch in drawn(figure)[0]]
    assert all(0 <= area.x0 and area.x1 <= width * figure.dpi and 0 <= area.y0 and area.y1 <= height * figure.dpi
               for area in areas)
    assert not any(one.overlaps(other) for place, one in enumerate(areas) for other in areas[:place])


def test_skips_multiplied_by_zero_say_so():
    texts = drawn(draw_sequence_network(network("decoder"), cut=True))[2]
    assert texts.count(" × 0 ") == 1 and any("multiplied by zero" in text for text in texts)
    assert " × 0 " not in drawn(draw_sequence_network(network("decoder")))[2]
