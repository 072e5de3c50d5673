"""Two processes train as one with the same global batch. This file is also the script that each of them runs."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from htcv_lib.decomposer.objective import frames_objective
from htcv_lib.decomposer.swin import FramesNet
from htcv_lib.training.distributed import ShardedBatches, averaged, process_group
from htcv_lib.training.loop import fit
from htcv_lib.training.phase import Phase

pytestmark = pytest.mark.slow
EPOCHS, BATCH, CLIP = 2, 4, 0.1
ROOT = Path(__file__).parents[2]


class Sequences:
    """Global batches of random sequences, shuffled anew each epoch; enough of `Batches` for this test."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.image = torch.rand(8, 3, 4, 32, 32, generator=generator, dtype=torch.float64)
        self.order = torch.Generator().manual_seed(1)

    def __len__(self):
        return len(self.image) // BATCH

    def __iter__(self):
        for index in torch.randperm(len(self.image), generator=self.order).split(BATCH):
            yield {"image": self.image[index]}


def train(rank, world, exchange, group=None):
    """Losses, gradient norms and a few of the weights of a tiny autoencoder after a few steps.

    In float64: the network is so small that it amplifies rounding errors of sums in another order.
    """
    torch.manual_seed(rank if exchange else 0)  # other weights in each process, until they are exchanged
    model = FramesNet(8, frames=4, drop_path=0.0, depths=(1, 1, 1, 1)).double()
    called = group.wrap(model) if group is not None and exchange else model
    objective = averaged(partial(frames_objective, called, target="image", metric="mae"))
    phase = Phase("net", objective, torch.optim.AdamW(model.parameters(), lr=3e-3), clip_norm=CLIP)
    history = fit([phase], ShardedBatches(Sequences(), rank, world), epochs=EPOCHS, models={"net": model},
                  progress=False)
    return {"losses": history.first_losses, "norms": [row["train/net/grad_norm"] for row in history.rows],
            "weights": torch.cat([param.detach().flatten()[:3] for param in model.parameters()]).tolist()}


def worker(rank, meeting, folder):
    """With exchange of gradients, then without; what process `rank` of two measured goes to a file."""
    torch.set_num_threads(1)
    with process_group(int(rank), 2, f"file://{meeting}") as group:
        found = {name: train(group.rank, group.world, name == "exchanged", group) for name in ("exchanged", "alone")}
    Path(folder, f"{rank}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What one process measured with the global batches, and each of two with its half of them."""
    folder = tmp_path_factory.mktemp("two")
    commands = [[sys.executable, __file__, str(rank), str(folder / "meeting"), str(folder)] for rank in range(2)]
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for command in commands]
    try:
        single = train(0, 1, exchange=True)
        for process in running:
            _, errors = process.communicate(timeout=600)
            assert process.returncode == 0, errors[-2000:]
    finally:
        for process in running:
            process.kill()
    return single, *(json.loads((folder / f"{rank}.json").read_text()) for rank in range(2))


def test_two_processes_have_the_loss_curve_of_one_with_the_same_global_batch(measured):
    single, first, second = measured
    assert len(set(single["losses"])) == 4 and max(single["norms"]) > CLIP
    for found in (first, second):
        assert found["exchanged"]["losses"] == pytest.approx(single["losses"], rel=1e-5)
        assert found["exchanged"]["norms"] == pytest.approx(single["norms"], rel=1e-5)


def test_both_processes_end_with_the_weights_of_the_one(measured):
    single, first, second = measured
    assert first["exchanged"]["weights"] == second["exchanged"]["weights"]
    assert first["exchanged"]["weights"] == pytest.approx(single["weights"], rel=1e-5, abs=1e-7)


def test_without_exchange_of_gradients_the_processes_go_their_own_ways(measured):
    single, first, second = measured
    assert first["alone"]["losses"][0] == pytest.approx(single["losses"][0], rel=1e-5)  # same weights at the start
    assert first["alone"]["losses"][-1] != pytest.approx(single["losses"][-1], rel=1e-4)
    assert first["alone"]["weights"] != pytest.approx(second["alone"]["weights"], rel=1e-3, abs=1e-4)


if __name__ == "__main__":
    worker(*sys.argv[1:])
