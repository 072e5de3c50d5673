"""The balance of an adversarial training: warm-up, limits and interventions, each where it belongs."""

import numpy as np
import pandas as pd
import pytest
from drawn import to_svg

from htcv_lib.figures.style import BLUE, SHADE
from htcv_lib.neural_renderer.figures import _within, balance_curves

RULES = ["balance/paused", "balance/extra_discriminator", "balance/extra_generator"]
NAN = np.nan


def training(**columns) -> pd.DataFrame:
    """Five epochs, the first two a warm-up."""
    return pd.DataFrame({
        "epoch": [1, 2, 3, 4, 5],
        "train/warm_up/loss": [12.0, 8.0, NAN, NAN, NAN],
        "train/generator/loss": [NAN, NAN, 9.0, 7.0, 6.0],
        "train/discriminator/loss": [NAN, NAN, 0.6, 0.5, 0.4],
        "train/generator/real_accuracy": [NAN, NAN, 0.9, 0.8, 1.0],
        "train/generator/fake_accuracy": [NAN, NAN, 0.5, 0.6, 0.7],
        "balance/paused": [NAN, NAN, 0.0, 0.25, 0.5],
        "balance/extra_discriminator": [NAN, NAN, 2.0, 0.5, 0.0],
        "balance/extra_generator": [NAN, NAN, 0.0, 0.25, 0.5],
    } | columns)


def annotations(axes):
    return [text.get_text() for text in axes.texts]


def curves(axes):
    """(epochs, values) of every line but the dots at the ends."""
    return [(line.get_xdata().tolist(), pytest.approx(line.get_ydata().tolist())) for line in axes.lines
            if line.get_marker() == "None"]


def shades(axes):
    """Left and right edge of the warm-up."""
    return [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches
            if hasattr(patch, "get_x") and patch.get_facecolor()[:3] == pytest.approx(rgb(SHADE))]


def rgb(colour):
    return tuple(int(colour[k:k + 2], 16) / 255 for k in (1, 3, 5))


def stairs(axes):
    """Heights of the areas and outlines with one step an epoch."""
    return [patch.get_data().values.tolist() for patch in axes.patches if hasattr(patch, "get_data")]


def test_the_generators_loss_goes_on_where_its_dashed_warm_up_ends():
    upper, lower, *_ = balance_curves(training()).axes
    assert curves(upper) == [([1, 2, 3], [12.0, 8.0, 9.0]), ([3, 4, 5], [9.0, 7.0, 6.0])]
    dashed, solid = (line for line in upper.lines if line.get_marker() == "None")
    assert dashed.is_dashed() and not solid.is_dashed()
    assert dashed.get_color() == solid.get_color() == BLUE
    assert curves(lower) == [([3, 4, 5], [0.6, 0.5, 0.4])]
    assert annotations(upper) + annotations(lower) == ["generator", "discriminator"]


def test_the_warm_up_is_shaded_in_every_panel_and_named_once():
    figure = balance_curves(training())
    assert len(figure.axes) == 5
    assert all(shades(axes) == [(0.5, 2.5)] for axes in figure.axes)
    assert [text.get_text() for text in figure.texts].count("warm-up") == 1


def test_without_a_warm_up_nothing_is_shaded_or_named():
    for frame in (training().iloc[2:], training().drop(columns="train/warm_up/loss").iloc[2:]):
        figure = balance_curves(frame)
        assert all(shades(axes) == [] for axes in figure.axes)
        assert "warm-up" not in [text.get_text() for text in figure.texts]


def test_accuracies_are_percent_and_their_mean_meets_the_limits():
    axes = balance_curves(training(), limits=(0.65, 0.9)).axes[2]
    real, fake, mean = curves(axes)
    assert (real, fake) == (([3, 4, 5], [90, 80, 100]), ([3, 4, 5], [50, 60, 70]))
    assert mean == ([3, 4, 5], [70, 70, 85])  # by hand
    assert annotations(axes) == ["real pictures", "generated pictures", "mean of both"]
    (band,) = axes.collections
    (corners,) = (path.vertices for path in band.get_paths())
    assert [corners.min(axis=0).tolist(), corners.max(axis=0).tolist()] == [[2.5, 65], [5.5, 90]]  # not in the warm-up
    assert {65, 90} <= set(axes.get_yticks())


def test_without_limits_there_is_neither_band_nor_mean():
    figure = balance_curves(training())
    assert not figure.axes[2].collections
    assert annotations(figure.axes[2]) == ["real pictures", "generated pictures"]
    assert not any("band" in text.get_text() for text in figure.texts)


def test_interventions_are_per_100_steps_and_none_in_the_warm_up():
    *_, upper, lower = balance_curves(training()).axes
    paused, generator = stairs(upper)
    assert paused == [0, 0, 0, 25, 50]
    assert np.isnan(generator[:2]).all() and generator[2:] == [0, 25, 50]
    assert stairs(lower) == [[0, 0, 200, 50, 0]]
    assert set(annotations(upper)) == {"discriminator paused", "generator, extra"}
    assert annotations(lower) == ["discriminator, extra"]


@pytest.mark.parametrize("frame", [training(**dict.fromkeys(RULES, NAN)), training().drop(columns=RULES)])
def test_without_rules_their_panels_are_left_out(frame):
    figure = balance_curves(frame)
    assert len(figure.axes) == 3
    assert figure.axes[-1].get_xlabel() == "epoch"
    assert figure.get_size_inches()[1] < balance_curves(training()).get_size_inches()[1]


def test_rules_that_never_intervened_show_zero():
    *_, upper, lower = balance_curves(training(**dict.fromkeys(RULES, [NAN, NAN, 0.0, 0.0, 0.0]))).axes
    assert stairs(lower) == [[0, 0, 0, 0, 0]]
    assert upper.get_yticks().tolist() == lower.get_yticks().tolist() == [0]


def test_all_panels_share_the_epochs_and_only_the_lowest_names_them():
    figure = balance_curves(training(), limits=(0.7, 0.85))
    assert {axes.get_xlim() for axes in figure.axes} == {(0.5, 5.5)}
    figure.draw_without_rendering()
    shown = [any(tick.get_visible() for tick in axes.get_xticklabels()) for axes in figure.axes]
    assert shown == [False] * 4 + [True]


def test_a_loss_over_many_sizes_gets_a_logarithmic_scale_and_says_so():
    wide = training(**{"train/warm_up/loss": [60.0, 20.0, NAN, NAN, NAN],
                       "train/generator/loss": [NAN, NAN, 2.0, 0.5, 0.2]})
    axes = balance_curves(wide).axes[0]
    assert axes.get_yscale() == "log" and annotations(axes) == ["generator, log scale"]
    assert axes.get_ylim()[0] < 0.2 and axes.get_ylim()[1] > 60
    assert balance_curves(training()).axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("span", [(1.1, 4.5), (2.1, 8.9), (5.1, 21), (3.1, 40), (4, 150), (0.2, 60)])
def test_a_logarithmic_axis_has_two_to_five_ticks(span):
    axes = balance_curves(training(**{"train/warm_up/loss": NAN, "train/generator/loss": [NAN, NAN, *span, span[0]]})
                          ).axes[0]
    low, high = axes.get_ylim()
    assert 2 <= len([tick for tick in axes.get_yticks() if low <= tick <= high]) <= 5


def test_an_epoch_in_which_the_discriminator_only_paused_is_skipped_in_its_loss():
    frame = training(**{"train/discriminator/loss": [NAN, NAN, 0.6, NAN, 0.4]})
    assert curves(balance_curves(frame).axes[1]) == [([3, 5], [0.6, 0.4])]


def test_names_stay_beside_their_panel_and_apart():
    frame = training(**{"train/generator/fake_accuracy": [NAN, NAN, 0.9, 0.9, 1.0]})
    axes = balance_curves(frame, limits=(0.65, 0.9)).axes[2]  # all three end at 100
    places = sorted(text.xy[1] for text in axes.texts)
    tall = axes.get_position().height * axes.figure.get_size_inches()[1]
    assert 0 <= places[0] and places[-1] <= 1
    assert (np.diff(places) * tall > 0.16).all()


def test_places_are_moved_alike_into_their_room():
    assert _within([0.5, 1.25], 0, 1).tolist() == [0.25, 1.0]
    assert _within([-0.5, 0.25], 0, 1).tolist() == [0.0, 0.75]
    assert _within([0.25, 0.5], 0, 1).tolist() == [0.25, 0.5]


def test_one_adversarial_epoch_is_enough_to_draw():
    figure = balance_curves(training().iloc[:3], limits=(0.65, 0.9), title="One epoch")
    assert "o" in {line.get_marker() for line in figure.axes[0].lines}
    assert to_svg(figure) == to_svg(balance_curves(training().iloc[:3], limits=(0.65, 0.9), title="One epoch"))


def test_a_training_without_a_discriminator_is_refused():
    frame = training().drop(columns="train/discriminator/loss")
    with pytest.raises(ValueError, match="no adversarial training in epoch, train/warm_up/loss"):
        balance_curves(frame)
    with pytest.raises(ValueError, match="no adversarial training"):
        balance_curves(training().iloc[:2])  # nothing but the warm-up


@pytest.mark.parametrize("limits", [(65, 90), (0.9, 0.65), (-0.1, 0.5)])
def test_limits_that_are_not_two_shares_in_order_are_refused(limits):
    with pytest.raises(ValueError, match="limits must be"):
        balance_curves(training(), limits=limits)
