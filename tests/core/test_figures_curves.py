"""Curves of one run and of many, range tests, trade-offs, sweeps and names beside points."""

import numpy as np
import pandas as pd
import pytest
from drawn import to_svg

from htcv_lib.figures.curves import loss_panels, lr_range_figure, plot_curves, plot_history, smoothed
from htcv_lib.figures.trade import _places, free_places, sweep, trade_off


def history(final: float, epochs: int = 4) -> pd.DataFrame:
    grid = np.arange(1, epochs + 1)
    frame = pd.DataFrame({"epoch": grid, "train/unet/loss": 1 / grid, "train/unet/dice": 0.5, "val/loss": 1.1 / grid,
                          "val/accuracy": final * grid / epochs, "val/iou_pet": 0.3, "lr": 1e-3})
    frame.loc[1, ["val/loss", "val/accuracy", "val/iou_pet"]] = np.nan  # not every epoch is evaluated
    return frame


def annotations(axes):
    return [text.get_text() for text in axes.texts]


def test_smoothing_starts_at_the_first_value_and_weighs_the_past():
    # second: (0.5 * 0.5 * 1 + 0.5 * 2) / 0.75 = 5 / 3
    assert smoothed([1.0, 2.0], 0.5) == pytest.approx([1.0, 5 / 3])
    assert smoothed([3.0, 3.0, 3.0], 0.9) == pytest.approx([3.0, 3.0, 3.0])
    assert smoothed([1.0, 5.0], None).tolist() == [1.0, 5.0]


def test_curves_draw_thin_seeds_and_a_bold_mean_in_percent():
    groups = {"one": [history(0.8), history(0.6)], "two": [history(0.5)]}
    axes = plot_curves(groups, "val/accuracy", smooth=None).axes[0]
    bold = [line for line in axes.lines if line.get_linewidth() > 2]
    assert [line.get_ydata()[-1] for line in bold] == pytest.approx([70.0, 50.0])
    assert len([line for line in axes.lines if line.get_linewidth() == 0.9]) == 2
    assert annotations(axes) == ["one", "two"]
    assert bold[0].get_xdata().tolist() == [1, 3, 4]  # the epoch without a value is skipped, not drawn as zero


def test_loss_panels_have_a_scale_each_and_name_training_and_validation():
    groups = {"one": [history(0.8), history(0.6)], "two": [history(0.5).assign(**{"val/loss": 70.0})]}
    one, two = loss_panels(groups, ["train/unet/loss", "val/loss"]).axes
    assert annotations(one) == annotations(two) == ["training", "validation"]
    assert one.get_ylim()[1] < 2 < 70 < two.get_ylim()[1]
    assert len([line for line in one.lines if line.get_linewidth() == 0.9]) == 4  # two seeds of either loss


def test_what_hardly_changes_is_drawn_flat():
    still = history(0.5)
    still["val/accuracy"] = [0.05466, 0.05467, 0.05466, 0.05467]
    low, high = plot_curves({"one": [still]}, "val/accuracy", smooth=None).axes[0].get_ylim()
    assert high - low > 0.05 and low < 5.466 < 5.467 < high  # percent


def test_the_mean_is_over_epochs_that_every_seed_has():
    axes = plot_curves({"one": [history(0.8, 4), history(0.8, 3)]}, "val/accuracy", smooth=None).axes[0]
    assert max(line.get_linewidth() for line in axes.lines) == 2.2
    assert [line for line in axes.lines if line.get_linewidth() == 2.2][0].get_xdata().tolist() == [1, 3]


def test_a_column_nobody_recorded_is_an_error_that_names_the_others():
    with pytest.raises(ValueError, match="val/accuracy"):
        plot_curves({"one": [history(0.8)]}, "val/accuracies")


def test_a_history_shows_losses_and_metrics_apart():
    losses, metrics = plot_history(history(0.8)).axes
    assert annotations(losses) == ["training", "validation"]
    assert annotations(metrics) == ["accuracy"]


def test_chosen_columns_are_drawn_and_a_history_object_is_as_good_as_its_frame():
    class History:
        def frame(self):
            return history(0.8)

    (axes,) = plot_history(History(), columns=["val/accuracy", "val/iou_pet"]).axes
    assert annotations(axes) == ["accuracy", "IoU pet"]


def test_a_history_of_one_epoch_still_shows_its_point():
    axes = plot_history(history(0.8, 1).assign(**{"val/accuracy": 0.8})).axes[0]
    assert "o" in {line.get_marker() for line in axes.lines}


def test_other_seeds_are_thin_lines_behind_and_have_no_name():
    losses, metrics = plot_history(history(0.8), others=[history(0.6), history(0.7).drop(columns="val/accuracy")]).axes
    finals = sorted(round(line.get_ydata()[-1]) for line in metrics.lines if len(line.get_ydata()) > 1)
    assert finals == [60, 80] and annotations(metrics) == ["accuracy"]
    widths = [line.get_linewidth() for line in losses.lines if len(line.get_ydata()) > 1]
    assert len(widths) == 6 and widths.count(max(widths)) == 2


def test_a_history_with_nothing_to_draw_says_so():
    with pytest.raises(ValueError, match="no column to draw"):
        plot_history(pd.DataFrame({"epoch": [1], "lr": [0.1]}))


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


ROOM = (0.0, 0.0, 10.0, 10.0)
NOTHING = np.empty((0, 2))


def box(centre, size):
    return (*(centre - np.array(size) / 2), *(centre + np.array(size) / 2))


def test_a_name_with_reach_zero_stands_on_its_point():
    assert free_places([[5, 5]], [[1, 0.2]], NOTHING, ROOM, (0, 0.2)).tolist() == [[5, 5]]


def test_a_name_stands_right_of_its_point_at_the_reach_when_nothing_is_in_the_way():
    centre = free_places([[5, 5]], [[1.0, 0.2]], NOTHING, ROOM, (0.1,))[0]
    left = centre[0] - 0.5
    assert 5.05 < left < 5.15 and abs(centre[1] - 5) < 0.2


def test_what_must_not_be_covered_is_not_covered():
    avoid = np.array([[x, y] for x in np.linspace(5.1, 6.2, 12) for y in np.linspace(4.5, 5.5, 11)])  # all the right
    centre = free_places([[5, 5]], [[1.0, 0.2]], avoid, ROOM, (0.1,))[0]
    left, bottom, right, top = box(centre, (1.0, 0.2))
    assert not ((avoid[:, 0] > left) & (avoid[:, 0] < right) & (avoid[:, 1] > bottom) & (avoid[:, 1] < top)).any()


def test_names_of_one_point_do_not_overlap():
    centres = free_places([[5, 5]] * 4, [[1.0, 0.2]] * 4, NOTHING, ROOM, (0, 0.2, 0.4))
    for i in range(4):
        for j in range(i):
            apart = np.abs(centres[i] - centres[j])
            assert apart[0] >= 1.0 - 1e-9 or apart[1] >= 0.2 - 1e-9


def test_a_name_at_the_edge_turns_inwards():
    left, _, right, _ = box(free_places([[9.9, 5]], [[1.0, 0.2]], NOTHING, ROOM, (0.1,))[0], (1.0, 0.2))
    assert 0 <= left and right <= 10


def test_a_name_is_nearest_to_its_own_point():
    anchors = np.array([[5.0, 5.0], [6.15, 5.05]])  # right of the first there is room, but it ends at the second
    centre = free_places(anchors, [[1.0, 0.2], [1.0, 0.2]], NOTHING, ROOM, (0.1,))[0]
    assert centre[0] + 0.5 < 6.0
    assert pytest.approx(centre[0], abs=0.7) == 4.8
