"""The map of the latents, and the drawing of a VAE that is told a label, from traces made by hand."""

import importlib.util
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from htcv_lib.networks import LayerShape as Layer
from htcv_lib.vae.figures import TEN, _called, _stages, draw_vae, latent_map

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


ENCODER = [
    Layer("0", "Sequential", (1, 1, 8, 8), (1, 4, 6, 6), 48),
    Layer("1", "MaxPool2d", (1, 4, 6, 6), (1, 4, 3, 3), 0),
    Layer("2", "Conv2d", (1, 4, 3, 3), (1, 5, 3, 3), 25),
    Layer("3", "AdaptiveAvgPool2d", (1, 5, 3, 3), (1, 5, 1, 1), 0),
    Layer("4", "Flatten", (1, 5, 1, 1), (1, 5), 0),
]
DECODER = [
    Layer("0", "Unflatten", (1, 2), (1, 2, 1, 1), 0),
    Layer("1", "ConvTranspose2d", (1, 2, 1, 1), (1, 3, 4, 4), 99),
    Layer("2", "Upsample", (1, 3, 4, 4), (1, 3, 8, 8), 0),
    Layer("3", "Conv2d", (1, 3, 8, 8), (1, 1, 8, 8), 27),
]
TWO_PATHS = [  # linear(image) + head(blocks(image)); the linear map runs between the others
    Layer("stem", "Conv2d", (1, 4, 4, 4), (1, 2, 4, 4), 74),
    Layer("linear", "Linear", (1, 64), (1, 5), 325),
    Layer("head", "Linear", (1, 32), (1, 5), 165),
]


def shown(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def count(figure, kind):
    return sum(isinstance(patch, kind) for patch in figure.axes[0].patches)


def overlaps(figure):
    """Pairs of texts that overlap, and texts that leave the figure."""
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    boxes = [text.get_window_extent(figure.canvas.get_renderer()) for text in texts]
    pairs = [(a.get_text(), b.get_text()) for k, (a, one) in enumerate(zip(texts, boxes, strict=True))
             for b, two in zip(texts[k + 1:], boxes[k + 1:], strict=True) if one.overlaps(two)]
    page = figure.bbox
    return pairs + [t.get_text() for t, b in zip(texts, boxes, strict=True)
                    if b.x0 < page.x0 or b.x1 > page.x1 or b.y0 < page.y0 or b.y1 > page.y1]


@pytest.mark.parametrize("narrow", [False, True])
def test_every_stage_is_named_with_its_shape_and_parameters(narrow):
    texts = shown(draw_vae(ENCODER, DECODER, 2, narrow=narrow))
    expected = {"image", "1 × 8 × 8", "block", "4 × 6 × 6", "48", "max pool", "conv 1×1", "5 × 3 × 3", "25",
                "mean pool, flatten", "unflatten", "transposed 4×4", "3 × 4 × 4", "99", "doubling", "conv 3×3", "27"}
    assert expected <= set(texts)


def test_stages_without_parameters_are_no_boxes():
    figure = draw_vae(ENCODER, DECODER, 2)
    # image, 2 stages; picture, 2 stages; mean, log-variance, z, prior, label; the posterior's frame
    assert count(figure, FancyBboxPatch) == 3 + 3 + 5 + 1


def test_the_latent_maps_and_the_labels_embeddings_are_counted():
    texts = shown(draw_vae(ENCODER, DECODER, 2, label_classes=7))
    assert texts.count("12") == 2  # linear maps 5 -> 2 with bias
    assert "1 of 7" in texts and texts.count("28") == 1  # two tables, 7 x 2


def test_a_conditional_model_tells_the_label_to_prior_and_decoder():
    plain, told = draw_vae(ENCODER, DECODER, 2), draw_vae(ENCODER, DECODER, 2, conditional=True)
    assert count(told, FancyArrowPatch) == count(plain, FancyArrowPatch) + 2
    assert "N(0, I)" in shown(plain) and "N(0, I)" not in shown(told)
    assert shown(told).count("40") == 2  # the posterior's tables and the prior's


def test_a_decoder_that_was_not_traced_is_one_box():
    texts = shown(draw_vae(ENCODER, [], 2, conditional=True))
    assert "decoder" in texts and texts.count("1 × 8 × 8") == 2  # image and picture


def test_the_shape_of_a_flattened_image_can_be_given():
    dense = [Layer("stem", "Linear", (1, 64), (1, 5), 325)]
    assert "64" in shown(draw_vae(dense, [], 2))
    assert shown(draw_vae(dense, [], 2, image=(1, 8, 8))).count("1 × 8 × 8") == 2


def test_two_paths_from_the_image_are_kept_apart_and_end_in_a_sum():
    boxes, _ = _stages(TWO_PATHS, "encoder")
    assert [(box.name, box.apart) for box in boxes] == [
        ("linear", False), ("conv 3×3", True), ("linear", False), ("sum", False)]
    assert boxes[-1].side is boxes[0] and boxes[2].params == 165


def test_an_embedding_in_the_decoder_is_where_the_label_arrives():
    layers = [DECODER[1], Layer("label", "Embedding", (1,), (1, 48), 480), DECODER[3]._replace(in_shape=(1, 3, 4, 4))]
    boxes, _ = _stages(layers, "decoder")
    assert [(box.told, box.arrival) for box in boxes] == [(False, ""), (True, "label · 480")]


def test_normalizations_and_unknown_kinds_have_readable_names():
    assert _called(Layer("", "LayerNorm", (1, 5), (1, 5), 10)) == "layer norm"
    assert _called(Layer("", "Residual", (1, 5), (1, 5), 10)) == "residual"
    assert _called(Layer("", "Upsample", (1, 3, 4, 4), (1, 3, 12, 12), 0)) == "upsample"


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("decoder", [DECODER, []])
@pytest.mark.parametrize("encoder", [ENCODER, TWO_PATHS])
def test_no_text_overlaps_another_or_leaves_the_page(encoder, decoder, narrow):
    for conditional in (False, True):
        figure = draw_vae(encoder, decoder, 512, conditional, 10, "A title", narrow, image=(1, 8, 8))
        assert overlaps(figure) == []


def test_no_encoder_is_an_error():
    with pytest.raises(ValueError, match="no encoder"):
        draw_vae([], DECODER, 2)
