"""A regression so small that every test of the loop takes milliseconds."""

import torch
from torch import nn

from htcv_lib.training.phase import Phase


class ToyBatches:
    """Shuffled batches of a fixed regression set, with a generator of their own."""

    def __init__(self, count: int = 12, batch_size: int = 4, seed: int = 0):
        fixed = torch.Generator().manual_seed(5)
        self.x = torch.randn(count, 3, generator=fixed)
        self.y = self.x @ torch.tensor([[1.0], [-2.0], [0.5]])
        self.batch_size = batch_size
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch_size)

    def __iter__(self):
        for index in torch.randperm(len(self.x), generator=self.generator).split(self.batch_size):
            yield {"x": self.x[index], "y": self.y[index]}

    def state_dict(self) -> dict:
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict) -> None:
        self.generator.set_state(state["generator"])


def squared_error(model: nn.Module, batch: dict) -> dict:
    return {"loss": (model(batch["x"]) - batch["y"]).square().mean()}


def toy_model(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.PReLU(), nn.Dropout(dropout), nn.Linear(4, 1))


def toy_phase(model: nn.Module, lr: float = 0.05, **more) -> Phase:
    return Phase("toy", lambda batch: squared_error(model, batch), torch.optim.SGD(model.parameters(), lr=lr), **more)
