"""Batches: order, fields, resumption, waiting."""

from types import SimpleNamespace

import pytest
import torch

from htcv_lib.data.augment import augmentation
from htcv_lib.data.batches import Batches, ImageSet, SegmentationSet, TimedBatches
from htcv_lib.mask_depth.augment import depth_augmentation
from htcv_lib.mask_depth.rooms.pets import StandingPets


def segmentation_set(count=10):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 8, 12), dtype=torch.uint8, generator=generator)
    masks = torch.randint(0, 3, (count, 8, 12), dtype=torch.uint8, generator=generator)
    return SegmentationSet(images, masks, [str(i) for i in range(count)], ("pet", "background", "border"))


def epoch(batches):
    return [{key: value.clone() for key, value in batch.items()} for batch in batches]


def same(first, second):
    return len(first) == len(second) and all(
        a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
        for a, b in zip(first, second, strict=True))


def indices(batches):
    return torch.cat([batch["index"] for batch in batches]).tolist()


def test_a_batch_has_float_images_integer_masks_and_positions():
    data = segmentation_set()
    batch = next(iter(Batches(data, 4)))
    assert {key: (tuple(value.shape), value.dtype) for key, value in batch.items()} == {
        "image": ((4, 3, 8, 12), torch.float32), "mask": ((4, 8, 12), torch.int64), "index": ((4,), torch.int64)}
    assert torch.equal(batch["image"], data.images[:4].float() / 255)
    assert torch.equal(batch["mask"], data.masks[:4].long())
    assert data.images.dtype == torch.uint8  # the set itself is left alone


@pytest.mark.parametrize("shuffle", [False, True])
def test_every_item_comes_once_an_epoch(shuffle):
    batches = Batches(segmentation_set(), 4, shuffle=shuffle)
    for _ in range(3):
        drawn = epoch(batches)
        assert [len(batch["index"]) for batch in drawn] == [4, 4, 2] and len(batches) == 3
        assert sorted(indices(drawn)) == list(range(10))
    assert (indices(drawn) == list(range(10))) is not shuffle


def test_images_masks_and_positions_belong_together_after_shuffling():
    data = segmentation_set()
    for batch in Batches(data, 4, shuffle=True, seed=3):
        assert torch.equal(batch["image"], data.images[batch["index"]].float() / 255)
        assert torch.equal(batch["mask"], data.masks[batch["index"]].long())


def test_drop_last_leaves_out_the_small_batch():
    batches = Batches(segmentation_set(), 4, drop_last=True)
    assert len(batches) == 2 and [len(batch["index"]) for batch in batches] == [4, 4]
    with pytest.raises(ValueError, match="no batch of 11 can be cut from 10 items"):
        Batches(segmentation_set(), 11, drop_last=True)


def test_the_same_seed_gives_the_same_epochs_and_another_seed_others():
    def two_epochs(seed):
        batches = Batches(segmentation_set(), 4, shuffle=True, augment=augmentation("flip_crop"), seed=seed)
        return epoch(batches), epoch(batches)
    first, again, other = two_epochs(0), two_epochs(0), two_epochs(1)
    assert same(first[0], again[0]) and same(first[1], again[1])
    assert not same(first[0], first[1]) and not same(first[0], other[0])


def test_resumed_batches_continue_as_if_never_interrupted():
    def fresh(seed=5):
        return Batches(segmentation_set(), 4, shuffle=True, augment=augmentation("flip_crop_color"), seed=seed)
    whole = fresh()
    epochs = [epoch(whole) for _ in range(4)]
    stopped = fresh()
    epoch(stopped), epoch(stopped)
    state = stopped.state_dict()
    resumed = fresh(seed=99)
    resumed.load_state_dict(state)
    assert same(epoch(resumed), epochs[2]) and same(epoch(resumed), epochs[3])


def test_the_order_does_not_depend_on_the_augmentation():
    plain = Batches(segmentation_set(), 4, shuffle=True, seed=1)
    changed = Batches(segmentation_set(), 4, shuffle=True, seed=1, augment=augmentation("flip_crop"))
    for _ in range(2):
        assert indices(epoch(plain)) == indices(epoch(changed))


def test_an_epoch_broken_off_leaves_the_next_one_unchanged():
    whole, broken = (Batches(segmentation_set(), 4, shuffle=True, augment=augmentation("flip")) for _ in range(2))
    epoch(whole)
    next(iter(broken))
    assert same(epoch(whole), epoch(broken))


def test_labelled_images_are_batched_as_well():
    data = ImageSet(torch.full((5, 1, 4, 6), 255, dtype=torch.uint8), torch.arange(5, dtype=torch.uint8), ("a",))
    batch = next(iter(Batches(data, 8)))
    assert batch["image"].unique().tolist() == [1.0] and batch["label"].tolist() == [0, 1, 2, 3, 4]
    assert batch["label"].dtype == torch.int64


def test_every_epoch_draws_new_augmentations_even_in_a_fixed_order():
    batches = Batches(segmentation_set(), 4, augment=augmentation("flip_crop"))
    assert not same(epoch(batches), epoch(batches))


def pool(count=10):
    generator = torch.Generator().manual_seed(0)
    def numbers(*shape):
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return StandingPets(numbers(count, 3, 8, 12), numbers(count, 3, 8, 12), numbers(count, 1, 8, 12),
                        (numbers(count, 1, 8, 12) / 255).half())


def test_every_field_is_float_and_bytes_become_shares():
    data = pool()
    batch = next(iter(Batches(data, 4)))
    assert {key: (tuple(value.shape), value.dtype) for key, value in batch.items()} == {
        "image": ((4, 3, 8, 12), torch.float32), "background": ((4, 3, 8, 12), torch.float32),
        "mask": ((4, 1, 8, 12), torch.float32), "depth": ((4, 1, 8, 12), torch.float32), "index": ((4,), torch.int64)}
    torch.testing.assert_close(batch["mask"] * 255, data.masks[:4].float())
    assert torch.equal(batch["depth"], data.depths[:4].float())


def test_the_order_is_that_of_the_other_batches():
    for _ in range(2):
        ours, theirs = Batches(pool(), 4, shuffle=True, seed=3), Batches(pool(), 4, shuffle=True, seed=3)
        for _ in range(2):
            assert [b["index"].tolist() for b in ours] == [b["index"].tolist() for b in theirs]


def test_fields_belong_together_after_shuffling():
    data = pool()
    for batch in Batches(data, 4, shuffle=True):
        assert torch.equal(batch["depth"], data.depths[batch["index"]].float())
        torch.testing.assert_close(batch["background"] * 255, data.backgrounds[batch["index"]].float())


def test_resumed_batches_of_fields_continue_as_if_never_interrupted():
    def fresh(seed):
        return Batches(pool(), 4, shuffle=True, augment=depth_augmentation("light+noise+mosaic"), seed=seed)
    whole, resumed = fresh(5), fresh(99)
    epoch(whole)
    state = whole.state_dict()
    expected = epoch(whole)
    resumed.load_state_dict(state)
    assert same(epoch(resumed), expected)
    assert not same(epoch(resumed), expected)


def test_the_last_small_batch_can_be_left_out_and_no_batch_is_an_error():
    assert [len(b["index"]) for b in Batches(pool(), 4)] == [4, 4, 2]
    assert [len(b["index"]) for b in Batches(pool(), 4, drop_last=True)] == [4, 4]
    with pytest.raises(ValueError, match="no batch of 11 can be cut from 10 items"):
        Batches(pool(), 11, drop_last=True)


class Slow:
    """Two batches, each 20 s late on its own clock, and a place in a stream."""

    now = 0.0

    def __len__(self):
        return 2

    def __iter__(self):
        for number in range(2):
            self.now += 20
            yield {"index": number}

    def state_dict(self):
        return {"epoch": 3}


def test_waiting_is_counted_and_what_happens_between_batches_is_not(monkeypatch):
    slow = Slow()
    monkeypatch.setattr("htcv_lib.data.batches.time", SimpleNamespace(perf_counter=lambda: slow.now))
    timed = TimedBatches(slow)
    for _ in timed:
        slow.now += 50
    assert timed.waited_s == 40


def test_the_batches_are_the_same_and_so_is_their_state():
    timed = TimedBatches(Slow())
    assert [batch["index"] for batch in timed] == [0, 1]
    assert len(timed) == 2 and timed.state_dict() == {"epoch": 3}


def test_the_share_is_of_the_whole_training_and_never_above_one():
    timed = TimedBatches(Slow())
    timed.waited_s = 2.0
    assert timed.share(8.0) == 0.25
    assert timed.share(1.0) == 1.0
    with pytest.raises(ValueError, match="more than 0"):
        timed.share(0.0)
