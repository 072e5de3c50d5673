import numpy as np
import pytest
from drawn import to_svg

from htcv_lib.figures.curves import lr_range_figure

LR = np.geomspace(1e-5, 1.0, 41)
SMOOTHED = np.where(LR < 0.1, 1 - 0.1 * (np.log10(LR) + 5), 0.6 * (LR / 0.1) ** 3)  # falls to 0.1, then explodes
RESULT = {"lr": LR, "loss": SMOOTHED + 0.01, "smoothed": SMOOTHED}


def test_the_rate_is_logarithmic_and_both_curves_are_there():
    (axes,) = lr_range_figure(RESULT).axes
    assert axes.get_xscale() == "log" and axes.get_xlim() == pytest.approx((1e-5, 1.0))
    raw, smooth = axes.lines
    assert raw.get_ydata().tolist() == RESULT["loss"].tolist() and smooth.get_ydata().tolist() == SMOOTHED.tolist()
    assert smooth.get_linewidth() > raw.get_linewidth()


def test_the_explosion_does_not_flatten_the_descent():
    low, high = lr_range_figure(RESULT).axes[0].get_ylim()
    assert low < SMOOTHED.min() and 1.01 < high < 1.3 < SMOOTHED.max()


def test_marks_stand_at_their_rates_with_names_inside_the_sheet():
    figure = lr_range_figure(RESULT, {"steepest": 1e-3, "at the very edge of the range": 0.9, "none": float("nan")})
    (axes,) = figure.axes
    assert [line.get_xdata()[0] for line in axes.lines[2:]] == [1e-3, 0.9]
    assert [text.get_text() for text in axes.texts] == ["steepest, 1.0e-3", "at the very edge of the range, 9.0e-1"]
    figure.canvas.draw()
    right = figure.bbox.width
    assert all(text.get_window_extent().x1 <= right for text in axes.texts)
    assert "steepest" in to_svg(figure)


def test_marks_outside_the_range_and_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="far outside the tested range"):
        lr_range_figure(RESULT, {"far": 3.0})
    with pytest.raises(ValueError, match="one length"):
        lr_range_figure({**RESULT, "loss": [1.0]})
