"""The latent map: every point in its class's colour, every name at its median."""

import importlib.util
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from htcv_lib.vae.figures import TEN, latent_map

POINTS = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [10.0, 5.0], [10.0, 7.0], [10.0, 6.0]])
LABELS = np.array([0, 0, 0, 1, 1, 1])


def load_sight():
    path = Path(__file__).parents[1] / "core" / "test_style.py"
    spec = importlib.util.spec_from_file_location("style_of_tests", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_names_stand_at_the_medians_where_there_is_room():
    points = np.concatenate([POINTS, [[-9, -9], [4, 4], [19, 15]]])
    axes = latent_map(points, [*LABELS, 2, 2, 2], ["zero", "one", "wide"]).axes[0]
    assert {text.get_text(): text.get_position() for text in axes.texts} == {
        "zero": pytest.approx((1.0, 0.0)), "one": pytest.approx((10.0, 6.0)), "wide": pytest.approx((4.0, 4.0))}


def test_points_have_the_colours_of_their_classes():
    drawn = latent_map(POINTS, LABELS, ["zero", "one"]).axes[0].collections[0]
    colours = {tuple(point): tuple(colour[:3]) for point, colour in zip(drawn.get_offsets(), drawn.get_facecolors(),
                                                                       strict=True)}
    assert colours[0.0, 0.0] == to_rgb(TEN[0]) and colours[10.0, 7.0] == to_rgb(TEN[1])
    assert len(colours) == 6


def test_names_of_classes_on_one_spot_move_apart_and_keep_a_line_to_it():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    names = ["airplane", "bird", "cat", "deer"]
    figure = latent_map(rng.normal(size=(400, 2)), labels, names)
    axes, renderer = figure.axes[0], figure.canvas.get_renderer()
    figure.draw_without_rendering()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert len(axes.lines) >= 2


def test_both_axes_have_one_scale():
    figure = latent_map(POINTS * [1, 9], LABELS, ["zero", "one"])
    axes = figure.axes[0]
    inches = axes.get_position().size * figure.get_size_inches()
    span = [np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim())]
    assert inches[0] / span[0] == pytest.approx(inches[1] / span[1])


def test_a_class_without_points_has_no_name_and_points_on_a_line_are_drawn():
    axes = latent_map(POINTS[:3], LABELS[:3], ["zero", "one"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["zero"]
    assert np.ptp(axes.get_ylim()) > 0


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match=r"points must be \(N, 2\)"):
        latent_map(POINTS, LABELS[:2], ["zero", "one"])
    with pytest.raises(ValueError, match="at most 10 classes"):
        latent_map(POINTS, LABELS, [str(k) for k in range(11)])
    with pytest.raises(ValueError, match="labels must name"):
        latent_map(POINTS, LABELS, ["zero"])


@pytest.mark.parametrize("sight", ["full", "protan", "deutan"])
def test_ten_colours_differ_for_every_kind_of_sight_and_from_the_paper(sight):
    distance = load_sight().distance
    assert min(distance(a, b, sight) for a, b in combinations(TEN, 2)) > 24
    assert min(distance(a, "#ffffff", sight) for a in TEN) > 24
