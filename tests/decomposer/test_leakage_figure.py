"""A matrix of leakage, drawn with its numbers."""

import numpy as np
import pandas as pd
import pytest

from htcv_lib.decomposer.figures import SCALE, leakage_heatmap, leakage_table

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
    assert colours[0] == pytest.approx(SCALE(0.95)) and colours[5] == pytest.approx(SCALE(1.0))
    assert colours[3] == pytest.approx(SCALE(0.49)) and colours[2] == pytest.approx(SCALE(0.5))


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
