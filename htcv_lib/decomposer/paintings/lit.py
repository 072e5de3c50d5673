"""Physical sequences: a painting under coloured lamps, behind solids that hide it and cast soft shadows on it.

All in linear light. The camera stands 10 above the middle of the painting, which is 7 wide and fills the picture.
Simple physics on the device, and on purpose not that of the path tracer that made the rendered test sequences: no
light goes from solid to solid or comes back from the painting, bar a constant share; shadows of clear solids are
tinted, never focused. What sequence number i of a seed looks like depends on nothing else.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from htcv_lib.data.augment import Draws, picture_draws, picture_generator
from htcv_lib.data.textures import Textures
from htcv_lib.decomposer.paintings.lights import Arriving, StageLights, draw_lights
from htcv_lib.decomposer.paintings.solids import Looks, Solids, draw_looks, draw_solids, highlight
from htcv_lib.decomposer.paintings.view import CAMERA, on_painting, past_solids, plane_grid, shadows
from htcv_lib.image import linear, srgb

NUMBERS = 192  # uniform numbers per view


class Varnish(NamedTuple):
    """How glossy the painting is in each view."""

    gloss: Tensor  # (V,) strength of its highlights; 0 is matte
    shine: Tensor  # (V,) their exponent


class Sensor(NamedTuple):
    """Noise, in linear light."""

    read: Tensor  # (V,) standard deviation everywhere
    shot: Tensor  # (V,) and at white, growing with the root of the light


class LitSequence(NamedTuple):
    """T views of one picture and their truth."""

    image: Tensor  # (3, T, H, W) in [0, 1], sRGB, with noise
    original: Tensor  # (3, 1, H, W) in [0, 1], sRGB
    mask: Tensor  # (1, T, H, W) share of the pixel in which a solid is seen
    occlusion: Tensor  # (3, T, H, W) in [0, 1], sRGB: that share's colour, without noise; 0 elsewhere
    irradiance: Tensor  # (3, T, H, W) >= 0, linear
    clean: Tensor  # (3, T, H, W) in [0, 1], sRGB: the image without noise
    chosen: int  # which picture of the bank


@dataclass(frozen=True)
class LitSequences:
    """The generator: pictures of one split, of the size that the views get, on a device.

    Args:
        textures: Clean pictures; also what solids may be covered with.
        samples: Places on each lamp from which shadows are cast.
        noise, varnish: False leaves out the sensor's noise, or the painting's highlights.
    """

    textures: Textures
    views: int = 10
    seed: int = 0
    samples: int = 12
    noise: bool = True
    varnish: bool = True
    device: str | torch.device = "cpu"

    def __post_init__(self):
        object.__setattr__(self, "bank", self.textures.pictures.to(self.device))

    @torch.no_grad()
    def sequence(self, index: int) -> LitSequence:
        """Sequence number `index` of this seed."""
        chosen, mirrored = clean_picture(self.textures, self.seed, index)
        generators = [picture_generator(self.seed, index, f"lit view {t}") for t in range(self.views)]
        draws = picture_draws(generators, NUMBERS)
        lights, solids, looks, varnish, sensor, turn, ambient = self._drawn(draws)
        both = (lights.colour.amax(-1) > 0, solids.there)  # known on the CPU: a GPU need not be asked
        normal = torch.stack([torch.randn(self.bank.shape[1:], generator=each) for each in generators]).to(self.device)
        lights, solids, looks, varnish, sensor = (type(each)(*(field.to(self.device) for field in each))
                                                  for each in (lights, solids, looks, varnish, sensor))
        stored = self.bank[chosen].flip(-1) if mirrored else self.bank[chosen]
        size = stored.shape[-1]
        light = on_painting(lights, size)
        share = shadows(lights, solids, looks.cast(), turn.to(self.device), size, self.samples, both)
        share = share * light.strength[:, :, None]  # (V, L, 3, H, W)
        irradiance = (share * lights.colour[..., None, None]).sum(1) + ambient.to(self.device)[:, None, None, None]
        seen = linear(stored) * irradiance
        if self.varnish:
            seen = seen + self._glints(lights, light, share, varnish)
        view, hidden, mask = past_solids(seen, irradiance, lights, solids, looks, self.bank, both[1])
        noise = (sensor.read.square()[:, None, None, None] + sensor.shot.square()[:, None, None, None] * view).sqrt()
        image = srgb((view + noise * normal).clamp(0, 1)) if self.noise else srgb(view.clamp(0, 1))
        fields = (image, stored[None].float() / 255, mask, hidden, irradiance, srgb(view.clamp(0, 1)))
        return LitSequence(*(field.transpose(0, 1) for field in fields), chosen)

    def _drawn(self, draws: Draws) -> tuple[StageLights, Solids, Looks, Varnish, Sensor, Tensor, Tensor]:
        """Everything random about V views but the noise itself."""
        lights, solids, looks = draw_lights(draws), draw_solids(draws), draw_looks(draws, len(self.bank))
        varnish = Varnish(draws.log_uniform(0.004, 0.08) * draws.chance(0.8), draws.log_uniform(10, 800))
        sensor = Sensor(draws.log_uniform(0.0005, 0.004), draws.log_uniform(0.003, 0.02))
        turn = torch.stack([draws.uniform(0, 2 * torch.pi) for _ in range(lights.radius.shape[1])], dim=1)
        return lights, solids, looks, varnish, sensor, turn, draws.uniform(0, 0.02) * draws.chance(0.5)

    def _glints(self, lights: StageLights, light: Arriving, share: Tensor, varnish: Varnish) -> Tensor:
        """Highlights of the lamps on the varnish, (V, 3, H, W); large lamps have wide and dim ones."""
        grid = plane_grid(share.shape[-1], share.device)
        x, y, z = torch.broadcast_tensors(-grid, grid[:, None], torch.tensor(CAMERA[2], device=grid.device))
        length = (x * x + y * y + z * z).rsqrt()
        zero = torch.zeros((), device=grid.device)
        spread = 1 / varnish.shine[:, None] + 0.5 * (lights.radius / lights.position[..., 2]).square()
        lobe = highlight(light.toward, (zero, zero, zero + 1), (x * length, y * length, z * length),
                         (1 / spread)[..., None, None]) * varnish.gloss[:, None, None, None]
        return (share * lobe[:, :, None] * lights.colour[..., None, None]).sum(1)


def clean_picture(textures: Textures, seed: int, index: int) -> tuple[int, bool]:
    """Which picture of a bank is the clean one of sequence number `index`, and whether it is mirrored.

    Half of the time it is one of the pictures that may lie on the ground elsewhere: paintings and photographs of the
    base images. Otherwise it is any of the bank.
    """
    draws = picture_draws([picture_generator(seed, index, "clean picture")], 3)
    count = torch.where(draws.chance(0.5), textures.grounds, len(textures.pictures))
    return int(draws.uniform() * count), bool(draws.chance(0.5))
