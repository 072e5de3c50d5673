"""A network that colours one pixel at a time, and what it is told of the scene and of the pixel.

A neural field that is told the scene (after Mildenhall et al., 2020, arXiv:2003.08934, and Tancik et al., 2020,
arXiv:2006.10739). What it is told is the choice of its `features`: see `PixelFeatures` for the ladder of knowledge.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htcv_lib.data.augment import stream_seed
from htcv_lib.image import Size, height_width
from htcv_lib.neural_renderer.networks import make_generator
from htcv_lib.neural_renderer.phong import FAR, HALF_FIELD, NEAR, outline_box, pixel_grid, positions, projected, seen
from htcv_lib.neural_renderer.scenes import SceneBatches, encode_scene, looks_at_object


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
        features: What is known of a pixel, for instance `PixelFeatures("projected")`: a callable with its `count` and
            `grid`.
        width: Of all layers.
        num_blocks: Residual layers.

    Shapes:
        scene:    (B, 10), in world units
        position: (B, K, 2), or (K, 2) for all scenes
        return:   `PixelOutput`
    """

    def __init__(self, features: "PixelFeatures", width: int = 128, num_blocks: int = 3):
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
def predict_image(net: CoordinateNet, scene: Tensor, size: Size = 128, chunk: int = 1 << 16) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1] of `scene` (B, 10): the colour where the sphere is likelier than not, else black.

    Args:
        size: H = W, or (H, W); any, whatever the network was trained on.
        chunk: Pixels computed at once, of one picture or several; memory grows with it.
    """
    height, width = height_width(size)
    position = net.features.grid((height, width), scene)
    at_once = max(1, chunk // len(position))  # scenes
    images = []
    for part in scene.split(at_once):
        pieces = [net(part, some) for some in position.split(max(1, chunk // len(part)))]
        logits, colour = (torch.cat([piece[which] for piece in pieces], dim=1).float() for which in (0, 1))
        image = torch.where(logits[..., None] > 0, colour, 0)
        images.append(image.transpose(1, 2).unflatten(2, (height, width)))
    return torch.cat(images) if images else scene.new_zeros(0, 3, height, width)


# The ladder of knowledge. Positions are those of `htcv_lib.neural_renderer.phong.positions`.

RUNGS = {"scene": 12, "coords": 36, "projected": 44, "hit": 57}  # rung: numbers a pixel gets
OCTAVES = 6  # of the Fourier features: the shortest period is 4 pixels of a 128 px picture
FARTHEST = 3.0  # half widths of the sphere's box; further out a pixel is only "far"
MARGIN = 4.0  # pixels around the sphere's box from which half the pixels are drawn


class PixelFeatures:
    """Numbers for pixels of scenes, up to a rung of the ladder; each rung adds to the one before.

    - "scene": the ten encoded numbers, and the position, as they are.
    - "coords": sines and cosines of the position at 6 octaves (Tancik et al., 2020, arXiv:2006.10739).
    - "projected": where and how large the sphere appears, and the position relative to that.
    - "hit": where the pixel's ray meets the sphere, the normal there, the directions to the light and to the eye, all
      in camera coordinates; zero where it meets nothing. This is a renderer that lacks only the formula of Phong: the
      silhouette is given away, and a network learns two inner products and a power.

    Args:
        inputs: The rung.
        camera_at_object: As in `render`; for the sampler "centred".
    """

    def __init__(self, inputs: str = "coords", camera_at_object: bool = False):
        if inputs not in RUNGS:
            raise ValueError(f"inputs must be one of {', '.join(RUNGS)}, got {inputs!r}")
        self.inputs, self.count, self.camera_at_object = inputs, RUNGS[inputs], camera_at_object

    def __call__(self, scene: Tensor, position: Tensor) -> Tensor:
        """Of scenes (B, 10) and positions (B, K, 2), or (K, 2) for all scenes: (B, K, count)."""
        position = position.expand(len(scene), *position.shape[-2:])
        parts = [encode_scene(scene)[:, None].expand(-1, position.shape[1], -1), position]
        if self.inputs != "scene":
            parts += [waves(position)]
        if self.inputs in ("projected", "hit"):
            parts += [relative(seen(scene, self.camera_at_object).centre, position)]
        if self.inputs == "hit":
            parts += [ray_hit(*seen(scene, self.camera_at_object), position)]
        return torch.cat(parts, dim=-1)

    @staticmethod
    def grid(size: Size, like: Tensor) -> Tensor:
        """Positions (H * W, 2) of all pixel centres, row by row, on the device and in the precision of `like`."""
        return pixel_grid(size).to(like)


def waves(position: Tensor) -> Tensor:
    """Sine and cosine of pi 2^k x and pi 2^k y, k below OCTAVES: (B, K, 2) -> (B, K, 4 OCTAVES)."""
    frequency = math.pi * 2.0 ** torch.arange(OCTAVES, device=position.device, dtype=position.dtype)
    angle = (position[..., None] * frequency).flatten(-2)
    return torch.cat((angle.sin(), angle.cos()), dim=-1)


def relative(centre: Tensor, position: Tensor) -> Tensor:
    """The middle of the sphere's box (2), its half width and half height (2), the position in these (2) and the square
    of its distance, whether there is a box: (B, 3) in camera coordinates, (B, K, 2) -> (B, K, 8), zero without."""
    box = outline_box(centre, 2)  # in half picture heights from the upper left corner
    there = ~box.isnan().any(1, keepdim=True)
    left, top, right, bottom = box.nan_to_num().unbind(1)
    middle = torch.stack(((left + right) / 2 - 1, 1 - (top + bottom) / 2), dim=1)
    half = torch.stack((right - left, bottom - top), dim=1) / 2
    offset = (position - middle[:, None]) / torch.where(there, half, 1)[:, None]
    distance2 = offset.square().sum(-1, keepdim=True).clamp(max=FARTHEST)
    known = torch.cat((middle.clamp(-FARTHEST, FARTHEST), half.clamp(max=FARTHEST)), dim=1)[:, None]
    parts = (known.expand(*position.shape[:2], -1), offset.clamp(-FARTHEST, FARTHEST), distance2,
             torch.ones_like(distance2))
    return torch.where(there[:, None], torch.cat(parts, dim=-1), 0)


def ray_hit(centre: Tensor, light: Tensor, position: Tensor) -> Tensor:
    """Whether the ray meets the sphere, the point over 20, normal, directions to light and eye: (B, K, 13).

    Args:
        centre: (B, 3) of the sphere from the eye, in camera coordinates.
        light: (B, 3) of the light from the sphere's centre.
        position: (B, K, 2)
    """
    ray = F.normalize(torch.cat((position * HALF_FIELD, torch.ones_like(position[..., :1])), dim=-1), dim=-1)
    away = centre[:, None]
    along = (ray * away).sum(-1, keepdim=True)
    foot = along * ray - away  # the ray's point nearest to the centre, from there
    inside = 1 - foot.square().sum(-1, keepdim=True)
    half = torch.where(inside > 0, inside, 1).sqrt()
    depth = (along - half) * ray[..., 2:]
    hit = (inside > 0) & (depth >= NEAR) & (depth <= FAR)
    normal = foot - half * ray
    to_light = F.normalize(light[:, None] - normal, dim=-1)
    parts = (torch.ones_like(along), (along - half) * ray / 20, normal, to_light, -ray)
    return torch.where(hit, torch.cat(parts, dim=-1), 0)


def sample_pixels(batch: dict[str, Tensor], count: int, generator: torch.Generator,
                  camera_at_object: bool = False) -> dict[str, Tensor]:
    """`count` pixels of every picture, drawn with replacement: half from all of it, half from around the sphere.

    Around the sphere means its box grown by 4 pixels, as far as it is in the picture; the whole picture if it is not.

    Args:
        batch: scene (B, 10), image (B, 3, H, W), mask (B, 1, H, W).
        generator: On the batch's device.

    Returns scene (B, 10), position (B, K, 2), colour (B, K, 3) in [0, 1] and mask (B, K) in {0, 1}.
    """
    scene, image, mask = batch["scene"], batch["image"], batch["mask"]
    height, width = size = tuple(image.shape[-2:])
    whole = scene.new_tensor((0, 0, width, height))
    box = projected(scene, size, camera_at_object).box
    grown = box + box.new_tensor((-MARGIN, -MARGIN, MARGIN, MARGIN))
    limit = whole[2:].repeat(2)
    inner = grown.clamp(min=torch.zeros_like(limit), max=limit)
    seen_box = ((inner[:, 2:] - inner[:, :2]) >= 1).all(1, keepdim=True)  # false for NaN
    inner = torch.where(seen_box, inner, whole)
    near = torch.arange(count, device=scene.device)[:, None] < count // 2
    low, high = (torch.where(near, inner[:, None, part], whole[part]) for part in (slice(2), slice(2, 4)))
    drawn = torch.rand(len(scene), count, 2, generator=generator, device=scene.device)
    pixel = torch.lerp(low, high, drawn).floor().long()
    pixel = pixel.minimum(torch.tensor((width - 1, height - 1), device=scene.device))
    place = (pixel[..., 1] * width + pixel[..., 0])[:, None]  # (B, 1, K)
    colour = image.flatten(2).gather(2, place.expand(-1, 3, -1)).transpose(1, 2)
    return {"scene": scene, "position": positions(pixel, size).to(scene), "colour": colour,
            "mask": mask.flatten(2).gather(2, place)[:, 0]}


class PixelBatches:
    """The batches of `scenes` with `count` sampled pixels of each picture in place of the picture.

    Which pixels are drawn depends on the seed and epoch of `scenes` only. Yields what `sample_pixels` returns.
    """

    def __init__(self, scenes: SceneBatches, count: int = 256):
        self.scenes = scenes
        self.count = count

    def __len__(self) -> int:
        return len(self.scenes)

    def state_dict(self) -> dict[str, Any]:
        return self.scenes.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scenes.load_state_dict(state)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        scenes = self.scenes
        seed = stream_seed(scenes.seed, scenes.epoch, "pixels")
        generator = torch.Generator(scenes.device).manual_seed(seed)
        turned = looks_at_object(scenes.sampler)
        return (sample_pixels(batch, self.count, generator, turned) for batch in scenes)


def build_network(parameters: dict[str, Any]) -> nn.Module:
    """The network of a run that draws, freshly initialised, from the parameters in its record."""
    if "generator" in parameters:
        return make_generator(parameters["generator"], parameters["image_size"], parameters["width_factor"])
    turned = looks_at_object(parameters["sampler"])
    return CoordinateNet(PixelFeatures(parameters["inputs"], camera_at_object=turned), parameters["width"],
                         parameters["num_blocks"])
