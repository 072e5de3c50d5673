"""A network that colours one pixel at a time, from what it is told of the scene and of the pixel.

A neural field that is told the scene (after Mildenhall et al., 2020, arXiv:2003.08934, and Tancik et al., 2020,
arXiv:2006.10739). What it is told is the choice of its `features`: see `PixelFeatures` for the ladder of knowledge.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn


class Features(Protocol):
    """What the network asks of its features."""

    count: int  # numbers a pixel gets

    def __call__(self, scene: Tensor, position: Tensor) -> Tensor:
        """Scenes (B, 10), positions (B, K, 2) or (K, 2) -> (B, K, count)"""

    def grid(self, size: int | tuple[int, int], like: Tensor) -> Tensor:
        """Positions (H * W, 2) of a picture's pixels, row by row."""


class PixelOutput(NamedTuple):
    """What the network says of pixels."""
    logits: Tensor  # (B, K)     of the sphere being there
    colour: Tensor  # (B, K, 3)  in (0, 1), if it is


class ResidualLayer(nn.Module):
    """`h + f(h)`, f = linear, SiLU, linear: (..., width) -> (..., width)."""

    def __init__(self, width: int):
        super().__init__()
        self.change = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        init_linear(self.change[0])
        init_linear(self.change[2], gain=0.3)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.change(h)


def init_linear(layer: nn.Linear, gain: float = 2**0.5) -> None:
    """Normal weights that keep a signal's size (He et al., 2015, arXiv:1502.01852), or `gain` / sqrt(2) of it.

    PyTorch's own are 2.4 times smaller, with which the signal fades and the network learns more slowly.
    """
    nn.init.normal_(layer.weight, 0, gain * layer.in_features**-0.5)
    nn.init.zeros_(layer.bias)


class CoordinateNet(nn.Module):
    """Residual layers over the features of a pixel; one head for the silhouette, one for the colour.

    Args:
        features: What is known of a pixel, for instance `PixelFeatures("projected")`.
        width: Of all layers.
        num_blocks: Residual layers.

    Shapes:
        scene:    (B, 10), in world units
        position: (B, K, 2), or (K, 2) for all scenes
        return:   `PixelOutput`
    """

    def __init__(self, features: Features, width: int = 128, num_blocks: int = 3):
        super().__init__()
        self.features = features
        self.stem = nn.Sequential(nn.Linear(features.count, width), nn.SiLU())
        init_linear(self.stem[0])
        self.blocks = nn.Sequential(*(ResidualLayer(width) for _ in range(num_blocks)))
        self.heads = nn.Sequential(nn.SiLU(), nn.Linear(width, 4))

    def forward(self, scene: Tensor, position: Tensor) -> PixelOutput:
        with torch.autocast(scene.device.type, enabled=False):  # bfloat16 would blur positions by half a pixel
            heads = self.heads(self.blocks(self.stem(self.features(scene, position))))
        return PixelOutput(heads[..., 0], heads[..., 1:].sigmoid())

    def pictures(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, 3, H, W) in [0, 1] for `batch["scene"]`, of the size of `batch["image"]`."""
        return predict_image(self, batch["scene"], tuple(batch["image"].shape[-2:]))


@torch.no_grad()
def predict_image(net: CoordinateNet, scene: Tensor, size: int | tuple[int, int] = 128, chunk: int = 1 << 16) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1] of `scene` (B, 10): the colour where the sphere is likelier than not, else black.

    Args:
        size: H = W, or (H, W); any, whatever the network was trained on.
        chunk: Pixels computed at once, of one picture or several; memory grows with it.
    """
    height, width = (size, size) if isinstance(size, int) else size
    position = net.features.grid((height, width), scene)
    at_once = max(1, chunk // len(position))  # scenes
    images = []
    for part in scene.split(at_once):
        pieces = [net(part, some) for some in position.split(max(1, chunk // len(part)))]
        logits, colour = (torch.cat([piece[which] for piece in pieces], dim=1).float() for which in (0, 1))
        image = torch.where(logits[..., None] > 0, colour, 0)
        images.append(image.transpose(1, 2).unflatten(2, (height, width)))
    return torch.cat(images) if images else scene.new_zeros(0, 3, height, width)
