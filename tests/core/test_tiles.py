"""Pictures of masks: colours by class, errors where they are."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from htcv_lib.figures.grids import class_map, error_map, segmentation_tiles, show_tiles
from htcv_lib.figures.style import CLASS_COLOURS, ERROR

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
    with pytest.raises(ValueError, match="4 columns of tiles, but 1 headings"):
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
