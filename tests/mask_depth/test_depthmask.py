"""The 31 real triplets: complete, paired, white is far, and the copy in the repository is the pack's."""

import pytest
import torch

from htcv_lib.data.manifest import DataError, load_manifest
from htcv_lib.mask_depth.triplets import load_depthmask_sample, number, partners


@pytest.fixture(scope="module")
def sample():
    return load_depthmask_sample((40, 48))


def test_there_are_31_triplets_of_three_sets_in_their_order(sample):
    assert len(sample) == 31 and sample.sets == ["a"] * 5 + ["b"] * 16 + ["c"] * 10
    assert sample.names[0] == "a/26682" and sample.names[5] == "b/00" and sample.names[-1] == "c/09"
    assert sample.images.shape == (31, 3, 40, 48) and sample.images.dtype == torch.uint8
    assert sample.masks.shape == sample.depth.shape == (31, 1, 40, 48)


def test_every_picture_has_an_object_and_most_of_its_pixels_are_plain(sample):
    area = (sample.masks > 0.5).flatten(1).float().mean(dim=1)
    assert 0.02 < area.min() and area.max() < 0.2
    between = ((sample.masks > 0.02) & (sample.masks < 0.98)).float().mean()
    assert 0 < between < 0.08


def test_depth_spans_its_range_and_is_nearer_at_the_lower_edge_so_white_is_far(sample):
    depth = sample.depth
    assert depth.flatten(1).max(dim=1).values.min() > 0.75 and depth.flatten(1).min(dim=1).values.max() < 0.1
    lower, upper = depth[:, :, -5:].mean(dim=(1, 2, 3)), depth[:, :, :20].mean(dim=(1, 2, 3))
    assert (lower < upper).sum() >= 28


def test_the_object_is_nearer_than_the_rest_in_most_pictures_which_fails_if_files_were_mixed_up(sample):
    inside = sample.masks > 0.5
    near = [depth[chosen].mean() < depth[~chosen].mean() for depth, chosen in zip(sample.depth, inside, strict=True)]
    assert sum(near) >= 22


def test_the_bundled_sample_is_small():
    [file] = load_manifest("depthmask_sample/sample").files
    assert file.bundled.stat().st_size == file.size <= 200_000


def test_the_copy_in_the_repository_shows_what_the_pack_shows(packs):
    copy, pack = load_depthmask_sample(64), load_depthmask_sample(64, "depthmask_sample")
    assert copy.names == pack.names
    assert torch.equal(copy.mask_levels, pack.mask_levels)
    assert (copy.depth - pack.depth).abs().mean() < 0.01
    assert (copy.images.float() - pack.images.float()).abs().mean() < 8


def test_the_number_pairs_files_and_a_missing_partner_is_named():
    assert number("set_a_220/fg_bg_mask/fg_bg_mask_638.jpg") == "638" and number("x/00.png") == "00"
    members = {"s/fg_bg/fg_bg_1.jpg": b"", "s/fg_bg_mask/fg_bg_mask_1.jpg": b"", "s/depthmap/depth_11.jpg": b""}
    with pytest.raises(DataError, match="fg_bg_1.jpg: expected one partner in s/depthmap, found 0"):
        partners("s/fg_bg/fg_bg_1.jpg", members)
    members["s/depthmap/depth_1.jpg"] = b""
    assert partners("s/fg_bg/fg_bg_1.jpg", members)[2] == "s/depthmap/depth_1.jpg"
