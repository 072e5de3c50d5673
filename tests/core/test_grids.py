"""Dense grids: what pictures become, what is framed, headings that fit."""

import numpy as np
import pytest

from htcv_lib.figures.grids import APART, FRAME, picture_grid, pictures


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
