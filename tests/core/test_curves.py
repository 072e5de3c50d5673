"""Curves: smoothing by hand, one line a seed, names at the ends."""

import numpy as np
import pandas as pd
import pytest

from htcv_lib.figures.curves import plot_curves, plot_history, smoothed


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
