"""Parts of batches, and two processes that train as one. This file is also the script that starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from htcv_lib.data.batches import Batches
from htcv_lib.decomposer.sequences import SequenceSet
from htcv_lib.training.distributed import ShardedBatches, averaged, process_group
from htcv_lib.training.loop import fit
from htcv_lib.training.phase import Phase


def stream(count=12, size=4, **more):
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1, 1).expand(count, 3, 2, 4, 6).contiguous()
    return Batches(SequenceSet(images, images[:, :, :1]), size, shuffle=True, seed=3, **more)


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


EPOCHS, BATCH, CLIP = 2, 4, 0.1


class Pictures:
    """Global batches of random pictures, shuffled anew each epoch; enough of `Batches` for this test."""

    def __init__(self):
        self.image = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.order = torch.Generator().manual_seed(1)

    def __len__(self):
        return len(self.image) // BATCH

    def __iter__(self):
        for index in torch.randperm(len(self.image), generator=self.order).split(BATCH):
            yield {"image": self.image[index]}


def train(rank, world, exchange, group=None):
    """Losses, gradient norms and weights of a tiny autoencoder after a few steps.

    In float64: the network is so small that it amplifies rounding errors of sums in another order.
    """
    torch.manual_seed(rank if exchange else 0)  # other weights in each process, until they are exchanged
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.GELU(), nn.Conv2d(8, 3, 1)).double()
    called = group.wrap(model) if group is not None and exchange else model

    def objective(batch):
        error = (called(batch["image"]) - batch["image"]).abs().mean()
        return {"loss": error, "mae": error}

    phase = Phase("net", averaged(objective), torch.optim.AdamW(model.parameters(), lr=3e-2), clip_norm=CLIP)
    history = fit([phase], ShardedBatches(Pictures(), rank, world), epochs=EPOCHS, models={"net": model},
                  progress=False)
    return {"losses": history.first_losses, "norms": [row["train/net/grad_norm"] for row in history.rows],
            "weights": torch.cat([param.detach().flatten()[:3] for param in model.parameters()]).tolist()}


def two_processes(folder: Path) -> None:
    """The script: two forks, since only the first import of torch takes long; each writes what it measured."""
    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1)], lr=1.0)  # imports what every fork would import again
    children = []
    for rank in range(2):
        children.append(os.fork())
        if not children[-1]:  # with exchange of gradients, then without
            with process_group(rank, 2, f"file://{folder / 'meeting'}") as group:
                found = {name: train(rank, 2, name == "exchanged", group) for name in ("exchanged", "alone")}
            (folder / f"{rank}.json").write_text(json.dumps(found))
            os._exit(0)
    for child in children:
        os.waitpid(child, 0)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What one process measured with the global batches, and each of two with its half of them."""
    folder = tmp_path_factory.mktemp("two")
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, __file__, str(folder)], env={**os.environ, "PYTHONPATH": root},
                          capture_output=True, text=True, timeout=600)
    assert len(list(folder.glob("*.json"))) == 2, done.stderr[-2000:]
    return train(0, 1, exchange=True), *(json.loads((folder / f"{rank}.json").read_text()) for rank in range(2))


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one_with_the_same_global_batch(measured):
    single, first, second = measured
    assert len(set(single["losses"])) == 4 and max(single["norms"]) > CLIP
    for found in (first, second):
        assert found["exchanged"]["losses"] == pytest.approx(single["losses"], rel=1e-5)
        assert found["exchanged"]["norms"] == pytest.approx(single["norms"], rel=1e-5)


@pytest.mark.slow
def test_both_processes_end_with_the_weights_of_the_one(measured):
    single, first, second = measured
    assert first["exchanged"]["weights"] == second["exchanged"]["weights"]
    assert first["exchanged"]["weights"] == pytest.approx(single["weights"], rel=1e-5, abs=1e-7)


@pytest.mark.slow
def test_without_exchange_of_gradients_the_processes_go_their_own_ways(measured):
    single, first, second = measured
    assert first["alone"]["losses"][0] == pytest.approx(single["losses"][0], rel=1e-5)  # same weights at the start
    assert first["alone"]["losses"][-1] != pytest.approx(single["losses"][-1], rel=1e-4)
    assert first["alone"]["weights"] != pytest.approx(second["alone"]["weights"], rel=1e-3, abs=1e-4)


if __name__ == "__main__":
    two_processes(Path(sys.argv[1]))
