import pytest
import torch

from htcv_lib.data.batches import Batches, FieldBatches
from htcv_lib.mask_depth.augment import depth_augmentation
from htcv_lib.mask_depth.rooms.pets import StandingPets


def pool(count=10):
    generator = torch.Generator().manual_seed(0)
    def numbers(*shape):
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return StandingPets(numbers(count, 3, 8, 12), numbers(count, 3, 8, 12), numbers(count, 1, 8, 12),
                        (numbers(count, 1, 8, 12) / 255).half())


def drawn(batches):
    return [dict(batch) for batch in batches]


def same(first, second):
    return len(first) == len(second) and all(torch.equal(a[key], b[key]) for a, b in zip(first, second, strict=True)
                                             for key in a)


def test_every_field_is_float_and_bytes_become_shares():
    data = pool()
    batch = next(iter(FieldBatches(data, 4)))
    assert {key: (tuple(value.shape), value.dtype) for key, value in batch.items()} == {
        "image": ((4, 3, 8, 12), torch.float32), "background": ((4, 3, 8, 12), torch.float32),
        "mask": ((4, 1, 8, 12), torch.float32), "depth": ((4, 1, 8, 12), torch.float32), "index": ((4,), torch.int64)}
    torch.testing.assert_close(batch["mask"] * 255, data.masks[:4].float())
    assert torch.equal(batch["depth"], data.depths[:4].float())


def test_the_order_is_that_of_the_other_batches():
    for _ in range(2):
        ours, theirs = FieldBatches(pool(), 4, shuffle=True, seed=3), Batches(pool(), 4, shuffle=True, seed=3)
        for _ in range(2):
            assert [b["index"].tolist() for b in ours] == [b["index"].tolist() for b in theirs]


def test_fields_belong_together_after_shuffling():
    data = pool()
    for batch in FieldBatches(data, 4, shuffle=True):
        assert torch.equal(batch["depth"], data.depths[batch["index"]].float())
        torch.testing.assert_close(batch["background"] * 255, data.backgrounds[batch["index"]].float())


def test_resumed_batches_continue_as_if_never_interrupted():
    def fresh(seed):
        return FieldBatches(pool(), 4, shuffle=True, augment=depth_augmentation("light+noise+mosaic"), seed=seed)
    whole, resumed = fresh(5), fresh(99)
    drawn(whole)
    state = whole.state_dict()
    expected = drawn(whole)
    resumed.load_state_dict(state)
    assert same(drawn(resumed), expected)
    assert not same(drawn(resumed), expected)


def test_the_last_small_batch_can_be_left_out_and_no_batch_is_an_error():
    assert [len(b["index"]) for b in FieldBatches(pool(), 4)] == [4, 4, 2]
    assert [len(b["index"]) for b in FieldBatches(pool(), 4, drop_last=True)] == [4, 4]
    with pytest.raises(ValueError, match="no batch of 11 can be cut from 10 items"):
        FieldBatches(pool(), 11, drop_last=True)
