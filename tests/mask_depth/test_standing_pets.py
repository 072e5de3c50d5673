import pytest
import torch

from htcv_lib.data.manifest import DataError, load_manifest
from htcv_lib.data.textures import Textures
from htcv_lib.mask_depth.rooms.pets import Cutouts, PetScenes, StandingPets, load_cutouts, load_standing_pets

pytestmark = pytest.mark.slow
SAMPLES = {"pets": "oxford_pets_630/sample", "textures": "base_images/sample"}


def scenes(**settings):
    """Noise as textures, and two pets: a full square and one with a hole."""
    generator = torch.Generator().manual_seed(0)
    textures = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=generator)
    pets = torch.full((2, 4, 16, 16), 255, dtype=torch.uint8)
    pets[:, :3] = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=generator)
    pets[1, 3, 4:8, 4:8] = 0
    return PetScenes(Textures(textures, 3, list("abcd")), Cutouts(pets, torch.tensor([1.0, 0.6]), ["p", "q"]),
                     **{"size": 32} | settings)


def equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_same_seed_gives_the_same_pictures_however_many_are_made_at_once():
    maker = scenes()
    whole = maker.pictures(0, 21)
    for start, stop in ((0, 1), (5, 6), (3, 20), (16, 21)):
        assert equal(maker.pictures(start, stop), [field[start:stop] for field in whole])
    assert equal(scenes().pictures(0, 4), [field[:4] for field in whole])
    assert not equal(scenes(seed=1).pictures(0, 4), [field[:4] for field in whole])


def test_pictures_have_the_shapes_and_ranges_they_say():
    made = scenes().pictures(0, 8)
    assert {name: (tuple(field.shape), field.dtype) for name, field in made._asdict().items()} == {
        "image": ((8, 3, 32, 32), torch.uint8), "background": ((8, 3, 32, 32), torch.uint8),
        "mask": ((8, 1, 32, 32), torch.uint8), "depth": ((8, 1, 32, 32), torch.float32)}
    assert 0 < made.depth.min() and made.depth.max() <= 1


def test_without_camera_and_decoys_the_background_is_the_picture_except_for_pet_and_shadow():
    made = scenes(camera=False, decoys=0.0, empty=0.0).pictures(0, 40)
    differs = (made.image != made.background).any(1)  # (N, H, W)
    pet = made.mask[:, 0] > 0
    darker = (made.image <= made.background).all(1)
    assert (differs & pet).sum() > 1000
    assert (differs & ~pet & ~darker).sum() == 0  # outside the pet only a shadow
    shadow = (differs & ~pet).float().mean().item()
    assert 0.001 < shadow < 0.1
    empty = scenes(camera=False, decoys=0.0, empty=1.0).pictures(0, 40)
    assert torch.equal(empty.image, empty.background) and empty.mask.sum() == 0


def test_noise_differs_between_a_picture_and_its_background():
    made = scenes(decoys=0.0, empty=1.0).pictures(0, 8)
    difference = (made.image.float() - made.background.float()).flatten(1).std(1)
    assert (difference > 0.3).all() and (difference < 12).all()


def test_decoys_change_the_picture_and_leave_mask_and_depth_alone():
    plain, faked = (scenes(camera=False, empty=1.0, decoys=share).pictures(0, 30) for share in (0.0, 1.0))
    changed = (plain.image != faked.image).flatten(1).any(1).float().mean().item()
    assert changed > 0.8
    assert faked.mask.sum() == 0 and torch.equal(plain.depth, faked.depth)
    assert torch.equal(plain.background, faked.background)


def test_a_decoy_lies_behind_the_pet():
    plain, faked = (scenes(camera=False, empty=0.0, decoys=share).pictures(0, 30) for share in (0.0, 1.0))
    whole = (plain.mask == 255).expand(-1, 3, -1, -1)
    assert torch.equal(plain.image[whole], faked.image[whole]) and torch.equal(plain.mask, faked.mask)


def test_the_pets_depth_is_one_number_nearer_than_the_scene_and_the_rest_is_unchanged():
    none, some = (scenes(empty=share).pictures(0, 30) for share in (1.0, 0.0))
    inside = some.mask > 127
    assert torch.equal(some.depth[~inside], none.depth[~inside])
    nearer = some.depth[inside] <= none.depth[inside] + 0.0021  # the tolerance at the contact: 2 cm
    assert nearer.float().mean() > 0.98  # a pixel on the contact may have its middle just below it
    for depth, here in zip(some.depth, inside, strict=True):
        assert len(depth[here].unique()) <= 1


def test_shares_of_empty_pictures_are_as_asked():
    made = scenes(size=32).pictures(0, 200)
    empty = (made.mask.flatten(1).amax(1) == 0).float().mean().item()
    assert empty == pytest.approx(0.2, abs=0.08)


def test_a_pool_of_the_samples_is_made_once_and_has_every_field(monkeypatch):
    pool = load_standing_pets("val", 5, 32, **SAMPLES)
    assert len(pool) == 5 and pool.depths.dtype == torch.float16
    assert set(pool.tensors()) == {"image", "background", "mask", "depth"}
    monkeypatch.setattr(PetScenes, "pictures", None)  # it comes from the cache now
    again = load_standing_pets("val", 5, 32, **SAMPLES)
    assert all(torch.equal(a, again.tensors()[name]) for name, a in pool.tensors().items())
    assert torch.equal(pool.subset([3]).images, pool.images[3:4]) and isinstance(pool.subset([3]), StandingPets)


def test_splits_show_other_pictures_and_a_longer_pool_begins_as_a_shorter_one():
    val, longer, test = (load_standing_pets(split, count, 32, **SAMPLES) for split, count in
                         (("val", 3), ("val", 5), ("test", 3)))
    assert torch.equal(val.images, longer.images[:3]) and not torch.equal(val.images, test.images)
    with pytest.raises((ValueError, DataError), match="split must be one of"):
        load_standing_pets("dev", 3, 32, **SAMPLES)


def test_the_manifest_counts_the_pets_of_each_split(packs):
    counts = {name: split.count for name, split in load_manifest("standing_pets").splits.items()}
    assert counts == {split: len(load_cutouts("oxford_pets_630", split, 16).names) for split in counts}
