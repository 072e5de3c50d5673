"""Mask and depth without a network: what never looks at the picture, and what sees traces of pasting alone."""

from collections.abc import Iterable
from typing import Self

import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from htcv_lib.image import grey
from htcv_lib.mask_depth.output import MaskDepth

# What never looks at the picture is fitted once to training batches with `mask` and `depth` (B, 1, H, W), and returns
# `MaskDepth` for pictures (B, C, H, W) of the same size, `raw` being what it returns.


class MeanMaskDepth(nn.Module):
    """The same mask and depth for every picture: the means of those seen, the best constants for the squared error."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.empty(0))  # (2, H, W): mask, depth

    @torch.no_grad()
    def fit(self, batches: Iterable[dict[str, Tensor]]) -> Self:
        """Average over all batches."""
        total, count = 0, 0
        for batch in batches:
            both = torch.cat([batch["mask"], batch["depth"]], dim=1)
            total, count = total + both.double().sum(0), count + len(both)
        self.mean = (total / count).float()
        return self

    def forward(self, image: Tensor) -> MaskDepth:
        """(B, C, H, W), of which only B counts."""
        raw = self.prediction().expand(len(image), -1, -1, -1)
        return MaskDepth(raw[:, :1], raw[:, 1:], raw)

    def prediction(self) -> Tensor:
        """(2, H, W): mask and depth."""
        return self.mean


class EmptyMask(MeanMaskDepth):
    """No object anywhere, and everything at the mean depth."""

    def prediction(self) -> Tensor:
        """(2, H, W): zeros, and one number."""
        mask, depth = self.mean
        return torch.stack([torch.zeros_like(mask), depth.mean().expand_as(depth)])


class FullMask(MeanMaskDepth):
    """The object everywhere, and everything at the mean depth: what a mask that covers all scores."""

    def prediction(self) -> Tensor:
        """(2, H, W): ones, and one number."""
        mask, depth = self.mean
        return torch.stack([torch.ones_like(mask), depth.mean().expand_as(depth)])


class RowDepth(MeanMaskDepth):
    """No object, and for each row of the picture its mean depth: what "lower is nearer" is worth."""

    def prediction(self) -> Tensor:
        """(2, H, W): zeros, and equal numbers along every row."""
        mask, depth = self.mean
        return torch.stack([torch.zeros_like(mask), depth.mean(1, keepdim=True).expand_as(depth)])


# Traces of pasting are local evidence, as in steganalysis (Fridrich and Kodovsky, 2012, doi 10.1109/TIFS.2012.2190402):
# residuals of small high-pass filters, their strength in a window of some pixels, and its ratio to the strength further
# around. No colour, no brightness, no position, no shape. A logistic regression of these numbers is the detector.

FILTERS = (
    ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 0, -1, 1, 0), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),  # first differences
    ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 0, -1, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 1, -2, 1, 0), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),  # second
    ((0, 0, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, -2, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0, 0, 0), (0, -1, 2, -1, 0), (0, 2, -4, 2, 0), (0, -1, 2, -1, 0), (0, 0, 0, 0, 0)),  # square 3 x 3
    ((-1, 2, -2, 2, -1), (2, -6, 8, -6, 2), (-2, 8, -12, 8, -2), (2, -6, 8, -6, 2), (-1, 2, -2, 2, -1)),  # and 5 x 5
)
DECAY = 1e-4  # times the squared weights, added to the mean cross-entropy


class PasteDetector(nn.Module):
    """Probability that a pixel was pasted, from residuals within `reach` pixels of it.

    Args:
        windows: Sides of the windows in which residuals are summed up; odd.
        reach: Side of the surroundings they are compared to; odd.

    Shapes:
        image:  (B, 3, H, W) in [0, 1]
        return: (B, 1, H, W) in [0, 1]; above 0.5 where training pictures say that calling it a mask pays best
    """

    def __init__(self, windows: tuple[int, ...] = (3, 5), reach: int = 15):
        super().__init__()
        kernels = torch.tensor(FILTERS, dtype=torch.float32)
        self.register_buffer("kernels", (kernels / kernels.abs().amax((1, 2), keepdim=True))[:, None], persistent=False)
        self.windows, self.reach = windows, reach
        count = len(FILTERS) * (1 + 2 * len(windows)) + 2 * len(windows)
        self.register_buffer("centre", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        self.register_buffer("weight", torch.zeros(count))
        self.register_buffer("bias", torch.zeros(()))

    @torch.autocast("cuda", enabled=False)
    def features(self, image: Tensor) -> Tensor:
        """(B, F, H, W): logarithms of residual strength at a pixel, in windows, and over the surroundings'; and of the
        colour channels' differences in windows."""
        residual = F.conv2d(F.pad(grey(image), (2, 2, 2, 2), mode="reflect"), self.kernels).square()
        around = window_mean(residual, self.reach)
        found = [log(residual)]
        for side in self.windows:
            near = window_mean(residual, side)
            found += [log(near), log(near) - log(around)]
        chroma = image[:, [0, 2]] - image[:, [1]]
        edges = F.conv2d(F.pad(chroma, (2, 2, 2, 2), mode="reflect"), self.kernels[4:5].repeat(2, 1, 1, 1), groups=2)
        found += [log(window_mean(edges.square(), side)) for side in self.windows]
        return torch.cat(found, dim=1)

    def forward(self, image: Tensor) -> Tensor:
        features = (self.features(image) - self.centre.view(1, -1, 1, 1)) / self.spread.view(1, -1, 1, 1)
        return ((features * self.weight.view(1, -1, 1, 1)).sum(1, keepdim=True) + self.bias).sigmoid()

    def fit(self, batches: Iterable[dict[str, Tensor]], pixels: int = 60_000, seed: int = 0) -> Self:
        """Logistic regression of `mask` > 0.5 on pixels of `image`, drawn evenly from all batches, by scikit-learn.

        The bias is then moved so that a probability of 0.5 is the threshold with the highest IoU on these pixels.
        Errors: ValueError if the batches hold no object pixel.
        """
        batches = list(batches)
        generator = torch.Generator().manual_seed(seed)
        share = -(-pixels // len(batches))
        drawn = []
        with torch.no_grad():
            for batch in batches:
                features = self.features(batch["image"]).permute(0, 2, 3, 1).flatten(0, 2)
                pick = torch.randint(len(features), (share,), generator=generator).to(features.device)
                drawn.append((features[pick], (batch["mask"] > 0.5).flatten()[pick].float()))
        x, y = (torch.cat(part) for part in zip(*drawn, strict=True))
        if not y.any():
            raise ValueError("no pixel drawn belongs to an object")
        self.centre, self.spread = x.mean(0), x.std(0).clamp(min=1e-6)
        x = (x - self.centre) / self.spread
        fitted = LogisticRegression(C=1 / (2 * DECAY * len(y)), tol=1e-6, max_iter=1000).fit(x.double().cpu(), y.cpu())
        self.weight, bias = x.new_tensor(fitted.coef_[0]), x.new_tensor(fitted.intercept_[0])
        self.bias = bias - best_threshold(x @ self.weight + bias, y)
        return self


class PasteMask(nn.Module):
    """The detector's mask, and the mean depth it was told, as `MaskDepth`: one more baseline."""

    def __init__(self, detector: PasteDetector, depth: float):
        super().__init__()
        self.detector, self.depth = detector, depth

    def forward(self, image: Tensor) -> MaskDepth:
        """(B, C, H, W) in [0, 1]; only the first three channels count."""
        mask = self.detector(image[:, :3])
        depth = torch.full_like(mask, self.depth)
        return MaskDepth(mask, depth, torch.cat([mask, depth], dim=1))


def best_threshold(score: Tensor, y: Tensor) -> Tensor:
    """The score above which calling all positive has the highest IoU with y (N,) in {0, 1}."""
    order = score.argsort(descending=True)
    hits = y[order].cumsum(0)
    called = torch.arange(1, len(y) + 1, device=y.device)
    best = (hits / (called + y.sum() - hits)).argmax()
    ranked = score[order]
    return (ranked[best] + ranked[(best + 1).clamp(max=len(y) - 1)]) / 2


def window_mean(x: Tensor, side: int) -> Tensor:
    """Mean of a square window around each pixel of (B, C, H, W); beyond the edge nothing counts."""
    return F.avg_pool2d(x, side, stride=1, padding=side // 2, count_include_pad=False)


def log(square: Tensor) -> Tensor:
    """Logarithm of a squared residual, no smaller than half a step of 8 bits squared."""
    return (square + (0.5 / 255) ** 2).log()
