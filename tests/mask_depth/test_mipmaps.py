import pytest
import torch

from htcv_lib.mask_depth.rooms.geometry import mip_chain, sample_chains


def pictures():
    return torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def sampled(chain, x, y, footprint, which=0):
    """Sample at pixel position (x, y) of level 0."""
    u, v = torch.tensor([[[x / 16]]]), torch.tensor([[[y / 16]]])
    return sample_chains(chain.float(), which, u, v, torch.tensor(footprint))[0, :, 0, 0]


def test_the_centre_of_a_pixel_seen_from_near_is_that_pixel():
    images = pictures()
    torch.testing.assert_close(sampled(mip_chain(images)[:1], 3.5, 9.5, 1.0), images[0, :, 9, 3].float())


def test_from_twice_as_far_the_mean_of_four_pixels_is_seen():
    images = pictures()
    mean = images[0, :, 8:10, 2:4].float().mean((1, 2))
    torch.testing.assert_close(sampled(mip_chain(images)[:1], 3.0, 9.0, 2.0), mean, atol=0.51, rtol=0)


@pytest.mark.parametrize(("footprint", "square"), [(4.0, 4), (8.0, 8), (16.0, 16), (1000.0, 16)])
def test_every_level_holds_its_area_mean(footprint, square):
    images = pictures()
    mean = images[0, :, 16 - square :, :square].float().mean((1, 2))
    found = sampled(mip_chain(images)[:1], square / 2, 16 - square / 2, footprint)
    torch.testing.assert_close(found, mean, atol=2.0, rtol=0)


def test_nothing_of_the_next_chain_or_level_shines_through_at_the_edge():
    white = torch.full((1, 3, 16, 16), 255, dtype=torch.uint8)
    chains = mip_chain(torch.cat([white, 0 * white, white])).transpose(0, 1).flatten(1, 2)[None]  # (1, 3, 72, 16)
    for footprint in (1.0, 2.0, 4.0, 8.0):
        for x in (0.0, 8.0, 16.0):
            for y in (0.0, 16.0):
                assert sampled(chains, x, y, footprint, which=1).tolist() == pytest.approx([0, 0, 0], abs=1e-3)
                assert sampled(chains, x, y, footprint, which=2).tolist() == pytest.approx([255] * 3, abs=1e-3)


def test_a_side_that_cannot_be_halved_four_times_is_refused():
    with pytest.raises(ValueError, match="a side that 16 divides, got 24 x 24"):
        mip_chain(torch.zeros(1, 3, 24, 24, dtype=torch.uint8))
