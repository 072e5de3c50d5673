"""The rendered sequences: complete, consistent with their own physics, and the copy in the repository is the pack's."""

import hashlib
import importlib.util
import io
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from htcv_lib.data.batches import Batches
from htcv_lib.data.files import locate, read_members
from htcv_lib.data.manifest import MANIFESTS, DataError, load_manifest
from htcv_lib.data.textures import NEVER, load_textures
from htcv_lib.decomposer.layers import Decomposition
from htcv_lib.decomposer.paintings.lit import LitSequences
from htcv_lib.decomposer.sequences import (
    KINDS,
    SequenceSet,
    load_rendered,
    load_sequences,
    occluder_light,
    rendered_info,
)
from htcv_lib.decomposer.set_network import MatchedSetDecomposer, SetDecomposer
from htcv_lib.image import linear, srgb


def numbered(*shape, dtype=torch.uint8):
    """Every element of sequence n is n: whatever is shuffled apart shows."""
    number = torch.arange(shape[0]).view(-1, *[1] * (len(shape) - 1))
    return number.expand(shape).to(dtype).contiguous()


def pool(count=5, **more):
    return SequenceSet(numbered(count, 3, 4, 6, 8), numbered(count, 3, 1, 6, 8), numbered(count, 1, 4, 6, 8),
                       numbered(count, 3, 4, 6, 8), names=[f"{n:03d}" for n in range(count)], **more)


def test_a_batch_has_the_agreed_fields_in_float32_and_bytes_become_shares():
    data = pool(shadows=torch.full((5, 1, 4, 6, 8), 0.5).half(), lights=numbered(5, 1, 4, 6, 8, dtype=torch.float16),
                irradiances=torch.full((5, 3, 4, 6, 8), 7.0).half())
    batch = next(iter(Batches(data, 2)))
    assert {key: tuple(value.shape) for key, value in batch.items()} == {
        "image": (2, 3, 4, 6, 8), "original": (2, 3, 1, 6, 8), "mask": (2, 1, 4, 6, 8), "occlusion": (2, 3, 4, 6, 8),
        "shadow": (2, 1, 4, 6, 8), "light": (2, 1, 4, 6, 8), "irradiance": (2, 3, 4, 6, 8), "index": (2,)}
    assert {value.dtype for key, value in batch.items() if key != "index"} == {torch.float32}
    assert batch["mask"][1].unique().item() == pytest.approx(1 / 255)
    assert batch["light"][1].unique().item() == 1 and batch["irradiance"].unique().item() == 7


def test_what_is_unknown_is_in_no_batch():
    data = SequenceSet(numbered(2, 3, 4, 6, 8))
    assert set(next(iter(Batches(data, 2)))) == {"image", "index"}
    assert list(data.subset([1]).tensors()) == ["image"] and data.subset([1]).names == []


def test_a_subset_keeps_fields_labels_and_names_together_in_the_order_asked_for():
    data = pool().with_fields(pseudo_mask=numbered(5, 1, 4, 6, 8)).subset([3, 0])
    assert len(data) == 2 and data.names == ["003", "000"]
    for tensor in data.tensors().values():
        assert tensor.flatten(1).unique(dim=1).flatten().tolist() == [3, 0]


def test_pseudo_labels_come_in_batches_are_rounded_to_half_precision_and_replace_older_ones():
    data = pool().with_fields(pseudo_light=torch.full((5, 1, 4, 6, 8), 0.1, requires_grad=True))
    data = data.with_fields(pseudo_mask=torch.full((5, 1, 4, 6, 8), 255, dtype=torch.uint8))
    assert data.pseudo["pseudo_light"].dtype == torch.float16 and not data.pseudo["pseudo_light"].requires_grad
    batch = next(iter(Batches(data, 5)))
    assert batch["pseudo_light"].unique().item() == pytest.approx(0.1, rel=2**-11)
    assert batch["pseudo_mask"].unique().item() == 1
    again = data.with_fields(pseudo_mask=torch.zeros(5, 1, 4, 6, 8))
    assert again.pseudo["pseudo_mask"].any().item() is False and data.pseudo["pseudo_mask"].all()


def test_a_set_moves_as_a_whole():
    data = pool().with_fields(pseudo_light=torch.zeros(5, 1, 4, 6, 8)).to("meta")
    assert {tensor.device.type for tensor in data.tensors().values()} == {"meta"} and len(data.names) == 5


@pytest.mark.parametrize(("change", "message"), [
    (dict(pseudo_light=torch.zeros(4, 1, 4, 6, 8)), "5 sequences, but found {'pseudo_light': 4}"),
    (dict(shadow=torch.zeros(5, 1, 4, 6, 8)), "names of fields: shadow"),
    (dict(pseudo_mask=torch.zeros(5, 1, 4, 6, 8, dtype=torch.int64)), "pseudo_mask must be floating point or uint8"),
])
def test_pseudo_labels_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        pool().with_fields(**change)


def test_fields_and_names_of_another_length_are_refused():
    with pytest.raises(ValueError, match="found {'original': 2, 'names': 1}"):
        SequenceSet(numbered(3, 3, 4, 6, 8), numbered(2, 3, 1, 6, 8), names=["a"])


SAMPLE = {"size": 16, "views": 3, "textures": ("base_images/sample", "oxford_pets_630/sample")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_of_the_samples_has_the_fields_of_its_kind(kind):
    pool = load_sequences(kind, "val", 2, **SAMPLE)
    layers = {"irradiance": 3} if kind == "physical" else {"shadow": 1, "light": 1}
    expected = {"image": ((2, 3, 3, 16, 16), torch.uint8), "original": ((2, 3, 1, 16, 16), torch.uint8),
                "mask": ((2, 1, 3, 16, 16), torch.uint8), "occlusion": ((2, 3, 3, 16, 16), torch.uint8)}
    expected |= {name: ((2, channels, 3, 16, 16), torch.float16) for name, channels in layers.items()}
    assert {name: (tuple(field.shape), field.dtype) for name, field in pool.tensors().items()} == expected


@pytest.mark.parametrize("kind", KINDS[1:])
def test_stored_layers_explain_the_stored_views_to_half_a_level(kind):
    fields = load_sequences(kind, "train", 6, **SAMPLE).tensors()
    unit = {name: field.float() / (255 if field.dtype == torch.uint8 else 1) for name, field in fields.items()}
    relit = unit["original"] * unit["shadow"] + unit["light"]
    if kind == "matched_light_first":
        relit = (unit["original"] + unit["light"]) * unit["shadow"]
    composed = torch.where(unit["mask"] > 0.5, unit["occlusion"], relit)
    assert (composed - unit["image"]).abs().max() <= 0.5001 / 255


def test_a_longer_pool_begins_as_a_shorter_one_and_is_made_once(monkeypatch):
    short, long = (load_sequences("physical", "train", count, **SAMPLE) for count in (2, 4))
    assert torch.equal(short.images, long.images[:2]) and short.names == long.names[:2]
    monkeypatch.setattr(LitSequences, "sequence", None)  # it comes from the cache now
    again = load_sequences("physical", "train", 4, **SAMPLE)
    assert torch.equal(again.irradiances, long.irradiances) and again.names == long.names


def test_names_are_those_of_the_clean_pictures():
    bank = load_textures(SAMPLE["textures"], "train", 16)
    pool = load_sequences("matched", "train", 8, **SAMPLE)
    for picture, name in zip(pool.originals[:, :, 0], pool.names, strict=True):
        stored = bank.pictures[bank.names.index(name)]
        assert torch.equal(picture, stored) or torch.equal(picture, stored.flip(-1))


def test_splits_kinds_and_seeds_differ():
    first = load_sequences("matched", "train", 2, **SAMPLE)
    others = (load_sequences("matched", "test", 2, **SAMPLE), load_sequences("matched", "train", 2, seed=1, **SAMPLE),
              load_sequences("matched_light_first", "train", 2, **SAMPLE))
    assert all(not torch.equal(first.images, other.images) for other in others)


def test_no_clean_picture_is_in_two_splits_or_in_the_rendered_sequences_and_the_manifest_counts_them(packs):
    names = {split: set(load_sequences("matched", split, 40, 16, 1).names) for split in ("train", "val", "test")}
    assert all(len(each) > 15 for each in names.values())
    assert not (names["train"] & names["val"] or names["train"] & names["test"] or names["val"] & names["test"])
    [(_, content)] = read_members(locate(load_manifest("base_images"))["monet_240.tar"], NEVER.__eq__)
    never = {f"monet/{name}" for name in content.decode().split()}
    assert len(never) == 80 and not set().union(*names.values()) & never
    counts = {name: split.count for name, split in load_manifest("distorted_sequences").splits.items()}
    sets = ("base_images", "oxford_pets_images_1470")
    assert counts == {split: len(load_textures(sets, split, 16).names) for split in counts}


def test_what_cannot_be_made_is_refused():
    with pytest.raises(ValueError, match="kind must be one of physical"):
        load_sequences("rendered", "train", 2, **SAMPLE)
    with pytest.raises(ValueError, match="split must be one of"):
        load_sequences("physical", "dev", 2, **SAMPLE)
    with pytest.raises(ValueError, match="at least one sequence"):
        load_sequences("physical", "val", 0, **SAMPLE)


RENDERED = "rendered_sequences/sample"


@pytest.fixture(scope="module")
def sample():
    return {split: load_rendered(split, 64, RENDERED) for split in ("val", "test")}


def test_the_sample_has_two_sequences_for_validation_and_four_others_for_testing_with_all_fields(sample):
    assert sample["val"].names == ["032", "044"] and sample["test"].names == ["030", "031", "042", "043"]
    assert {name: (tuple(value.shape), value.dtype) for name, value in sample["test"].tensors().items()} == {
        "image": ((4, 3, 10, 64, 64), torch.uint8), "original": ((4, 3, 1, 64, 64), torch.uint8),
        "mask": ((4, 1, 10, 64, 64), torch.uint8), "occlusion": ((4, 3, 10, 64, 64), torch.uint8),
        "irradiance": ((4, 3, 10, 64, 64), torch.float16)}


def test_there_is_no_split_to_train_on():
    for name in (RENDERED, "rendered_sequences"):
        assert set(load_manifest(name).splits) == {"val", "test"}
    with pytest.raises(DataError, match="no split 'train'; it has val, test"):
        load_rendered("train", 32, RENDERED)


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
    small = load_rendered("test", (20, 24), RENDERED)
    assert small.images.shape == (4, 3, 10, 20, 24)
    for ours, larger in ((linear(small.images), linear(sample["test"].images)),
                         (small.masks.float() / 255, sample["test"].masks.float() / 255),
                         (small.irradiances.float(), sample["test"].irradiances.float())):
        torch.testing.assert_close(ours.mean((-2, -1)), larger.mean((-2, -1)), atol=2e-3, rtol=2e-3)


def test_a_size_above_the_stored_one_is_refused():
    with pytest.raises(ValueError, match="64 x 64 pixels cannot be shown at 128 x 128"):
        load_rendered("val", 128, RENDERED)


def test_what_was_rendered_is_told_in_the_order_of_the_set():
    info = rendered_info("val", RENDERED)
    assert [entry["name"] for entry in info] == ["032", "044"]
    assert all(len(entry["views"]) == 10 and 0.12 <= view["light_scale"] <= 0.9 for entry in info
               for view in entry["views"])


def test_views_with_solids_are_those_with_a_mask(sample):
    for split, data in sample.items():
        for i, entry in enumerate(rendered_info(split, RENDERED)):
            for t, view in enumerate(entry["views"]):
                if not view["solids"]:
                    assert not data.masks[i, :, t].any()


def test_the_bundled_sample_is_small():
    [file] = load_manifest(RENDERED).files
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


# The script that renders sequences, as far as it goes without Blender.


SCRIPT = MANIFESTS / "render_sequences.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("render_sequences", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_view_depends_on_its_seed_alone(script):
    first, again, other = (script.draw_view(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == again != other


def test_views_keep_to_the_ranges_they_promise(script):
    rng = np.random.default_rng(0)
    views = [script.draw_view(rng) for _ in range(400)]
    assert {len(view["lights"]) for view in views} == {1, 2, 3, 4}
    assert {len(view["solids"]) for view in views} == {0, 1, 2, 3}
    assert all(0.12 <= view["scale"] <= 0.9 for view in views)
    assert np.mean([view["scale"] < np.sqrt(0.12 * 0.9) for view in views]) == pytest.approx(0.5, abs=0.1)
    for view in views:
        for light in view["lights"]:
            low, high = script.ENERGIES[light["kind"]]
            assert low <= light["energy"] / view["scale"] * (1 + 1e-9) and light["energy"] <= high * view["scale"]
            assert 10 <= light["place"][2] <= 15 and max(map(abs, light["place"][:2])) <= 10
        for solid in view["solids"]:  # in front of the painting, behind the camera's lens
            assert 1 <= solid["place"][2] <= 5 and max(map(abs, solid["place"][:2])) <= 3
    kinds = {solid["material"] for view in views for solid in view["solids"]}
    assert kinds == set(script.MATERIALS)


def test_the_command_says_what_is_written_and_what_it_needs(tmp_path):
    def run(*options):
        return subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, timeout=60)
    told = run("--help")
    assert told.returncode == 0
    for word in ("T-irradiance.webp", "info.json", "--paintings", "--samples", "pip install bpy"):
        assert word in told.stdout
    if importlib.util.find_spec("bpy") is None:
        refused = run("--paintings", str(tmp_path), "--out", str(tmp_path))
        assert refused.returncode == 1 and "not installed here: pip install bpy" in refused.stderr


# The set network in the reports' formula.


def test_its_highlight_is_the_light_that_is_added():
    torch.manual_seed(0)
    model = MatchedSetDecomposer((4, 4, 8, 8)).eval()
    with torch.no_grad():
        model.network.pixel_head.bias[-1] = 3.0  # a highlight above 1
        image = torch.rand(1, 3, 4, 16, 16)
        found, inner = model(image), model.network(image)
    assert isinstance(found, Decomposition) and isinstance(model.network, SetDecomposer)
    assert inner.highlight.min() > 1 and torch.equal(found.light, torch.ones_like(found.light))
    assert torch.equal(found.shadow, inner.shadow) and torch.equal(found.original, inner.original)
    torch.testing.assert_close(found.relit(), found.original * found.shadow + found.light)


def test_light_gets_a_gradient_from_the_start():
    torch.manual_seed(0)
    model = MatchedSetDecomposer((4, 4, 8, 8))
    model(torch.rand(1, 3, 4, 16, 16)).light.mean().backward()
    assert model.network.pixel_head.bias.grad[-1] > 0
