import pytest
import torch

from htcv_lib.mask_depth.rooms.compositing import Cameras, blur, developed, jpeg, photographed


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
