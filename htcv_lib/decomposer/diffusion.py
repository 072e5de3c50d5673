"""The clean picture drawn out of noise, conditioned on the frozen features of the video encoder.

A side exploration in the reports' code, of which no result was published: a denoising diffusion model (Ho et al., 2020,
arXiv:2006.11239) with classifier-free guidance (Ho & Salimans, 2022, arXiv:2207.12598). The linear schedule and the
widths of the U-Net are those of that code. Three things differ. There, the deepest feature is averaged and added to the
embedding of the time step, which cannot say where something is; here the U-Net attends to all its tokens. There,
sampling is guided although training never hides the views; here it hides them now and then. And there, the network says
what the noise is, for which it needs no picture where there is nothing but noise; here it says the velocity (Salimans &
Ho, 2022, arXiv:2202.00512), which is then the picture. Pictures are drawn by DDIM (Song et al., 2021, arXiv:2010.02502)
in fewer steps, from the noisiest one on (Lin et al., 2024, arXiv:2305.08891).

U-Net and schedule are those of the package diffusers, which is not among the dependencies.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htcv_lib.decomposer.scores import evaluate_objective, predict_decomposition
from htcv_lib.decomposer.swin import VideoSwinEncoder
from htcv_lib.networks import frozen
from htcv_lib.training.device import in_mode
from htcv_lib.training.phase import Batch

NOISE_STEPS = 1000
BETAS = (1e-4, 0.02)  # first and last variance of the linear schedule
GROUPS = 8  # of the normalization
HEADS = 4  # of attention


class DiffusersMissing(ImportError):
    """The package diffusers is not installed."""

    def __init__(self):
        super().__init__('this network needs the package diffusers: pip install "htcv-report[diffusion]"')


class LatentDiffusion(nn.Module):
    """Predicts the velocity of a noisy clean picture, given the views; `sample` draws pictures with it.

    Args:
        encoder: Of the views, trained before; it is frozen and stays in evaluation mode.
        image_size: Pixels on a side, a multiple of 4 and of `2 ** (len(channels) - 1)`.
        channels: Of the U-Net at each resolution, finest first, multiples of 8; all but the finest attend to each other
            and to the views.
        drop: Probability with which training hides the views of a sequence, so that guidance has something to push
            away from; read by the objective.

    Shapes:
        noisy:    (B, 3, H, W), see `noised`
        timestep: (B,) int64 in [0, `noise_steps`), or one for all
        image:    (B, 3, T, H, W) in [0, 1], as the encoder takes it
        shown:    (B,) bool; False hides the views of that sequence. None shows all
        return:   (B, 3, H, W) the predicted velocity, see `target`

    Errors: DiffusersMissing; ValueError for sizes other than these.
    """

    noise_steps = NOISE_STEPS

    def __init__(self, encoder: VideoSwinEncoder, image_size: int, channels: Sequence[int] = (64, 128, 256, 256),
                 drop: float = 0.1):
        super().__init__()
        multiple = max(4, 2 ** (len(channels) - 1))
        if len(channels) < 2 or any(count % GROUPS for count in channels):
            raise ValueError(f"channels must be two or more multiples of {GROUPS}, got {tuple(channels)}")
        if image_size % multiple:
            raise ValueError(f"{len(channels)} resolutions need a multiple of {multiple} pixels, got {image_size}")
        if not 0 <= drop < 1:
            raise ValueError(f"drop must be in [0, 1), got {drop}")
        self.image_size, self.drop = image_size, drop
        self.schedule = noise_schedule()
        self.encoder = frozen(encoder)
        width = encoder.norm.normalized_shape[0]  # of the deepest feature
        grid = -(-image_size // (encoder.patch_size[-1] * width // encoder.embed_dim))
        self.unet = conditional_unet(image_size, channels, width)
        self.position = nn.Parameter(0.02 * torch.randn(1, width, 1, grid, grid))  # the encoder's are relative
        self.hidden = nn.Parameter(0.02 * torch.randn(1, 1, width))  # stands for every token of hidden views

    def forward(self, noisy: Tensor, timestep: Tensor, image: Tensor, shown: Tensor | None = None) -> Tensor:
        tokens = self.tokens(image)
        if shown is not None:
            tokens = torch.where(shown[:, None, None], tokens, self.hidden)
        return self.denoise(noisy, timestep, tokens)

    def tokens(self, image: Tensor) -> Tensor:
        """What the U-Net attends to: the deepest feature of the views, (B, slots * rows * columns, width)."""
        if image.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(f"the network takes {self.image_size} pixels on a side, got {tuple(image.shape)}")
        with torch.no_grad():
            deepest = self.encoder(image)[-1]
        return (deepest + self.position).flatten(2).transpose(1, 2)

    def denoise(self, noisy: Tensor, timestep: Tensor, tokens: Tensor) -> Tensor:
        """The predicted velocity (B, 3, H, W), float32, given tokens."""
        return self.unet(noisy, timestep, encoder_hidden_states=tokens).sample.float()

    def guided(self, noisy: Tensor, timestep: Tensor, tokens: Tensor, guidance: float) -> Tensor:
        r"""Classifier-free guidance, (B, 3, H, W).

        .. math:: v_\text{hidden} + g (v_\text{shown} - v_\text{hidden})

        Args:
            guidance: `g`; 0 ignores the views, 1 is the plain conditional prediction, more exaggerates what they say.
        """
        if guidance == 1:
            return self.denoise(noisy, timestep, tokens)
        both = torch.cat([self.hidden.expand_as(tokens), tokens])
        hidden, shown = self.denoise(torch.cat([noisy, noisy]), timestep, both).chunk(2)
        return torch.lerp(hidden, shown, guidance)

    def noised(self, original: Tensor, timestep: Tensor, noise: Tensor) -> Tensor:
        r"""Clean pictures after so many steps of noise, (B, 3, H, W).

        .. math:: \sqrt{\bar\alpha_t} x + \sqrt{1 - \bar\alpha_t} \epsilon

        Args:
            original: (B, 3, 1, H, W) in [0, 1]; `x` is its stretch to [-1, 1].
            timestep: (B,).
            noise: (B, 3, H, W), standard normal.
        """
        return self.schedule.add_noise(2 * original[:, :, 0] - 1, noise, timestep)

    def target(self, original: Tensor, timestep: Tensor, noise: Tensor) -> Tensor:
        r"""The velocity that `forward` should predict, (B, 3, H, W), of what `noised` returns for the same arguments.

        .. math:: \sqrt{\bar\alpha_t} \epsilon - \sqrt{1 - \bar\alpha_t} x
        """
        return self.schedule.get_velocity(2 * original[:, :, 0] - 1, noise, timestep)

    @torch.no_grad()
    def sample(self, image: Tensor, steps: int = 50, guidance: float = 3.0,
               generator: torch.Generator | None = None) -> Tensor:
        """One clean picture for each sequence, (B, 3, 1, H, W) in [0, 1]: DDIM, random in its first noise alone.

        Args:
            image: (B, 3, T, H, W).
            steps: Of the `noise_steps`, evenly spaced.
            guidance: As in `guided`; 3 in the reports' code.
            generator: Of the noise; one on the CPU draws the same noise for every device.

        Errors: ValueError for steps that do not exist.
        """
        if not 1 <= steps <= self.noise_steps:
            raise ValueError(f"steps must be from 1 to {self.noise_steps}, got {steps}")
        schedule = noise_schedule()
        schedule.set_timesteps(steps)
        tokens = self.tokens(image)
        place = image.device if generator is None else generator.device
        noisy = torch.randn(len(image), 3, self.image_size, self.image_size, generator=generator, device=place)
        noisy = noisy.to(image.device)
        for timestep in schedule.timesteps:
            velocity = self.guided(noisy, timestep, tokens, guidance)
            noisy = schedule.step(velocity, timestep, noisy, use_clipped_model_output=True).prev_sample
        return (noisy / 2 + 0.5).clamp(0, 1)[:, :, None]

    def train(self, mode: bool = True) -> "LatentDiffusion":
        """Training or evaluation mode; the encoder stays in evaluation mode."""
        super().train(mode)
        self.encoder.eval()
        return self


def conditional_unet(image_size: int, channels: Sequence[int], width: int) -> nn.Module:
    """The package's U-Net, a residual block at each resolution, that attends to tokens (B, N, width)."""
    try:
        from diffusers import UNet2DConditionModel
    except ModuleNotFoundError as error:
        raise DiffusersMissing from error
    attending = len(channels) - 1
    return UNet2DConditionModel(
        sample_size=image_size, in_channels=3, out_channels=3, block_out_channels=tuple(channels), layers_per_block=1,
        down_block_types=("DownBlock2D",) + attending * ("CrossAttnDownBlock2D",),
        up_block_types=attending * ("CrossAttnUpBlock2D",) + ("UpBlock2D",),
        norm_num_groups=GROUPS, cross_attention_dim=width, attention_head_dim=HEADS)  # the package's name for heads


def noise_schedule():
    """The package's DDIM sampler on the linear schedule; pictures are clipped to [-1, 1] in every step."""
    try:
        from diffusers import DDIMScheduler
    except ModuleNotFoundError as error:
        raise DiffusersMissing from error
    return DDIMScheduler(num_train_timesteps=NOISE_STEPS, beta_start=BETAS[0], beta_end=BETAS[1],
                         beta_schedule="linear", prediction_type="v_prediction", clip_sample=True,
                         timestep_spacing="trailing")


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
