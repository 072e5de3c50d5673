import numpy as np
import pytest

from htcv_lib.data.manifest import DataError
from htcv_lib.data.textures import identity_split
from htcv_lib.mask_depth.rooms.pets import cut_out, load_cutouts


def photograph(top=10, bottom=50, left=20, right=40, height=60, width=70):
    """A red pet with a border of four pixels, half blue, on blue."""
    trimap = np.full((height, width), 2, np.uint8)
    trimap[max(top - 4, 0) : bottom + 4, max(left - 4, 0) : right + 4] = 3
    trimap[top:bottom, left:right] = 1
    colour = np.zeros((height, width, 3), np.uint8)
    colour[..., 2] = 200
    colour[trimap == 3] = (100, 0, 100)
    colour[trimap == 1] = (200, 0, 0)
    return colour, trimap


def test_a_pet_fills_the_square_and_keeps_its_aspect():
    picture, aspect = cut_out(*photograph(), size=48)
    assert picture.shape == (4, 48, 48) and picture.dtype == np.uint8
    assert aspect == pytest.approx(26 / 46)  # 20 by 40 pixels, and three of the border's four on each side
    assert picture[3, 24, 24] == 255
    assert (picture[3, 24, [0, -1]] < 100).all() and (picture[3, [0, -1], 24] < 100).all()


def test_alpha_rises_through_the_border_and_is_a_half_in_its_middle():
    picture, _ = cut_out(*photograph(), size=46)  # 46 rows of 46: rows are not resized
    # the border's pixels are 1, 2, 3, 4 from the background and 4, 3, 2, 1 from the pet: shares 0.2, 0.4, 0.6, 0.8,
    # twice as steep about a half: -0.1 (none), 0.3, 0.7, 1.1 (all)
    assert picture[3, :5, 23].tolist() == [76, 178, 255, 255, 255]


def test_no_blue_of_the_old_background_is_left_in_the_border():
    picture, _ = cut_out(*photograph(), size=48)
    assert picture[2].max() <= 2 and picture[0].min() >= 195


@pytest.mark.parametrize("cut", [{"left": 0}, {"top": 0}, {"right": 70}, {"bottom": 60}])
def test_a_pet_that_the_photograph_cuts_off_is_left_out(cut):
    assert cut_out(*photograph(**cut), size=16) is None


def test_a_paw_at_the_lower_edge_is_no_reason():
    colour, trimap = photograph(bottom=50)
    trimap[50:, 20:26] = 1  # 6 of 20 columns reach the edge
    assert cut_out(colour, trimap, size=16) is not None


def test_a_trimap_without_a_pet_gives_nothing():
    colour, trimap = photograph()
    assert cut_out(colour, np.full_like(trimap, 2), size=16) is None


def test_the_samples_pets_belong_to_one_split_each():
    banks = {split: load_cutouts("oxford_pets_630/sample", split, 32) for split in ("train", "val", "test")}
    assert {split: len(bank.names) for split, bank in banks.items()} == {"train": 145, "val": 19, "test": 38}
    for split, bank in banks.items():
        assert {identity_split(name) for name in bank.names} == {split}
        assert len(bank.pictures) == len(bank.aspects) == len(set(bank.names))


def test_an_unknown_split_is_refused():
    with pytest.raises((ValueError, DataError), match="split must be one of train, val, test, got 'dev'"):
        load_cutouts("oxford_pets_630/sample", "dev")
