"""Trade-offs: weights in order, seeds around their means, zero on a logarithmic axis."""

import numpy as np
import pandas as pd
import pytest

from htcv_lib.figures.trade import _places, sweep, trade_off

FRAME = pd.DataFrame({"weight": [100, 0, 10, 0], "seed": [0, 0, 0, 1], "swap_success": [0.9, 0.0, 0.5, 0.1],
                      "psnr": [14.0, 18.0, 16.0, 16.0]})
MIXED = pd.concat([FRAME.astype({"weight": object}), pd.DataFrame(
    {"weight": ["prototype"], "seed": [0], "swap_success": [1.0], "psnr": [10.0]})])


def joined(axes):
    return max(axes.lines, key=lambda line: len(line.get_xdata()) * (line.get_linestyle() == "-"))


def test_means_are_joined_in_order_of_the_weight_and_shares_are_percent():
    line = joined(trade_off(FRAME, "swap_success", "psnr", "weight").axes[0])
    assert line.get_xdata() == pytest.approx([5, 50, 90])
    assert line.get_ydata() == pytest.approx([17.0, 16.0, 14.0])


def test_every_weight_and_every_baseline_is_named_but_baselines_are_not_joined():
    axes = trade_off(MIXED, "swap_success", "psnr", "weight").axes[0]
    assert [text.get_text() for text in axes.texts] == ["λ = 0", "λ = 10", "λ = 100", "prototype"]
    assert 100 not in joined(axes).get_xdata()


def test_a_scatter_without_any_weight_names_every_point_and_joins_none():
    named = MIXED.assign(weight=["a", "b", "c", "b", "d"])
    axes = trade_off(named, "swap_success", "psnr", "weight").axes[0]
    assert sorted(text.get_text() for text in axes.texts) == ["a", "b", "c", "d"]
    assert all(len(line.get_xdata()) <= 1 for line in axes.lines if line.get_linestyle() == "-")


def test_seeds_are_small_dots_around_their_mean():
    axes = trade_off(FRAME, "swap_success", "psnr", "weight").axes[0]
    small = [line for line in axes.lines if line.get_markersize() == 3.4]
    assert [sorted(line.get_xdata()) for line in small] == [pytest.approx([0, 10])]


def test_axes_say_what_they_show():
    figure = trade_off(FRAME, "swap_success", "psnr", "weight", ylabel="PSNR, dB")
    assert figure.axes[0].get_xlabel() == "swap success, %"
    assert "PSNR, dB" in [text.get_text() for text in figure.texts]


def test_axes_can_be_logarithmic_and_names_stay_near_their_points():
    frame = pd.DataFrame({"weight": [1, 10, 100], "label_nll": [3.0, 0.3, 0.003], "psnr": [17.0, 16.5, 15.0]})
    figure = trade_off(frame, "label_nll", "psnr", "weight", log="x")
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    for text, x, y in zip(axes.texts, frame["label_nll"], frame["psnr"], strict=True):
        away = axes.transData.transform(text.get_position()) - axes.transData.transform((x, y))
        assert np.linalg.norm(away) < 0.8 * figure.dpi
    with pytest.raises(ValueError, match="log must be"):
        trade_off(frame, "label_nll", "psnr", "weight", log="z")


def test_no_run_with_both_metrics_is_an_error():
    with pytest.raises(ValueError, match="no run has both"):
        trade_off(FRAME.assign(psnr=np.nan), "swap_success", "psnr", "weight")


def test_zero_stands_one_decade_left_of_the_smallest_weight():
    assert _places(np.array([0.0, 10.0, 100.0])).tolist() == [0.0, 1.0, 2.0]
    assert _places(np.array([0.1, 1.0])).tolist() == [-1.0, 0.0]
    assert _places(np.array([0.0])).tolist() == [-1.0]


def test_a_sweep_has_a_panel_a_metric_with_every_seed_and_every_weight():
    figure = sweep(FRAME, "weight", {"swap_success": "swapped", "psnr": "PSNR, dB"}, marked=100)
    first, second = figure.axes
    dots = next(line for line in first.lines if line.get_marker() == "o")
    assert sorted(zip(dots.get_xdata(), dots.get_ydata(), strict=True)) == [
        pytest.approx(pair) for pair in [(0, 0), (0, 10), (1, 50), (2, 90)]]
    assert [tick.get_text() for tick in second.get_xticklabels()] == ["0", "10", "100"]
    assert {"swapped, %", "PSNR, dB", "weight"} <= {text.get_text() for text in figure.texts}
    assert first.patches[0].get_x() + first.patches[0].get_width() / 2 == pytest.approx(2)  # shaded at 100


def test_the_line_is_broken_between_zero_and_the_first_weight():
    axes = sweep(FRAME, "weight", ["psnr"]).axes[0]
    solid, dashed = (line for line in axes.lines[:2])
    assert solid.get_xdata().tolist() == [1, 2] and solid.get_linestyle() == "-"
    assert list(dashed.get_xdata()) == [0, 1] and dashed.get_linestyle() == "--"


def test_a_missing_metric_leaves_a_gap_not_a_zero():
    frame = FRAME.assign(psnr=[14.0, 18.0, np.nan, 16.0])
    axes = sweep(frame, "weight", ["psnr"], narrow=True).axes[0]
    dots = next(line for line in axes.lines if line.get_marker() == "o")
    assert sorted(dots.get_xdata()) == [0, 0, 2]


def test_weights_below_zero_are_refused():
    with pytest.raises(ValueError, match="at least 0"):
        sweep(FRAME.assign(weight=-1), "weight", ["psnr"])


def test_a_name_that_stands_away_from_its_point_is_led_to_it():
    crowd = pd.DataFrame({"x": [*np.linspace(1, 1.02, 8), 5], "y": [1.0] * 8 + [9.0]})
    axes = trade_off(crowd.assign(name=[letter * 6 for letter in "abcdefghi"]), "x", "y", "name").axes[0]
    leads = [line for line in axes.lines if line.get_linewidth() == 0.7]
    assert len(leads) >= 3 and all(line.get_xdata()[0] < 2 for line in leads)  # the lonely point needs none
