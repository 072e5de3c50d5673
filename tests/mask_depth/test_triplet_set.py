"""Triplets in memory and their batches."""

import pytest
import torch

from htcv_lib.data.batches import FieldBatches
from htcv_lib.mask_depth.triplets import TripletSet


def four(size=(2, 3)):
    """Four pictures; the one at position i has value 10 i in all fields."""
    level = torch.arange(4, dtype=torch.uint8).mul(10).view(4, 1, 1, 1)
    plane = level.expand(4, 1, *size)
    return TripletSet(plane.expand(4, 3, *size), plane, plane, ["a/0", "a/1", "b/0", "b/1"], ["a", "a", "b", "b"])


def test_levels_become_shares_in_a_batch_and_index_says_which_pictures():
    [batch] = FieldBatches(four(), 4)
    assert {name: tuple(field.shape) for name, field in batch.items()} == {
        "image": (4, 3, 2, 3), "mask": (4, 1, 2, 3), "depth": (4, 1, 2, 3), "index": (4,)}
    assert {batch[name].dtype for name in ("image", "mask", "depth")} == {torch.float32}
    assert batch["index"].tolist() == [0, 1, 2, 3]
    for name in ("image", "mask", "depth"):
        assert batch[name][:, 0, 0, 0].tolist() == pytest.approx([0, 10 / 255, 20 / 255, 30 / 255])


def test_an_augmentation_gets_the_floats_and_its_batch_is_what_comes_out():
    def brighter(batch, generator):
        assert batch["depth"].max() <= 1
        return batch | {"depth": batch["depth"] + 1}

    [batch] = FieldBatches(four(), 4, augment=brighter)
    assert batch["depth"].min() == 1


def test_the_same_seed_gives_the_same_order_and_fields_stay_together():
    orders = [[batch["index"].tolist() for batch in FieldBatches(four(), 2, shuffle=True, seed=seed)]
              for seed in (1, 1)]
    assert orders[0] == orders[1] and sorted(sum(orders[0], [])) == [0, 1, 2, 3]
    for batch in FieldBatches(four(), 2, shuffle=True, seed=1):
        assert torch.equal(batch["mask"][:, 0, 0, 0] * 25.5, batch["index"].float())


def test_a_collection_is_a_part_of_the_set_and_an_unknown_one_is_answered_with_those_there_are():
    part = four().of("b")
    assert part.names == ["b/0", "b/1"] and part.sets == ["b", "b"]
    assert part.depth[:, 0, 0, 0].tolist() == pytest.approx([20 / 255, 30 / 255])
    with pytest.raises(ValueError, match="no pictures of 'z'; there are a, b"):
        four().of("z")


def test_masks_and_depth_are_shares_and_255_is_one():
    ones = torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)
    one = TripletSet(ones.expand(1, 3, 2, 2), ones, ones, ["x"])
    assert one.masks.unique().tolist() == [1.0] and one.depth.unique().tolist() == [1.0]
    assert one.subset([0]).sets is None
