import pytest
import torch

from htcv_lib.mask_depth.rooms.compositing import (
    Cameras,
    DecoyLook,
    Look,
    blur,
    contact_shadow,
    decoy,
    developed,
    harmonised,
    jpeg,
    over,
    photographed,
    shifted,
)
from htcv_lib.mask_depth.rooms.geometry import Billboards, Rooms, cast, contact_row


def room():
    one, five = torch.ones(1), torch.ones(1, 5)
    return Rooms(torch.tensor([[1.0, 3.0, 6.0, 5.0, 5.0]]), 0.2 * one, 0.3 * one, one, five, torch.zeros(1, 5, 2),
                 0 * five, torch.zeros(1, 3), one, one, 0 * one, torch.zeros(1, 3))


def board(depth=2.0, metres=0.8, column=0.2):
    one = torch.ones(1)
    seen = room().focal * metres / depth
    return Billboards(torch.zeros(1, dtype=torch.int64), depth * one, metres * one, column * one,
                      contact_row(room(), depth * one), seen, seen, torch.tensor([False]))


def look(strength=0.0, contrast=1.0, shadow=0.5):
    return Look(*(torch.tensor([value]) for value in (strength, contrast, shadow)))


def test_the_shadow_is_darkest_under_the_contact_and_lies_on_the_floor_only():
    rooms, boards = room(), board()
    hits = cast(rooms, 256, 256)
    left = contact_shadow(rooms, hits, boards, torch.tensor([0.5]))[0, 0]
    row, column = divmod(left.argmin().item(), 256)
    assert left.min().item() == pytest.approx(0.5, abs=0.02)
    assert (row + 0.5) / 128 - 1 == pytest.approx(boards.row.item(), abs=0.04)
    assert (column + 0.5) / 128 - 1 == pytest.approx(boards.column.item(), abs=0.04)
    assert (left[hits.surface[0] != 0] == 1).all()
    wide, deep = (left < 0.8).any(0).sum().item(), (left < 0.8).any(1).sum().item()
    assert wide > 1.5 * deep  # an ellipse seen from above and aside


def test_no_strength_no_shadow():
    assert (contact_shadow(room(), cast(room(), 16, 16), board(), torch.zeros(1)) == 1).all()


def test_alpha_mixes_linearly():
    scene, colour = torch.full((1, 3, 1, 3), 0.2), torch.full((1, 3, 1, 3), 0.6)
    assert over(scene, colour, torch.tensor([[[0.0, 0.5, 1.0]]]))[0, 0, 0].tolist() == pytest.approx([0.2, 0.4, 0.6])


def test_full_strength_takes_on_the_brightness_of_the_surroundings_and_none_changes_nothing():
    scene = torch.full((1, 3, 16, 16), 0.11)
    colour = torch.full((1, 3, 16, 16), 0.43)
    colour[..., :8] = 0.23  # mean 0.33
    alpha = torch.ones(1, 16, 16)
    same = harmonised(colour, alpha, scene, board(), look(strength=0.0))
    torch.testing.assert_close(same, colour)
    moved = harmonised(colour, alpha, scene, board(), look(strength=1.0))
    assert moved.mean().item() == pytest.approx(0.33 * 0.12 / 0.34, rel=1e-3)
    flat = harmonised(colour, alpha, scene, board(), look(contrast=0.0))
    assert flat.std().item() == pytest.approx(0, abs=1e-6) and flat.mean().item() == pytest.approx(0.33, abs=1e-6)


@pytest.mark.parametrize(("by", "expected"), [
    (0.0, [1, 2, 3, 4, 5, 6, 7, 8]), (1.0, [8, 1, 2, 3, 4, 5, 6, 7]), (-1.0, [2, 3, 4, 5, 6, 7, 8, 1]),
    (0.25, [2.75, 1.75, 2.75, 3.75, 4.75, 5.75, 6.75, 7.75]), (-1.5, [2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 4.5, 1.5])])
def test_shifting_reads_between_two_neighbours(by, expected):
    line = torch.arange(1.0, 9).view(1, 1, 1, 8)
    moved = shifted(line, torch.full((1, 1, 1, 1), by), -1)
    assert moved.flatten().tolist() == pytest.approx(expected)


def test_a_decoy_changes_the_picture_inside_its_shape_only_and_only_a_little():
    scene = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    alpha = torch.zeros(1, 16, 16)
    alpha[:, 4:12, 4:12] = 1
    changed = decoy(scene, alpha, DecoyLook(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.05, 1.0, 0.95]])))
    assert torch.equal(changed[..., :4, :], scene[..., :4, :])
    torch.testing.assert_close(changed[0, :, 6, 6], scene[0, :, 6, 6] * torch.tensor([1.05, 1.0, 0.95]))
    moved = decoy(scene, alpha, DecoyLook(torch.tensor([[1.0, 0.0]]), torch.ones(1, 3)))
    torch.testing.assert_close(moved[0, :, 7, 7], scene[0, :, 6, 7])


def camera(sigma=0.01, read=0.0, shot=0.0, quality=95, contrast=1.0):
    values = (torch.tensor([value]) for value in (sigma, read, shot, quality, contrast))
    return Cameras(*values)


def test_a_flat_picture_stays_as_it_is():
    flat = torch.full((1, 3, 16, 16), 0.4)
    assert (photographed(flat, camera(sigma=0.7), torch.zeros_like(flat)) == 102).all()


def test_a_blurred_point_is_a_gaussian():
    point = torch.zeros(1, 1, 9, 9)
    point[..., 4, 4] = 1
    seen = blur(point, torch.tensor([0.6]))[0, 0]
    assert seen.sum().item() == pytest.approx(1, abs=1e-5)
    assert (seen[4, 5] / seen[4, 4]).item() == pytest.approx(2.718281828 ** (-0.5 / 0.36), rel=1e-4)
    torch.testing.assert_close(seen, seen.T)


def test_the_noise_has_the_strength_of_the_sensor():
    flat = torch.full((1, 3, 64, 64), 0.25)
    noise = torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    cameras = camera(read=0.03, shot=0.08, quality=100)  # 0.03 and 0.08 * sqrt(0.25) = 0.04: together 0.05
    seen = photographed(flat, cameras, noise).float() / 255
    luma = (seen * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1)  # JPEG halves the size of the colours
    assert luma.std().item() == pytest.approx(0.05 * (0.299**2 + 0.587**2 + 0.114**2) ** 0.5, rel=0.1)


def test_a_lower_quality_loses_more():
    picture = torch.randint(0, 256, (1, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    picture = picture.expand(-1, 3, -1, -1)  # grey: colours are stored at half the size
    lost = [(jpeg(picture, torch.tensor([q])).float() - picture.float()).square().mean().item() for q in (95, 60)]
    assert lost[1] > 1.3 * lost[0] > 0


def test_every_picture_has_its_own_camera():
    flat = torch.full((2, 3, 16, 16), 0.5)
    cameras = Cameras(*(torch.cat(pair) for pair in zip(camera(), camera(read=0.2), strict=True)))
    seen = photographed(flat, cameras, torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    assert seen[0].float().std() == 0 and seen[1].float().std() > 10


def test_the_tone_curve_turns_about_a_displayed_45_percent():
    light = torch.tensor([0.45**2, 0.25, 0.0, 4.0]).view(1, 1, 1, 4)
    assert developed(light, camera(contrast=2.0)).flatten().tolist() == pytest.approx([0.45, 0.55, 0, 1])
