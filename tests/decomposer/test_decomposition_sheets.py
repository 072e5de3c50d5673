"""Seven columns of layers, and labels under their inputs."""

from types import SimpleNamespace

import numpy as np
import pytest

from htcv_lib.decomposer.figures import (
    DECOMPOSITION_COLUMNS,
    decomposition_sheet,
    decomposition_tiles,
    label_sheet,
    label_tiles,
)


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
