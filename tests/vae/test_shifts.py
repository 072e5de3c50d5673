"""Shifts and rotations of small pictures."""

import pytest
import torch

from htcv_lib.vae.data import RandomShift, RandomTurn, small_augmentation


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_shift_moves_whole_pixels_and_mirrors_the_border():
    image = torch.arange(35.0).view(1, 1, 5, 7).repeat(20, 1, 1, 1)
    moved = RandomShift(2)({"image": image, "label": torch.arange(20)}, generator())
    centres = moved["image"][:, 0, 2, 3]  # was 17 in row 2, column 3
    rows, columns = centres.div(7).floor() - 2, centres.remainder(7) - 3
    assert rows.abs().max() == 2 and columns.abs().max() == 2 and len(centres.unique()) > 5
    assert set(moved["image"].flatten().tolist()) <= set(range(35))  # no value is invented
    assert moved["label"].tolist() == list(range(20))


def test_each_image_gets_its_own_shift_in_all_its_channels():
    image = torch.rand(1, 1, 6, 5).expand(8, 3, 6, 5)
    moved = RandomShift(2)({"image": image}, generator())["image"]
    assert torch.equal(moved[:, 0], moved[:, 2]) and not torch.equal(moved[0], moved[1])


def test_no_turn_and_no_shift_changes_nothing():
    image = torch.rand(3, 1, 8, 6)
    assert torch.allclose(RandomTurn(0.0, 0.0)({"image": image}, generator())["image"], image, atol=1e-5)


def test_a_turn_keeps_what_is_in_the_middle_and_brings_in_black():
    image = torch.ones(16, 1, 9, 9)
    turned = RandomTurn(30.0, 0.1)({"image": image}, generator())["image"]
    assert torch.allclose(turned[:, 0, 4, 4], torch.ones(16), atol=1e-5) and turned[:, 0, 0, 0].min() < 0.5


def test_an_unknown_recipe_is_refused():
    assert small_augmentation("none") is None
    with pytest.raises(ValueError, match="flip_shift"):
        small_augmentation("mixup")
