import pytest
import torch

from htcv_lib.data.textures import Textures
from htcv_lib.decomposer.paintings.lit import LitSequences, clean_picture
from htcv_lib.image import linear, srgb

pytestmark = pytest.mark.slow


def maker(size=24, views=6, **settings):
    """Noise as pictures."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (5, 3, size, size), dtype=torch.uint8, generator=generator)
    return LitSequences(Textures(pictures, 3, list("abcde")), views, **settings)


def equal(first, second):
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def plain():
    """Ten sequences without noise and without varnish."""
    return [maker(noise=False, varnish=False).sequence(i) for i in range(10)]


def test_a_sequence_depends_on_its_seed_and_number_only():
    made = maker()
    third = made.sequence(3)
    made.sequence(0)
    assert equal(made.sequence(3), third) and equal(maker().sequence(3), third)
    assert not equal(made.sequence(4), third) and not equal(maker(seed=1).sequence(3), third)


def test_more_views_leave_the_first_ones_as_they_are():
    few, many = maker(views=2).sequence(0), maker(views=5).sequence(0)
    assert torch.allclose(many.image[:, :2], few.image, atol=1e-5) and torch.equal(many.original, few.original)
    assert torch.allclose(many.irradiance[:, :2], few.irradiance, rtol=1e-4)


def test_fields_have_the_shapes_and_ranges_they_say(plain):
    for made in plain:
        assert {name: tuple(getattr(made, name).shape) for name in made._fields[:-1]} == {
            "image": (3, 6, 24, 24), "original": (3, 1, 24, 24), "mask": (1, 6, 24, 24), "occlusion": (3, 6, 24, 24),
            "irradiance": (3, 6, 24, 24), "clean": (3, 6, 24, 24)}
        assert made.irradiance.min() >= 0 and made.irradiance.isfinite().all()
        for field in (made.image, made.original, made.mask, made.occlusion):
            assert 0 <= field.min() and field.max() <= 1


def test_a_matte_pixel_that_nothing_hides_is_the_clean_one_under_its_irradiance(plain):
    unclipped = 0
    for made in plain:
        expected = srgb((linear(made.original) * made.irradiance).clamp(0, 1))
        free = (made.mask == 0).expand_as(made.image)
        assert torch.allclose(made.image[free], expected[free], atol=1e-5)
        unclipped += (free & (expected > 0.1) & (expected < 0.99)).sum().item()
    assert unclipped > 10_000


def test_a_pixel_full_of_a_solid_shows_the_solid_and_others_a_mixture_in_linear_light(plain):
    mixed = 0
    for made in plain:
        full = (made.mask == 1).expand_as(made.image)
        assert torch.allclose(made.image[full], made.occlusion[full], atol=1e-4)
        behind = linear(made.original) * made.irradiance
        mixture = srgb(torch.lerp(behind, linear(made.occlusion), made.mask).clamp(0, 1))
        edge = ((made.mask > 0) & (made.mask < 1) & (made.occlusion < 0.999).all(0, keepdim=True)).expand_as(made.image)
        assert torch.allclose(made.image[edge], mixture[edge], atol=1e-3)
        assert (made.occlusion[(made.mask == 0).expand_as(made.image)] == 0).all()
        mixed += edge.sum().item()
    assert mixed > 100


def test_varnish_only_adds_light_and_only_to_views(plain):
    gained = 0.0
    for i, matte in enumerate(plain):
        glossy = maker(noise=False).sequence(i)
        assert torch.equal(glossy.irradiance, matte.irradiance) and torch.equal(glossy.mask, matte.mask)
        free = (matte.mask == 0).expand_as(matte.image)
        assert (glossy.image >= matte.image - 1e-6)[free].all()
        gained += (glossy.image - matte.image)[free].mean().item()
    assert gained / len(plain) > 1e-3


def test_noise_changes_the_image_by_some_levels_and_no_truth():
    for i in range(3):
        noisy, quiet = maker().sequence(i), maker(noise=False).sequence(i)
        assert torch.equal(noisy.clean, quiet.image) and torch.equal(noisy.occlusion, quiet.occlusion)
        middle = (quiet.image > 0.3) & (quiet.image < 0.9)
        deviation = (noisy.image - quiet.image)[middle].std().item()
        assert 0.2 / 255 < deviation < 6 / 255
        assert noisy.image.max() <= 1 and noisy.image.min() >= 0


def test_views_range_from_dark_to_overexposed_and_most_have_something_in_front(plain):
    means = torch.cat([made.image.mean((0, 2, 3)) for made in plain])
    assert means.min() < 0.2 and means.max() > 0.75
    hidden = torch.cat([(made.mask > 0.5).flatten(2).any(2)[0] for made in plain]).float().mean().item()
    assert 0.5 < hidden < 0.9


def test_clean_pictures_are_mirrored_half_of_the_time_and_half_are_of_the_grounds():
    made = maker(size=16, views=1)
    found = [clean_picture(made.textures, 0, i) for i in range(300)]
    assert sum(mirrored for _, mirrored in found) / 300 == pytest.approx(0.5, abs=0.1)
    assert sum(chosen < 3 for chosen, _ in found) / 300 == pytest.approx(0.8, abs=0.08)  # 1/2 + 1/2 * 3/5
    assert {chosen for chosen, _ in found} == set(range(5))
    for i, (chosen, mirrored) in enumerate(found[:6]):
        picture = made.bank[chosen].flip(-1) if mirrored else made.bank[chosen]
        assert torch.equal(made.sequence(i).original[:, 0], picture.float() / 255)
