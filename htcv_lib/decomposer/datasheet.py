"""What a set of distorted sequences looks like in numbers, so that generated, rendered and real ones can be compared.

All numbers depend on the resolution: compare sets at one size.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.image import in_unit, linear
from htcv_lib.metrics.pictures import psnr_of

BRIGHT, DARK = 250 / 255, 8 / 255  # stored values from which a pixel is over- or underexposed
BLOCKS = 8  # the light is compared on so many blocks a side
LEAST_ERROR = 1e-10  # mean squared; a perfect view has 100 dB
FLOOR = 0.01  # of linear light, so that black over black is no light at all


def sequence_statistics(images: Tensor, originals: Tensor | None = None,
                        masks: Tensor | None = None) -> dict[str, float]:
    """Numbers of one set.

    Args:
        images: (N, 3, T, H, W), sRGB, uint8 or in [0, 1].
        originals: (N, 3, 1, H, W), the clean pictures; without them what needs them is NaN.
        masks: (N, 1, T, H, W), uint8 or in [0, 1], > 0.5 is occluded; without them likewise.

    Returns, in this order:
        sequences, views: how many; views of one sequence.
        frame mean, frame std: of the stored values of a view, mean over views. darkest tenth, brightest tenth: the
            10 % and 90 % quantiles over views of their means.
        overexposed: share of pixels with a colour of at least 250. underexposed: share with none above 8.
        occluded: share of pixels. occluded views: share of views in which any pixel is.
        noise: standard deviation of a pixel about its neighbours' median, in stored values; median over the views.
        mean of views, median of views, best view: PSNR in dB against the clean picture of the per-pixel mean and
            median of a sequence's views, and of its nearest view; mean over sequences.
        light level: median over all blocks of log2 of the light in a view over that in the clean picture, in stops,
            on 8 x 8 blocks of pixels that are neither occluded nor overexposed. level spread: standard deviation
            over views of their mean level. light contrast: standard deviation within a view, mean over views: how
            uneven light and shadows are at low frequencies.

    Errors: ValueError for shapes that do not belong together.
    """
    count, _, views, height, width = images.shape
    for name, field in (("originals", originals), ("masks", masks)):
        expected = (count, 3, 1, height, width) if name == "originals" else (count, 1, views, height, width)
        if field is not None and tuple(field.shape) != expected:
            raise ValueError(f"{name} must have shape {expected}, got {tuple(field.shape)}")
    rows = [_of_sequence(images[i], None if originals is None else originals[i], None if masks is None else masks[i])
            for i in range(count)]
    columns = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    def mean(name: str) -> Tensor | float:
        return columns[name].nanmean() if name in columns else math.nan

    means, levels = columns["frame means"], columns.get("view levels", torch.zeros(0))
    levels = levels[~levels.isnan()]
    numbers = {
        "sequences": count, "views": views, "frame mean": means.mean(), "frame std": mean("frame std"),
        "darkest tenth": means.quantile(0.1), "brightest tenth": means.quantile(0.9),
        "overexposed": mean("overexposed"), "underexposed": mean("underexposed"),
        "occluded": mean("occluded"), "occluded views": mean("occluded views"),
        "noise": columns["noise"].quantile(0.5),
        "mean of views": mean("mean of views"), "median of views": mean("median of views"),
        "best view": mean("best view"),
        "light level": columns["light level"].nanquantile(0.5) if originals is not None else math.nan,
        "level spread": levels.std() if len(levels) > 1 else math.nan, "light contrast": mean("light contrast"),
    }
    return {name: float(value) for name, value in numbers.items()}


def _of_sequence(image: Tensor, original: Tensor | None, mask: Tensor | None) -> dict[str, Tensor]:
    """Numbers of one sequence, each (T,) or (1,), but for the light of its blocks; as far as its truth is known."""
    frames = in_unit(image).transpose(0, 1)  # (T, 3, H, W)
    hidden = None if mask is None else in_unit(mask)[0] > 0.5  # (T, H, W)
    row = {"frame means": frames.mean((1, 2, 3)), "frame std": frames.flatten(1).std(1, correction=0),
           "overexposed": (frames.amax(1) >= BRIGHT).float().mean((1, 2)),
           "underexposed": (frames.amax(1) <= DARK).float().mean((1, 2)), "noise": noise_level(frames)}
    if hidden is not None:
        row |= {"occluded": hidden.float().mean((1, 2)), "occluded views": hidden.flatten(1).any(1).float()}
    if original is None:
        return row
    clean = in_unit(original)[:, 0]  # (3, H, W)
    for name, picture in (("mean of views", frames.mean(0)), ("median of views", frames.quantile(0.5, dim=0)),
                          ("best view", frames)):
        row[name] = psnr_of((picture - clean).square().mean((-3, -2, -1)).clamp(min=LEAST_ERROR)).amax()[None]
    level = light_level(frames, clean, hidden).flatten(1)
    seen = level.isnan().logical_not().sum(1) >= BLOCKS  # fewer say little
    middle = level.nanmean(1)
    deviation = (level - middle[:, None]).square().nanmean(1).sqrt()
    return row | {"view levels": torch.where(seen, middle, math.nan), "light level": level.flatten(),
                  "light contrast": torch.where(seen, deviation, math.nan)}


def light_level(frames: Tensor, clean: Tensor, hidden: Tensor | None = None) -> Tensor:
    """log2 of the light of views over that of the clean picture, (T, 8, 8) in stops.

    Each block is the sum over its usable pixels, those not hidden and not overexposed, at least a tenth of them; NaN
    where there are fewer.

    Args:
        frames: (T, 3, H, W) in [0, 1], sRGB; clean: (3, H, W); hidden: (T, H, W) bool.
    """
    usable = (frames.amax(1) < BRIGHT) if hidden is None else (frames.amax(1) < BRIGHT) & ~hidden
    usable = usable.float()[:, None]
    light, own = (F.adaptive_avg_pool2d((linear(each).mean(-3, keepdim=True) + FLOOR) * usable, BLOCKS)
                  for each in (frames, clean[None]))
    share = F.adaptive_avg_pool2d(usable, BLOCKS)
    return torch.where(share > 0.1, (light / own.clamp(min=1e-9)).clamp(min=1e-9).log2(), math.nan)[:, 0]


def noise_level(frames: Tensor) -> Tensor:
    """(T,) robust standard deviation of the difference of diagonal neighbours' cross, of views (T, 3, H, W).

    The filter of Immerkaer (1996) is blind to linear slopes; its median absolute value is little moved by edges.
    """
    kernel = torch.tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]], device=frames.device)
    response = F.conv2d(frames.flatten(0, 1)[:, None], kernel[None, None])  # its variance is 36 times the noise's
    return response.view(len(frames), -1).abs().quantile(0.5, dim=1) / (6 * 0.67449)
