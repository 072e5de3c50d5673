"""Statistics of sets, on pictures small enough to count."""

import math

import pytest
import torch

from htcv_lib.mask_depth.datasheet import AREAS, compare_sets, outline_contrast, row_rise, set_statistics
from htcv_lib.mask_depth.rooms.pets import StandingPets
from htcv_lib.mask_depth.triplets import TripletSet


def two_pictures():
    """4 x 5: the first has an object of 4 pixels at depth 0.2 before depth 0.6, the second none and is all 0.6."""
    image = torch.zeros(2, 3, 4, 5)
    image[1, 0] = 1.0  # the second is red
    mask, depth = torch.zeros(2, 1, 4, 5), torch.full((2, 1, 4, 5), 0.6)
    mask[0, 0, 1:3, 1:3] = 1
    depth[0, 0, 1:3, 1:3] = 0.2
    return image, mask, depth


def test_means_and_deviations_are_over_all_pixels():
    numbers = set_statistics(*two_pictures())
    assert numbers["pictures"] == 2
    assert numbers["red mean"] == pytest.approx(0.5) and numbers["red std"] == pytest.approx(0.5)
    assert numbers["blue mean"] == numbers["blue std"] == 0
    assert numbers["mask mean"] == pytest.approx(0.1)  # 4 of 40
    assert numbers["mask std"] == pytest.approx(0.3)  # sqrt(0.1 * 0.9)
    assert numbers["depth mean"] == pytest.approx(0.56)
    assert numbers["depth std"] == pytest.approx(0.12)  # 0.4 * 0.3


def test_areas_are_of_pictures_with_an_object_and_empty_ones_are_a_share():
    numbers = set_statistics(*two_pictures())
    assert numbers["empty masks"] == 0.5
    assert numbers["area median"] == pytest.approx(0.2)
    assert numbers["area 10-20 %"] == 1.0  # the bin holds its upper edge
    assert sum(value for name, value in numbers.items() if name.endswith("%")) == pytest.approx(1)


def test_the_object_is_nearer_than_its_surroundings_by_their_difference():
    image, mask, depth = two_pictures()
    assert set_statistics(image, mask, depth)["object nearer"] == pytest.approx(0.4)
    assert set_statistics(image, mask, 1 - depth)["object nearer"] == pytest.approx(-0.4)


def test_a_set_without_objects_has_no_areas_and_no_outlines():
    image, mask, depth = two_pictures()
    numbers = set_statistics(image, mask * 0, depth)
    assert numbers["empty masks"] == 1
    for name in ("area median", "area 10-20 %", "object nearer", "image outline"):
        assert math.isnan(numbers[name])


def test_depth_that_grows_upwards_by_a_quarter_each_row_rises_by_one_over_four_rows():
    depth = torch.tensor([0.75, 0.5, 0.25, 0.0]).view(1, 1, 4, 1).expand(1, 1, 4, 5)
    assert row_rise(depth).tolist() == pytest.approx([1.0])
    assert row_rise(depth.flip(2)).tolist() == pytest.approx([-1.0])
    numbers = set_statistics(torch.zeros(1, 3, 4, 5), torch.zeros(1, 1, 4, 5), depth)
    assert numbers["depth rise"] == pytest.approx(1) and numbers["depth rises"] == 1
    assert numbers["depth by row"] == pytest.approx(1)


def test_rows_explain_nothing_of_a_depth_that_varies_along_them():
    depth = torch.tensor([0.0, 1.0]).repeat(2).view(1, 1, 1, 4).expand(1, 1, 3, 4)
    numbers = set_statistics(torch.zeros(1, 3, 3, 4), torch.zeros(1, 1, 3, 4), depth)
    assert numbers["depth by row"] == pytest.approx(0, abs=1e-6)


def test_an_outline_twice_as_steep_as_a_ramp_has_contrast_two():
    inside = torch.zeros(1, 1, 3, 6, dtype=torch.bool)
    inside[..., 3:] = True
    values = torch.tensor([0.0, 1, 2, 4, 5, 6]).view(1, 1, 1, 6).expand(1, 1, 3, 6)
    assert outline_contrast(values, inside).tolist() == pytest.approx([2.0])
    assert outline_contrast(values, inside | True).isnan().all()  # no outline
    assert outline_contrast(inside.float(), inside).tolist() == [math.inf]  # nothing else has a slope


def test_the_outline_is_found_across_rows_too():
    inside = torch.zeros(1, 1, 6, 3, dtype=torch.bool)
    inside[:, :, 3:] = True
    values = torch.tensor([0.0, 1, 2, 5, 6, 7]).view(1, 1, 6, 1).expand(1, 1, 6, 3)
    assert outline_contrast(values, inside).tolist() == pytest.approx([3.0])


def test_sets_are_compared_by_name_and_only_at_one_size():
    image, mask, depth = ((255 * field).round().byte() for field in two_pictures())
    first = TripletSet(image, mask, depth, ["0", "1"])
    table = compare_sets({"real": first, "made": first.subset([0])})
    assert list(table) == ["real", "made"]
    assert table["made"]["pictures"] == 1 and table["real"]["depth mean"] == pytest.approx(0.56)
    wider = TripletSet(image.repeat(1, 1, 1, 2), mask.repeat(1, 1, 1, 2), depth.repeat(1, 1, 1, 2), ["0", "1"])
    with pytest.raises(ValueError, match="different sizes"):
        compare_sets({"real": first, "wide": wider})


@pytest.mark.parametrize(("change", "message"), [
    (lambda image, mask, depth: (image, mask[:, 0], depth), "needs image"),
    (lambda image, mask, depth: (image * 255, mask, depth), r"floats in \[0, 1\]"),
    (lambda image, mask, depth: ((image * 255).byte(), mask, depth), r"floats in \[0, 1\]")])
def test_fields_of_other_shapes_and_ranges_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        set_statistics(*change(*two_pictures()))


def test_a_histogram_must_cover_all_areas():
    with pytest.raises(ValueError, match="increase from 0 to 1"):
        set_statistics(*two_pictures(), areas=AREAS[1:])


def test_a_pool_of_bytes_has_the_statistics_of_its_values():
    pool = StandingPets(torch.full((2, 3, 4, 6), 51, dtype=torch.uint8), torch.zeros(2, 3, 4, 6, dtype=torch.uint8),
                        torch.full((2, 1, 4, 6), 255, dtype=torch.uint8), torch.full((2, 1, 4, 6), 0.5).half())
    numbers = compare_sets({"pool": pool})["pool"]
    assert (numbers["mask mean"], numbers["depth mean"]) == (1.0, 0.5)
    assert numbers["red mean"] == pytest.approx(0.2)
