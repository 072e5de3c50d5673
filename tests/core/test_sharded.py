import pytest
import torch

from htcv_lib.data.batches import FieldBatches
from htcv_lib.decomposer.sequences import SequenceSet
from htcv_lib.training.distributed import ShardedBatches


def stream(count=12, size=4, **more):
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1, 1).expand(count, 3, 2, 4, 6).contiguous()
    return FieldBatches(SequenceSet(images, images[:, :, :1]), size, shuffle=True, seed=3, **more)


@pytest.mark.parametrize("world", [1, 2, 4])
def test_parts_put_together_in_the_order_of_ranks_are_the_global_batches(world):
    whole, parts = stream(), [ShardedBatches(stream(), rank, world) for rank in range(world)]
    assert {len(part) for part in parts} == {3}
    for _ in range(2):  # two epochs, in different orders
        for expected, *found in zip(whole, *parts, strict=True):
            assert {len(batch["index"]) for batch in found} == {4 // world}
            for name, tensor in expected.items():
                assert torch.equal(torch.cat([batch[name] for batch in found]), tensor)


def test_the_mean_gradient_of_two_processes_is_that_of_one_with_the_global_batch():
    def gradient(batches):
        weight = torch.tensor(0.3, requires_grad=True)
        batch = next(iter(batches))
        (weight * batch["image"].mean((1, 2, 3, 4)) - batch["index"] ** 2).square().mean().backward()
        return weight.grad
    parts = [gradient(ShardedBatches(stream(), rank, 2)) for rank in range(2)]
    assert parts[0] != parts[1]
    torch.testing.assert_close((parts[0] + parts[1]) / 2, gradient(stream()))


def test_the_state_is_that_of_the_global_batches_so_another_number_of_processes_can_go_on():
    two, four, whole = ShardedBatches(stream(), 0, 2), ShardedBatches(stream(), 0, 4), stream()
    list(whole)
    list(two)
    four.load_state_dict(two.state_dict())
    assert two.state_dict() == whole.state_dict()
    assert next(iter(four))["index"].tolist() == next(iter(whole))["index"][:1].tolist()


def test_batches_that_cannot_be_cut_into_equal_parts_are_refused_before_training():
    with pytest.raises(ValueError, match="batch of 4 cannot be cut into 3 equal parts"):
        ShardedBatches(stream(), 0, 3)
    with pytest.raises(ValueError, match="batch of 1 cannot be cut into 2 equal parts"):
        ShardedBatches(stream(count=13), 0, 2)
    assert len(ShardedBatches(stream(count=13, drop_last=True), 0, 2)) == 3


def test_a_stream_that_does_not_tell_its_sizes_is_refused_when_the_batch_comes():
    with pytest.raises(ValueError, match="batch of 5"):
        list(ShardedBatches([{"image": torch.zeros(5, 3)}], 0, 2))


def test_a_rank_outside_the_world_is_refused():
    with pytest.raises(ValueError, match="rank must be one of 0 to 1, got 2"):
        ShardedBatches(stream(), 2, 2)
