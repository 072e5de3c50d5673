"""Diffusion conditioned on views: what it minimizes, and its pictures as predictions that can be scored.

Nothing here knows a network: `model` is called and sampled as `LatentDiffusion` in `htcv_lib.models` is.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htcv_lib.training.decomposition_scores import evaluate_objective, predict_decomposition
from htcv_lib.training.modes import in_mode
from htcv_lib.training.phase import Batch


def diffusion_objective(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    r"""Mean squared error of the predicted velocity (Salimans & Ho, 2022, arXiv:2202.00512, appendix D).

    .. math:: \mathbb{E}_{t, \epsilon} \lVert v_t - v_\theta(x_t, t, c) \rVert^2

    The step `t` is uniform. The views `c` of a sequence are hidden with probability `model.drop`, in evaluation too
    (Ho & Salimans, 2022, arXiv:2207.12598, algorithm 1). Random numbers are torch's global ones.

    Args:
        batch: image (B, 3, T, H, W) and original (B, 3, 1, H, W), both in [0, 1].

    Returns "loss", per pixel and channel; 0 is perfect.
    """
    original = batch["original"]
    count, device = len(original), original.device
    timestep = torch.randint(model.noise_steps, (count,), device=device)
    noise = torch.randn_like(original[:, :, 0])
    shown = torch.rand(count, device=device) >= model.drop
    pred = model(model.noised(original, timestep, noise), timestep, batch["image"], shown)
    return {"loss": F.mse_loss(pred, model.target(original, timestep, noise))}


def watch_diffusion(model: nn.Module, batches: Iterable[Batch], seed: int = 0,
                    amp: bool | None = None) -> dict[str, float]:
    """`diffusion_objective` on sequences that are not trained on, with the same steps and noise at every look.

    Random numbers of the training go on as if nobody had looked.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return evaluate_objective(diffusion_objective, model, batches, amp)


def original_sampler(model: nn.Module, draws: int = 1, seed: int = 0, **settings: Any) -> Callable[[Tensor], Tensor]:
    """Draws clean pictures for the views it is shown, in evaluation mode: to be scored by `evaluate_original`.

    Args:
        draws: Pictures for each sequence. `evaluate_original` scores their mean, whose squared error is at most that
            of a draw on average.
        seed: Each draw has noise of its own, which continues from batch to batch.
        settings: Of `model.sample`: steps, guidance.

    Returns a function: image (B, 3, T, H, W) -> (B, 3, draws, H, W) in [0, 1].
    """
    generators = [torch.Generator().manual_seed(1000 * seed + draw) for draw in range(draws)]

    def draw_originals(image: Tensor) -> Tensor:
        with in_mode(False, model):
            return torch.cat([model.sample(image, generator=generator, **settings) for generator in generators], dim=2)

    return draw_originals


def sample_originals(model: nn.Module, batches: Iterable[Batch], draws: int = 1, seed: int = 0,
                     amp: bool | None = None, **settings: Any) -> Tensor:
    """Clean pictures of every sequence in the order of the batches, (N, 3, draws, H, W) on the CPU.

    Arguments are those of `original_sampler`. The noise does not depend on the batch size.
    """
    return predict_decomposition(original_sampler(model, draws, seed, **settings), batches, amp)
