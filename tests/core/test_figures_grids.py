"""Grids of pictures, maps of classes, and the architecture drawing."""


import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from htcv_lib.figures.grids import (
    APART,
    FRAME,
    class_map,
    error_map,
    picture_grid,
    pictures,
    segmentation_tiles,
    show_tiles,
)
from htcv_lib.figures.networks import _blocks, _place, draw_architecture, short_count
from htcv_lib.figures.style import CLASS_COLOURS, ERROR
from htcv_lib.networks import LayerShape as Layer


def grid(rows=2, columns=3, height=4, width=4):
    return np.random.default_rng(0).integers(0, 256, (rows, columns, height, width, 3), dtype=np.uint8)


def texts(figure):
    return {text.get_text(): text for text in figure.texts}


def test_one_channel_becomes_grey_and_floats_are_clipped_and_rounded():
    drawn = pictures(np.array([[[-1.0, 0.5], [0.999, 7.0]]]))
    assert drawn.dtype == np.uint8 and drawn.shape == (1, 2, 2, 3)
    assert drawn[0, ..., 0].tolist() == [[0, 128], [255, 255]]
    assert (drawn == drawn[..., :1]).all()


def test_channels_go_last_and_bytes_stay():
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    assert pictures(images)[1, 0, 1].tolist() == [13, 17, 21]
    assert np.array_equal(pictures(images[:, :1]), pictures(images[:, 0]))


@pytest.mark.parametrize(("images", "words"), [
    (np.zeros((2, 4, 4, 3), np.uint8), "C 1 or 3"), (np.zeros((2, 4, 4), int), "uint8 or floats"),
    (np.full((1, 2, 2), np.nan), "not finite")])
def test_what_is_no_picture_is_refused(images, words):
    with pytest.raises(ValueError, match=words):
        pictures(images)


def test_pictures_lie_in_their_row_and_column():
    images = grid()
    (axes,) = picture_grid(images).axes
    mosaic = axes.images[0].get_array()
    assert mosaic.shape == (8, 12, 3)
    assert np.array_equal(mosaic[4:8, 8:12], images[1, 2])


def test_inputs_stand_apart_by_a_gap():
    images = grid()
    figure = picture_grid(images, apart=1)
    first, others = (axes.get_position() for axes in figure.axes)
    assert (others.x0 - first.x1) * figure.get_size_inches()[0] == pytest.approx(APART)
    assert np.array_equal(figure.axes[1].images[0].get_array()[:4, :4], images[0, 1])


def test_frames_lie_within_the_marked_pictures_and_nowhere_else():
    marked = np.zeros((2, 3), bool)
    marked[0, 0] = marked[1, 2] = True
    figure = picture_grid(grid(height=28, width=28), marked=marked, apart=1, note="framed: own label")
    (one,), (other,) = (axes.patches for axes in figure.axes)
    assert one.get_edgecolor()[:3] == pytest.approx([int(FRAME[k:k + 2], 16) / 255 for k in (1, 3, 5)])
    assert 0 < one.get_x() and one.get_x() + one.get_width() < 1
    assert (np.floor(other.get_x()), np.floor(other.get_y())) == (1, 1)  # counted within its block
    assert "framed: own label" in texts(figure)


def test_small_pictures_are_enlarged_four_times_at_most_and_the_sheet_shrinks():
    figure = picture_grid(grid(height=28, width=28))
    box = figure.axes[0].get_position()
    assert box.width * figure.get_size_inches()[0] * figure.dpi == pytest.approx(3 * 28 * 4)


def test_every_picture_keeps_its_shape():
    figure = picture_grid(grid(height=4, width=8), row_headings=["one", "two"], title="Two rows")
    box, size = figure.axes[0].get_position(), figure.get_size_inches()
    assert box.height * size[1] / (box.width * size[0]) == pytest.approx(2 * 4 / (3 * 8))


def test_headings_wider_than_a_picture_are_slanted_and_none_leaves_the_sheet():
    figure = picture_grid(grid(columns=10), column_headings=[*"abcdefghi", "automobile, large"], above="given")
    renderer = figure.canvas.get_renderer()
    headings = {text: thing for text, thing in texts(figure).items() if text != "given"}
    assert {thing.get_rotation() for thing in headings.values()} == {40.0}
    boxes = [thing.get_window_extent(renderer) for thing in figure.texts]
    width, height = figure.get_size_inches() * figure.dpi
    assert all(0 <= box.x0 and box.x1 <= width and box.y1 <= height for box in boxes)
    assert texts(picture_grid(grid(height=28, width=28), column_headings=["a", "b", "c"]))["a"].get_rotation() == 0


@pytest.mark.parametrize(("wrong", "words"), [
    ({"column_headings": ["a"]}, "3 column headings are needed, got 1"), ({"row_headings": ["a"]}, "2 row headings"),
    ({"marked": np.zeros((3, 2))}, r"marked is \(3, 2\)"), ({"apart": 3}, "apart 3")])
def test_what_does_not_fit_the_grid_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        picture_grid(grid(), **wrong)


IMAGES = np.zeros((2, 4, 6, 3), np.uint8)
TRUTH = np.zeros((2, 4, 6), int)


def rgb(colour):
    return [round(255 * part) for part in to_rgb(colour)]


def test_each_class_has_its_colour():
    assert class_map(np.array([[0, 1, 2]])).tolist() == [[rgb(colour) for colour in CLASS_COLOURS.values()]]


def test_wrong_pixels_are_strong_and_right_ones_pale_grey():
    pred = TRUTH.copy()
    pred[1, 2, 3] = 2
    errors = error_map(IMAGES, TRUTH, pred)
    assert errors[1, 2, 3].tolist() == rgb(ERROR)
    assert (errors == rgb(ERROR)).all(-1).sum() == 1
    assert errors[0, 0, 0].tolist() == [153, 153, 153]  # black, 60 % towards white


def test_tiles_are_input_truth_prediction_error_for_both_layouts():
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    tiles = segmentation_tiles(images, TRUTH, TRUTH + 1)
    assert tiles.shape == (2, 4, 4, 6, 3) and tiles.dtype == np.uint8
    assert np.array_equal(tiles[:, 0], images)
    assert np.array_equal(tiles[:, 2], class_map(TRUTH + 1))
    assert np.array_equal(tiles, segmentation_tiles(images.transpose(0, 3, 1, 2), TRUTH, TRUTH + 1))


def test_masks_of_another_size_are_refused():
    with pytest.raises(ValueError, match="differ in N, H, W"):
        segmentation_tiles(IMAGES, TRUTH[:, :2], TRUTH)


def test_a_grid_has_one_picture_per_tile_in_its_own_shape_and_explains_its_colours():
    figure = show_tiles(segmentation_tiles(IMAGES, TRUTH, TRUTH), row_labels=["best", "worst"])
    assert len(figure.axes) == 8
    box = figure.axes[0].get_position()
    width, height = figure.get_size_inches()
    assert box.height * height / (box.width * width) == pytest.approx(4 / 6)
    texts = [text.get_text() for text in figure.texts]
    assert {"input", "error", "best", "worst", "pet", "background", "border", "wrong"} <= set(texts)


def test_a_grid_of_two_columns_names_no_error_colour():
    figure = show_tiles(segmentation_tiles(IMAGES, TRUTH, TRUTH)[:, :2], ["photo", "truth"])
    assert "wrong" not in [text.get_text() for text in figure.texts]


def test_headings_must_match_the_columns():
    with pytest.raises(ValueError, match="4 column headings are needed, got 1"):
        show_tiles(segmentation_tiles(IMAGES, TRUTH, TRUTH), ["photo"])


@pytest.mark.parametrize(("heads", "angle"), [(["own", "cat"] * 6, 0), (["automobile", "cat"] * 6, 40)])
def test_headings_wider_than_their_columns_lean_and_stay_on_the_sheet(heads, angle):
    figure = show_tiles(np.zeros((1, 12, 8, 8, 3), np.uint8), heads, key=False)
    width, height = figure.get_size_inches() * figure.dpi
    boxes = [text.get_window_extent(figure.canvas.get_renderer()) for text in figure.texts]
    assert {text.get_rotation() for text in figure.texts} == {angle}
    assert all(box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height for box in boxes)


def test_a_heading_of_several_words_takes_several_lines():
    figure = show_tiles(np.zeros((1, 7, 8, 8, 3), np.uint8), ["original, predicted"] + ["view"] * 6, key=False)
    assert [text.get_text() for text in figure.texts][:2] == ["predicted", "original,"]


def test_a_white_picture_ends_in_a_line_and_a_dark_one_does_not():
    tiles = np.zeros((1, 2, 4, 6, 3), np.uint8)
    tiles[0, 1] = 255
    dark, white = show_tiles(tiles, ["dark", "white"], key=False).axes
    assert not any(spine.get_visible() for spine in dark.spines.values())
    assert all(spine.get_visible() for spine in white.spines.values())


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


@pytest.mark.filterwarnings("error")  # a sign that the font lacks is one
def test_names_of_strangers_are_shown_and_are_no_mathematics(tmp_path):
    names = ["price $5_a$ {\\x", "\U0001f63a \u732b.jpg"]
    figure = show_tiles(grid(2, 1), [""], names, key=False)
    figure.savefig(tmp_path / "names.png")
    shown = [text for text in texts(figure) if text]
    assert shown == [r"price \$5_a\$ {\x", "\U0001f63a \u25a1.jpg"]  # the font has cats
