"""Seven columns of layers, and labels under their inputs."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from htcv_lib.decomposer.figures import (
    DECOMPOSITION_COLUMNS,
    collapse_panels,
    decomposition_sheet,
    decomposition_tiles,
    draw_sequence_network,
    label_sheet,
    label_tiles,
    leakage_heatmap,
    leakage_table,
)
from htcv_lib.figures.style import BLUE, ORANGE


def layers(count=2, frames=4, height=4, width=6):
    """Views, originals and a prediction, all random and different."""
    generator = np.random.default_rng(0)

    def maps(channels, length=frames):
        return generator.random((count, channels, length, height, width))

    pred = SimpleNamespace(original=maps(3, 1), shadow=maps(1), light=maps(1), mask=maps(1), occlusion=maps(3))
    return maps(3), maps(3, 1), pred


def eight_bit(field, sequence, view):
    """One frame of (N, C, T, H, W) as uint8 (H, W, 3)."""
    return np.rint(255 * field[sequence, :, view].transpose(1, 2, 0)).astype(np.uint8).repeat(
        3 // field.shape[1], axis=-1)


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_each_column_of_the_tiles_shows_its_layer_of_the_chosen_sequence_and_views():
    image, original, pred = layers()
    tiles = decomposition_tiles(image, original, pred, sequence=1, views=(3, 0))
    assert tiles.shape == (2, 7, 4, 6, 3) and tiles.dtype == np.uint8
    for column, field in ((1, image), (3, pred.shadow), (4, pred.light), (5, pred.mask), (6, pred.occlusion)):
        for row, view in enumerate((3, 0)):
            assert np.array_equal(tiles[row, column], eight_bit(field, 1, view))
    for column, field in ((0, original), (2, pred.original)):
        assert np.array_equal(tiles[0, column], eight_bit(field, 1, 0))
        assert (tiles[1, column] == 255).all()


def test_a_coloured_light_above_one_is_drawn_relative_to_what_is_white():
    image, original, pred = layers()
    pred.light = np.full((2, 3, 4, 4, 6), [[[[[1.0]]], [[[2.0]]], [[[6.0]]]]])
    tiles = decomposition_tiles(image, original, pred, light_white=4.0)
    assert tiles[0, 4, 0, 0].tolist() == [64, 128, 255]


def test_an_original_that_nobody_knows_is_left_white():
    image, _, pred = layers()
    assert (decomposition_tiles(image, None, pred)[:, 0] == 255).all()


def test_sequences_and_views_that_are_not_there_are_refused():
    image, original, pred = layers()
    with pytest.raises(ValueError, match=r"no sequence 0 with views \(4,\) among 2 of 4 views"):
        decomposition_tiles(image, original, pred, views=(4,))
    with pytest.raises(ValueError, match="no sequence 2"):
        decomposition_tiles(image, original, pred, sequence=2)
    with pytest.raises(ValueError, match="light_white"):
        decomposition_tiles(image, original, pred, light_white=0)


def test_a_sheet_has_for_each_block_two_single_pictures_and_three_of_the_other_columns():
    tiles = decomposition_tiles(*layers())
    figure = decomposition_sheet(np.concatenate([tiles, tiles]), ["epoch 18", "epoch 31"], "Before and after")
    assert len(figure.axes) == 2 * (2 + 5 * 3)
    assert {"epoch 18", "epoch 31", "Before and after", "shadow", "mask"} <= set(texts(figure))
    box, size = figure.axes[0].get_position(), figure.get_size_inches()
    assert box.height * size[1] / (box.width * size[0]) == pytest.approx(4 / 6)
    assert np.array_equal(figure.axes[0].images[0].get_array(), tiles[0, 0])


def test_a_single_picture_stands_beside_the_middle_view():
    figure = decomposition_sheet(decomposition_tiles(*layers()), ["a"])
    original, _, middle, _ = figure.axes[:4]
    assert original.get_position().y0 == pytest.approx(middle.get_position().y0)


def test_white_layers_have_a_frame_and_an_original_that_nobody_knows_has_none():
    image, _, pred = layers()
    pred.shadow = np.ones_like(pred.shadow)
    figure = decomposition_sheet(decomposition_tiles(image, None, pred), ["a"])
    framed = [axes.spines["top"].get_visible() for axes in figure.axes]
    assert framed == [False] + [True] * 16


def test_no_text_of_a_sheet_leaves_it_and_headings_do_not_touch():
    figure = decomposition_sheet(decomposition_tiles(*layers()), ["one model"], "T " * 80)
    renderer = figure.canvas.get_renderer()
    width, height = figure.get_size_inches() * figure.dpi
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    assert all(0 <= box.x0 and box.x1 <= width and 0 <= box.y0 and box.y1 <= height for box in boxes)
    words = {word for name in DECOMPOSITION_COLUMNS for word in (name, *name.replace(",", ", ").split())}
    heads = [text.get_window_extent(renderer) for text in figure.texts if text.get_text().strip() in words]
    assert len(heads) >= len(DECOMPOSITION_COLUMNS)
    assert not any(a.overlaps(b) for number, a in enumerate(heads) for b in heads[:number])


def test_tiles_that_do_not_go_with_labels_or_headings_are_refused():
    tiles = decomposition_tiles(*layers())
    with pytest.raises(ValueError, match="3 rows and 7 columns of tiles do not go with 2 labels"):
        decomposition_sheet(tiles, ["a", "b"])
    with pytest.raises(ValueError, match="6 headings"):
        decomposition_sheet(tiles, ["a"], columns=DECOMPOSITION_COLUMNS[:6])


def test_labels_stand_under_their_inputs_and_truth_under_labels():
    image, _, pred = layers()
    rows = {"inputs": image[0], "pseudo-labels": pred.mask[0], "truth": pred.shadow[0]}
    tiles = label_tiles(rows, views=(1, 3))
    assert tiles.shape == (3, 2, 4, 6, 3)
    for row, field in enumerate((image, pred.mask, pred.shadow)):
        assert np.array_equal(tiles[row, 1], eight_bit(field, 0, 3))
    figure = label_sheet(tiles, list(rows), "Labels")
    assert [text for text in texts(figure) if text in rows] == list(rows)


def test_labels_of_another_size_than_their_inputs_are_refused():
    image, _, pred = layers()
    with pytest.raises(ValueError, match="differ in H, W"):
        label_tiles({"inputs": image[0], "labels": pred.mask[0, :, :, :2]}, views=(0,))


# Many seeds, and which of them collapsed.


NORM = "train/decomposer/grad_norm"


def history(losses, norms=None):
    epochs = np.arange(1, len(losses) + 1)
    return pd.DataFrame({"epoch": epochs, "step": 10 * epochs, "val/loss": losses, NORM: norms or [1.0] * len(losses)})


STEADY = history([0.4, 0.3, 0.2, 0.1])
BROKEN = history([0.4, 0.3, 0.9, 0.9], [1.0, 2.0, 500.0, 0.1])


def draw(**more):
    groups = {"as reported": [STEADY, BROKEN, STEADY], "clipped": [STEADY]}
    return collapse_panels(groups, {"as reported": [None, 3, None], "clipped": [None]}, **more)


def lines(axes, colour):
    return [line for line in axes.lines if line.get_color() == colour and len(line.get_xdata()) > 1]


def test_every_seed_has_a_line_over_steps_and_collapsed_ones_are_orange_with_a_dot_at_the_epoch():
    figure = draw()
    loss, other, norm, _ = figure.axes[:4]
    assert len(lines(loss, BLUE)) == 2 and len(lines(loss, ORANGE)) == 1 and len(lines(other, BLUE)) == 1
    (broken,) = lines(loss, ORANGE)
    assert list(broken.get_xdata()) == [10, 20, 30, 40] and list(broken.get_ydata()) == [0.4, 0.3, 0.9, 0.9]
    for axes, value in ((loss, 0.9), (norm, 500.0)):
        (dot,) = [line for line in axes.lines if len(line.get_xdata()) == 1]
        assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (30, value)


def test_a_narrow_range_of_norms_is_marked_at_one_two_and_five():
    narrow = history([0.4, 0.3, 0.2, 0.1], [0.06, 0.12, 0.25, 0.11])
    axes = collapse_panels({"steady": [narrow]}, {"steady": [None]}).axes[1]
    low, high = axes.get_ylim()
    marks = [label.get_text() for label in axes.get_yticklabels() if low <= label.get_position()[1] <= high]
    assert marks == ["0.1", "0.2"] and not list(axes.yaxis.get_minorticklocs())


def test_the_panels_say_how_many_of_how_many_collapsed():
    found = {text.get_text() for text in draw(title="Seeds").texts}
    assert {"Seeds", "1 of 3 collapsed", "0 of 1 collapsed", "validation loss"} <= found


def test_the_norm_is_logarithmic_and_the_loss_where_it_spans_much():
    loss, _, norm, _ = draw().axes[:4]
    assert (loss.get_yscale(), norm.get_yscale()) == ("linear", "log")
    wide = history([0.4, 0.01])
    assert collapse_panels({"a": [wide]}, {"a": [None]}).axes[0].get_yscale() == "log"


def test_a_loss_that_became_infinite_ends_its_line_and_is_marked_at_its_end():
    axes = collapse_panels({"a": [history([0.4, 0.3, np.inf, 0.2])]}, {"a": [3]}).axes[0]
    (line,) = lines(axes, ORANGE)
    assert list(line.get_ydata()) == [0.4, 0.3]
    (dot,) = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert dot.get_xdata()[0] == 20


def test_groups_share_their_axes_and_no_text_leaves_the_sheet():
    figure = draw(title="T " * 70)
    loss, other = figure.axes[:2]
    assert loss.get_ylim() == other.get_ylim() and loss.get_xlim() == other.get_xlim()
    renderer = figure.canvas.get_renderer()
    width, height = figure.get_size_inches() * figure.dpi
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    assert all(0 <= box.x0 and box.x1 <= width and 0 <= box.y0 and box.y1 <= height for box in boxes)


def test_verdicts_that_do_not_fit_the_seeds_and_missing_columns_are_refused():
    with pytest.raises(ValueError, match="an entry for each seed"):
        collapse_panels({"a": [STEADY]}, {"a": []})
    with pytest.raises(ValueError, match="no columns step and 'val/psnr'"):
        collapse_panels({"a": [STEADY]}, {"a": [None]}, loss="val/psnr")
    with pytest.raises(ValueError, match="one to four groups"):
        collapse_panels({}, {})


# A matrix of leakage, drawn with its numbers.


LAYERS = ["shadow", "light", "occlusion", "original"]
MATRIX = pd.DataFrame([[0.9, 0.1, 0.0, -0.02], [0.0, 1.3, np.nan, 0.0], [0.7, 0.0, 0.2, -0.001]], LAYERS[:3], LAYERS)


def cells(axes):
    return [text.get_text() for text in axes.texts]


def test_each_cell_has_its_number_and_a_missing_layer_is_not_a_zero():
    (axes,) = leakage_heatmap({"base loss": MATRIX}).axes
    assert cells(axes) == ["0.90", "0.10", "0.00", "\u22120.02", "0.00", "1.30", "n/a", "0.00",
                           "0.70", "0.00", "0.20", "0.00"]


def test_colours_follow_the_sign_and_stay_beyond_one():
    (axes,) = leakage_heatmap({"base loss": MATRIX}).axes
    colours = [patch.get_facecolor() for patch in axes.patches if patch.get_fill()]
    assert colours[0] == pytest.approx(to_rgba(BLUE, 0.9)) and colours[5] == pytest.approx(to_rgba(BLUE))
    assert colours[3] == pytest.approx(to_rgba(ORANGE, 0.02)) and colours[2][3] == 0


def test_frames_mark_the_cells_whose_row_and_column_are_one_layer():
    (axes,) = leakage_heatmap({"base loss": MATRIX}).axes
    assert [patch.get_xy() for patch in axes.patches if not patch.get_fill()] == [(0, 0), (1, 1), (2, 2)]
    physical = pd.DataFrame(np.eye(2, 4), ["irradiance", "occlusion"], LAYERS)
    (axes,) = leakage_heatmap({"physical": physical}).axes
    assert [patch.get_xy() for patch in axes.patches if not patch.get_fill()] == [(2, 1)]


def test_several_models_have_a_map_each_and_no_text_leaves_the_sheet_or_touches_another():
    figure = leakage_heatmap({"base loss": MATRIX, "staged": MATRIX, "done well": MATRIX}, "T " * 70, "A note. " * 30)
    assert len(figure.axes) == 3
    renderer = figure.canvas.get_renderer()
    width, height = figure.get_size_inches() * figure.dpi
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    assert all(0 <= box.x0 and box.x1 <= width and 0 <= box.y0 and box.y1 <= height for box in boxes)
    heads = [text.get_window_extent(renderer) for text in figure.texts if text.get_text() in LAYERS]
    assert not any(a.overlaps(b) for number, a in enumerate(heads) for b in heads[:number])


def test_matrices_with_other_columns_are_refused():
    with pytest.raises(ValueError, match="the same columns"):
        leakage_heatmap({"a": MATRIX, "b": MATRIX[LAYERS[:3]]})
    with pytest.raises(ValueError, match="at least one"):
        leakage_heatmap({})


def test_a_table_is_read_back_from_the_numbers_of_a_record():
    entries = {f"leak/{row}>{column}": MATRIX.loc[row, column] for row in MATRIX.index for column in MATRIX.columns}
    pd.testing.assert_frame_equal(leakage_table({"psnr": 20.0, **entries}, "leak/"), MATRIX)
    del entries["leak/shadow>light"]
    assert np.isnan(leakage_table(entries, "leak/").loc["shadow", "light"])
    with pytest.raises(ValueError, match="no entry is called true>predicted; there are psnr"):
        leakage_table({"psnr": 20.0})


# The drawing of a video encoder and its decoders, from a trace made by hand.


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
