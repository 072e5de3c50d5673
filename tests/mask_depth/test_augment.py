import pytest
import torch

from htcv_lib.mask_depth.augment import (
    BrightnessContrast,
    ColourShift,
    CutSquare,
    FlipSides,
    Mosaic,
    PixelNoise,
    TurnAll,
    depth_augmentation,
)

FIELDS = ("image", "background", "mask", "depth")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(count=6, height=16, width=24):
    image = torch.rand(count, 3, height, width, generator=generator(1)) * 0.5 + 0.25
    mask = image[:, :1].round()
    return {"image": image, "background": image.clone(), "mask": mask, "depth": image[:, 1:2].clone(),
            "index": torch.arange(count)}


@pytest.mark.parametrize("piece", [BrightnessContrast(), ColourShift(), PixelNoise(), CutSquare()])
def test_colour_noise_and_cutout_change_the_pictures_only(piece):
    before = batch()
    after = piece(before, generator())
    assert not any(torch.equal(after[name], before[name]) for name in ("image", "background"))
    assert torch.equal(after["mask"], before["mask"]) and torch.equal(after["depth"], before["depth"])
    assert 0 <= after["image"].min() and after["image"].max() <= 1


@pytest.mark.parametrize("piece", [FlipSides(), TurnAll(0.0), Mosaic(1.0)])
def test_geometry_moves_all_fields_alike(piece):
    before = batch()
    after = piece(before, generator())
    assert torch.equal(after["image"], after["background"])
    torch.testing.assert_close(after["depth"], after["image"][:, 1:2])  # as before
    if not isinstance(piece, TurnAll):
        assert torch.equal(after["mask"], after["image"][:, :1].round())
        assert not torch.equal(after["image"], before["image"])


def test_brightness_and_contrast_are_as_computed_by_hand_and_the_same_for_both_pictures():
    before = batch() | {"background": batch()["image"] * 0.5}
    after = BrightnessContrast(0.2, 0.3)(before, generator(4))
    draw = generator(4)
    bright, contrast = (1 - x + 2 * x * torch.rand(6, generator=draw) for x in (0.2, 0.3))
    mean = (before["image"][2] * bright[2]).mean()
    for name in ("image", "background"):
        expected = mean + contrast[2] * (before[name][2] * bright[2] - mean)
        torch.testing.assert_close(after[name][2], expected.clamp(0, 1))


def test_a_colour_shift_is_one_number_per_channel_of_a_picture():
    before = batch()
    shift = ColourShift(0.1)(before, generator())["image"] - before["image"]
    assert shift.flatten(2).std(2).max() < 1e-6
    assert len(shift[:, :, 0, 0].flatten().unique()) == 18 and shift.abs().max() <= 0.1


def test_noise_is_not_the_same_in_both_pictures():
    after = PixelNoise(0.1)(batch(), generator())
    assert not torch.equal(after["image"], after["background"])


def test_flipping_for_sure_mirrors_every_field():
    before = batch()
    after = FlipSides(1.0)(before, generator())
    assert all(torch.equal(after[name], before[name].flip(-1)) for name in FIELDS)


def test_turning_moves_a_point_on_a_circle_in_pixels():
    one = {"image": torch.zeros(1, 3, 33, 65)}
    one["image"][..., 16, 44:47] = 1  # 13 pixels right of the middle of a wide picture
    for seed in range(3):
        angle = (2 * torch.rand(1, generator=generator(seed)) - 1) * torch.pi / 6
        turned = TurnAll(30.0)(one, generator(seed))["image"][0, 0]
        rows, columns = torch.meshgrid(torch.arange(33.0) - 16, torch.arange(65.0) - 32, indexing="ij")
        at = [(turned * axis).sum() / turned.sum() for axis in (rows, columns)]
        assert at[1].item() == pytest.approx(13 * angle.cos().item(), abs=0.5)
        assert abs(at[0].item()) == pytest.approx(13 * abs(angle.sin().item()), abs=0.5)


def test_depth_is_never_mixed_by_turning():
    before = batch()
    after = TurnAll(10.0)(before, generator())
    assert set(after["depth"].flatten().tolist()) <= set(before["depth"].flatten().tolist())


def test_a_mosaic_is_four_crops_of_pictures_of_the_batch_in_their_own_size():
    count, height, width = 8, 20, 30
    rows, columns = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    place = torch.stack([rows, columns]).expand(count, -1, -1, -1)
    number = torch.arange(float(count)).view(-1, 1, 1, 1).expand(-1, 1, height, width)
    after = Mosaic(1.0)({"image": torch.cat([number, place], 1)}, generator())["image"]
    for i, (source, row, column) in enumerate(after):
        assert source[0, 0] == i  # the first quarter is the picture's own
        step_row, step_column = row.diff(dim=0), column.diff(dim=1)
        assert (step_row == 1).all(1).sum() == height - 2  # crops are not resized: one seam
        assert (step_column == 1).all(0).sum() >= width - 2
        assert len(source.unique()) > 1
    assert after[:, 1].min() >= 0 and after[:, 1].max() < height and after[:, 2].max() < width


def test_a_mosaic_that_is_not_drawn_leaves_the_picture_whole():
    before = batch()
    after = Mosaic(0.0)(before, generator())
    assert all(torch.equal(after[name], before[name]) for name in FIELDS)


def test_the_cut_square_is_grey_and_a_quarter_to_half_as_wide():
    before = batch(height=32, width=32)
    hidden = (CutSquare()(before, generator())["image"] != before["image"]).all(1)
    assert (CutSquare()(before, generator())["image"].permute(0, 2, 3, 1)[hidden] == 0.5).all()
    assert hidden.flatten(1).sum(1).max() <= 17 * 17 and hidden.flatten(1).any(1).all()


def test_recipes_have_names_that_can_be_joined():
    assert depth_augmentation("none") is None
    assert len(depth_augmentation("light+rgb+noise+mosaic+flip+turn+cutout").pieces) == 7
    with pytest.raises(ValueError, match="none or of light, rgb, .* joined by [+], got 'blur'"):
        depth_augmentation("light+blur")
