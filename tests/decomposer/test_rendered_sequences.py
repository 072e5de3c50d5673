"""The rendered sequences: complete, consistent with their own physics, and the copy in the repository is the pack's."""

import hashlib
import io

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from htcv_lib.data.manifest import DataError, load_manifest
from htcv_lib.decomposer.sequences import load_rendered, occluder_light, rendered_info
from htcv_lib.image import linear, srgb

SAMPLE = "rendered_sequences/sample"


@pytest.fixture(scope="module")
def sample():
    return {split: load_rendered(split, 64, SAMPLE) for split in ("val", "test")}


def test_the_sample_has_two_sequences_for_validation_and_four_others_for_testing_with_all_fields(sample):
    assert sample["val"].names == ["032", "044"] and sample["test"].names == ["030", "031", "042", "043"]
    assert {name: (tuple(value.shape), value.dtype) for name, value in sample["test"].tensors().items()} == {
        "image": ((4, 3, 10, 64, 64), torch.uint8), "original": ((4, 3, 1, 64, 64), torch.uint8),
        "mask": ((4, 1, 10, 64, 64), torch.uint8), "occlusion": ((4, 3, 10, 64, 64), torch.uint8),
        "irradiance": ((4, 3, 10, 64, 64), torch.float16)}


def test_there_is_no_split_to_train_on():
    for name in (SAMPLE, "rendered_sequences"):
        assert set(load_manifest(name).splits) == {"val", "test"}
    with pytest.raises(DataError, match="no split 'train'; it has val, test"):
        load_rendered("train", 32, SAMPLE)


def test_where_no_solid_is_seen_views_are_the_painting_times_the_irradiance_but_for_gloss(sample):
    """Fails if fields are mixed up: with the irradiance of another view the error is several times as large."""
    data = sample["test"]
    painting, light = linear(data.originals), data.irradiances.float()
    bare = (data.masks == 0).expand_as(data.images)
    def error(irradiance):
        return (srgb((painting * irradiance).clamp(0, 1)) - data.images / 255)[bare].abs().mean()
    assert error(light) < 0.06
    assert error(light.roll(1, dims=2)) > 3 * error(light)
    assert error(light.flip(-1)) > 1.5 * error(light)


def test_the_colour_of_occluders_is_there_where_the_mask_is_and_that_of_the_view_where_it_is_full(sample):
    for data in sample.values():
        mask = data.masks.expand_as(data.images)
        assert not data.occlusions[mask == 0].any()
        full = mask == 255
        assert 0.01 < full.float().mean() < 0.15
        assert (data.occlusions[full].int() - data.images[full].int()).abs().max() <= 1


def test_a_pixel_half_covered_shows_the_light_of_the_covered_half():
    light = torch.tensor([0.2, 0.8]).view(1, 1, 1, 2).expand(3, 1, 2, 2)  # left, right
    left = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2).expand(1, 1, 2, 2)
    torch.testing.assert_close(occluder_light(light, left, 1), torch.full((3, 1, 1, 1), 0.2))
    assert not occluder_light(light, torch.zeros_like(left), 1).any()
    finer = torch.tensor([1.0, 1.0, 1.0, 0.0]).view(1, 1, 1, 4).expand(1, 1, 2, 4)  # all of the left, half the right
    torch.testing.assert_close(occluder_light(light, finer, 1), torch.full((3, 1, 1, 1), (0.2 + 0.5 * 0.8) / 1.5))


def test_smaller_pictures_keep_the_mean_light(sample):
    small = load_rendered("test", (20, 24), SAMPLE)
    assert small.images.shape == (4, 3, 10, 20, 24)
    for ours, larger in ((linear(small.images), linear(sample["test"].images)),
                         (small.masks.float() / 255, sample["test"].masks.float() / 255),
                         (small.irradiances.float(), sample["test"].irradiances.float())):
        torch.testing.assert_close(ours.mean((-2, -1)), larger.mean((-2, -1)), atol=2e-3, rtol=2e-3)


def test_a_size_above_the_stored_one_is_refused():
    with pytest.raises(ValueError, match="64 x 64 pixels cannot be shown at 128 x 128"):
        load_rendered("val", 128, SAMPLE)


def test_what_was_rendered_is_told_in_the_order_of_the_set():
    info = rendered_info("val", SAMPLE)
    assert [entry["name"] for entry in info] == ["032", "044"]
    assert all(len(entry["views"]) == 10 and 0.12 <= view["light_scale"] <= 0.9 for entry in info
               for view in entry["views"])


def test_views_with_solids_are_those_with_a_mask(sample):
    for split, data in sample.items():
        for i, entry in enumerate(rendered_info(split, SAMPLE)):
            for t, view in enumerate(entry["views"]):
                if not view["solids"]:
                    assert not data.masks[i, :, t].any()


def test_the_bundled_sample_is_small():
    [file] = load_manifest(SAMPLE).files
    assert file.bundled.stat().st_size == file.size <= 500_000


@pytest.fixture
def handmade(tmp_path, monkeypatch, archived, encoded):
    """A pack of one sequence: a grey painting; view t has the level 20 t, a solid covers the left half of view 3, the
    irradiance of view 5 is 2. Some of its files can be spoilt."""
    def grey(level, kind="PNG", **how):
        return encoded(np.full((8, 8, 3), level, np.uint8), kind, **how)

    def mask(there):
        stream = io.BytesIO()
        Image.fromarray(np.repeat([[255 * there] * 4 + [0] * 4], 8, axis=0).astype(np.uint8)).convert("1").save(
            stream, "PNG")
        return stream.getvalue()

    def make(**spoilt):
        members = {"007/gt.png": grey(128), "007/info.json": b"{}"}
        for t in range(10):
            stored = 137 if t == 5 else 0  # a quarter of white, which stands for 8
            members |= {f"007/{t}.png": grey(20 * t), f"007/{t}-m.png": mask(t == 3),
                        f"007/{t}-irradiance.webp": grey(stored, "WEBP", lossless=True)}
        path = archived(tmp_path / "data/pack.tar", members | {name.replace("_", "/"): b"" for name in spoilt})
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        manifest = {"name": "pack", "title": "t", "homepage": None, "license": "l", "cite": "c", "fields": {},
                    "files": [{"path": "pack.tar", "url": None, "checksum": f"sha256:{digest}"}],
                    "splits": {"test": {"match": "*/gt.png", "count": 1}}}
        (tmp_path / "pack.yaml").write_text(yaml.safe_dump(manifest))
        monkeypatch.setenv("HTCV_DATA", str(tmp_path / "data"))
        return tmp_path / "pack.yaml"
    return make


def test_files_are_put_where_they_belong_and_stored_irradiance_is_eight_times_its_light(handmade):
    data = load_rendered("test", 4, handmade())
    assert data.names == ["007"] and data.originals.unique().tolist() == [128]
    assert [data.images[0, :, t].unique().tolist() for t in range(10)] == [[20 * t] for t in range(10)]
    assert data.masks[0, 0, 3].tolist() == [[255, 255, 0, 0]] * 4 and data.masks.float().mean() == 255 / 20
    assert data.occlusions[0, 2, 3].tolist() == [[60, 60, 0, 0]] * 4
    assert data.irradiances[0, :, 5].float().mean().item() == pytest.approx(2, rel=0.01)
    assert not data.irradiances[0, :, [0, 4, 6]].any()


def test_a_picture_that_cannot_be_decoded_is_named_by_its_sequence(handmade):
    with pytest.raises(DataError, match="pack: sequence 007 cannot be decoded"):
        load_rendered("test", 4, handmade(**{"007_4.png": True}))


def test_the_pack_has_19_sequences_for_validation_and_40_others_for_testing(packs):
    names = {split: [entry["name"] for entry in rendered_info(split)] for split in ("val", "test")}
    assert len(names["val"]) == 19 and len(names["test"]) == len(set(names["test"]) - set(names["val"])) == 40
    paintings = [{entry["image"] for entry in rendered_info(split)} for split in ("val", "test")]
    assert not paintings[0] & paintings[1]


def test_the_copy_in_the_repository_shows_what_the_pack_shows(packs, sample):
    pack = load_rendered("val", 64)
    pack, copy = pack.subset([pack.names.index(name) for name in sample["val"].names]), sample["val"]
    assert torch.equal(copy.masks, pack.masks)
    for ours, theirs in ((copy.images, pack.images), (copy.originals, pack.originals)):
        assert (ours.float() - theirs.float()).abs().mean() < 3
    assert (copy.irradiances - pack.irradiances).abs().mean() < 0.03
    assert (copy.occlusions.float() - pack.occlusions.float()).abs().mean() < 0.5


def test_the_mean_of_the_views_has_the_error_its_datasheet_says(packs):
    """16.4 dB over all 59 sequences, which fails if pictures were averaged in another way or put out of order."""
    errors = []
    for data in (load_rendered("val", 128), load_rendered("test", 128)):
        difference = data.images.float().mean(2, keepdim=True) - data.originals
        errors += (20 * np.log10(255) - 10 * difference.square().flatten(1).mean(1).log10()).tolist()
    assert len(errors) == 59 and np.mean(errors) == pytest.approx(16.4, abs=0.05)
