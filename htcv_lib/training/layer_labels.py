"""Training with every layer known, which only generated sequences allow."""

from torch import Tensor, nn

from htcv_lib.losses.matched_layers import matched_loss
from htcv_lib.training.decomposition import floats
from htcv_lib.training.phase import Batch


def matched_objective(model: nn.Module, batch: Batch, **weights: float) -> dict[str, Tensor]:
    """Every layer of the reports' own formula against its label; see `matched_loss`, also for `weights`."""
    return matched_loss(floats(model(batch["image"])), batch, **weights)
