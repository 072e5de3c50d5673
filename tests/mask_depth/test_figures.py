"""Composite, mask and depth as pictures: one colour scale for truth and prediction."""

import matplotlib
import numpy as np
import pytest

from htcv_lib.mask_depth.figures import MASK_DEPTH_COLUMNS, depth_colours, mask_depth_grid, mask_depth_tiles


def viridis(share):
    return [round(255 * part) for part in matplotlib.colormaps["viridis"](share)[:3]]


def fields(count=2, height=4, width=6):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, 3, height, width), dtype=np.uint8)
    return images, *(generator.random((count, 1, height, width)) for _ in range(4))


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_near_is_dark_far_is_bright_and_beyond_the_range_is_its_end():
    colours = depth_colours(np.array([[[0.0, 1.0, 0.5], [-3.0, 7.0, 0.25]]]))
    assert colours.shape == (1, 2, 3, 3) and colours.dtype == np.uint8
    assert colours[0, 0].tolist() == [viridis(0.0), viridis(1.0), viridis(0.5)]
    assert colours[0, 1].tolist() == [viridis(0.0), viridis(1.0), viridis(0.25)]
    assert colours[0, 0, 0].sum() < colours[0, 0, 2].sum() < colours[0, 0, 1].sum()


def test_truth_and_prediction_share_one_range_also_where_each_picture_has_its_own():
    images, mask, _, _, _ = fields(height=1, width=2)
    truth = np.array([[[2.0, 4.0]], [[0.0, 1.0]]])
    pred = np.array([[[3.0, 9.0]], [[0.5, 0.0]]])
    tiles = mask_depth_tiles(images, mask, mask, truth, pred, depth_range=None)
    assert tiles[0, 3, 0].tolist() == [viridis(0.0), viridis(1.0)]
    assert tiles[0, 4, 0].tolist() == [viridis(0.5), viridis(1.0)]  # 3 between 2 and 4; 9 clipped
    assert tiles[1, 4, 0].tolist() == [viridis(0.5), viridis(0.0)]


def test_a_truth_of_one_depth_is_drawn_and_not_divided_by_zero():
    assert depth_colours(np.full((1, 2, 2), 0.7), 0.7, 0.7).reshape(-1, 3).tolist() == [viridis(0.0)] * 4


def test_tiles_are_composite_masks_in_grey_and_depths_in_this_order():
    images, mask_truth, mask_pred, depth_truth, depth_pred = fields()
    tiles = mask_depth_tiles(images, mask_truth, mask_pred, depth_truth, depth_pred)
    assert tiles.shape == (2, 5, 4, 6, 3) and tiles.dtype == np.uint8
    assert np.array_equal(tiles[:, 0], images.transpose(0, 2, 3, 1))
    for column, mask in ((1, mask_truth), (2, mask_pred)):
        assert np.array_equal(tiles[:, column], np.rint(255 * mask[:, 0])[..., None].repeat(3, -1))
    for column, depth in ((3, depth_truth), (4, depth_pred)):
        assert np.array_equal(tiles[:, column], depth_colours(depth))


def test_fields_of_different_sizes_and_depths_that_are_not_finite_are_refused():
    images, mask_truth, mask_pred, depth_truth, depth_pred = fields()
    with pytest.raises(ValueError, match="differ in N, H, W"):
        mask_depth_tiles(images, mask_truth, mask_pred[..., :2], depth_truth, depth_pred)
    with pytest.raises(ValueError, match="not finite"):
        depth_colours(np.full((1, 2, 2), np.nan))
    with pytest.raises(ValueError, match="far end of the range is below"):
        depth_colours(np.zeros((1, 2, 2)), 1.0, 0.0)


def test_a_grid_has_a_picture_for_each_tile_in_its_shape_and_a_scale_of_depth():
    figure = mask_depth_grid(mask_depth_tiles(*fields()), ["median", "worst"], "Two pictures", ends=("0 m", "10 m"))
    assert len(figure.axes) == 2 * 5 + 1
    box, size = figure.axes[0].get_position(), figure.get_size_inches()
    assert box.height * size[1] / (box.width * size[0]) == pytest.approx(4 / 6)
    assert {"Two pictures", "median", "worst", "depth: 0 m", "10 m"} <= set(texts(figure))
    assert [text.replace("\n", " ") for text in texts(figure) if text.replace("\n", " ") in MASK_DEPTH_COLUMNS] == list(
        MASK_DEPTH_COLUMNS)


def test_no_text_of_a_grid_leaves_the_sheet():
    figure = mask_depth_grid(mask_depth_tiles(*fields()), ["a long label of one row", "b"], "T " * 60)
    renderer = figure.canvas.get_renderer()
    width, height = figure.get_size_inches() * figure.dpi
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    assert all(0 <= box.x0 and box.x1 <= width and 0 <= box.y0 and box.y1 <= height for box in boxes)


def test_without_ends_there_is_no_scale_and_other_columns_need_their_headings():
    tiles = mask_depth_tiles(*fields())
    assert len(mask_depth_grid(tiles[:, :3], columns=["composite", "mask", "predicted"], ends=None).axes) == 6
    with pytest.raises(ValueError, match="3 column headings are needed, got 5"):
        mask_depth_grid(tiles[:, :3])
    with pytest.raises(ValueError, match="2 row headings are needed, got 1"):
        mask_depth_grid(tiles, ["one"])
