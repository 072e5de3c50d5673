"""Pets cut out of their photographs, standing in rooms: pictures, exact mask and exact depth."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from torch import Tensor

from htcv_lib.data.augment import Draws, picture_draws, picture_generator
from htcv_lib.data.batches import DataSet
from htcv_lib.data.files import cached_arrays, fetch, read_members
from htcv_lib.data.manifest import DataError, Manifest, load_manifest
from htcv_lib.data.textures import Textures, load_textures, of_split
from htcv_lib.image import to_levels
from htcv_lib.mask_depth.rooms.compositing import (
    contact_shadow,
    decoy,
    developed,
    draw_cameras,
    draw_decoy_look,
    draw_look,
    harmonised,
    in_fog,
    in_front,
    lit,
    over,
    photographed,
    surface_atlas,
    texture_colours,
)
from htcv_lib.mask_depth.rooms.geometry import (
    DEPTH_RANGE,
    FAR,
    SURFACES,
    Hits,
    Rooms,
    cast,
    draw_billboards,
    draw_rooms,
    mip_chain,
    sample_billboards,
    scene_depth,
)

# Pets cut out of their photographs along the trimap, in squares that they fill.

CUT_SIDE = 0.12  # of the box's side may touch the photograph's left, right or upper border
CUT_FOOT = 0.5  # and of its lower one
CUTOUTS_VERSION = 1


class Cutouts(NamedTuple):
    """A bank of cut-outs of one split."""

    pictures: Tensor  # (N, 4, S, S) uint8: colour and alpha, the pet's box stretched to the square
    aspects: Tensor  # (N,) float32, width over height of the box
    names: list[str]


def load_cutouts(dataset: str | Manifest, split: str, size: int = 96) -> Cutouts:
    """The cut-out pets of one split by identity.

    Args:
        dataset: "oxford_pets_630", "oxford_pets", either with "/sample", or a manifest of the same layout. The
            official split plays no role here.
        split: "train", "val" or "test" of `identity_split`.
        size: Side of the squares in pixels.

    Pets that the photograph's border cuts off at a side are left out, so that most stand whole.
    Errors: DataError if the split has none.
    """
    manifest = load_manifest(dataset)
    paths = fetch(manifest)

    def make() -> dict[str, np.ndarray]:
        made = list(cutouts_of((pair for path in paths.values() for pair in pairs(path, split)), size))
        if not made:
            raise DataError(f"{manifest.name}: no pet of split {split} can be cut out")
        names, pictures, aspects = zip(*sorted(made, key=lambda item: item[0]), strict=True)
        return {"pictures": np.stack(pictures), "aspects": np.array(aspects, np.float32), "names": np.array(names)}

    of_split((), split)  # complains about an unknown split
    key = {"kind": "cutouts", "data": manifest.digest, "split": split, "size": size, "cut": CUTOUTS_VERSION}
    arrays = cached_arrays(key, make)
    return Cutouts(torch.from_numpy(arrays["pictures"]), torch.from_numpy(arrays["aspects"]), arrays["names"].tolist())


def pairs(archive, split: str) -> Iterator[tuple[str, bytes, bytes]]:
    """Name, photograph and trimap, encoded, of each pair of a split in an archive of the official layout."""
    waiting: dict[str, dict[str, bytes]] = {}
    for member, content in read_members(archive, lambda name: name.endswith(".jpg") or "/trimaps/" in name):
        name = member.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        if name.startswith(".") or not of_split([name], split):
            continue
        waiting.setdefault(name, {})["photo" if member.endswith(".jpg") else "trimap"] = content
        if len(waiting[name]) == 2:
            found = waiting.pop(name)
            yield name, found["photo"], found["trimap"]


def cutouts_of(encoded: Iterable[tuple[str, bytes, bytes]], size: int) -> Iterator[tuple[str, np.ndarray, float]]:
    """Name, (4, size, size) uint8 and aspect of each pair whose pet can stand by itself."""
    for name, photo, trimap in encoded:
        values = np.asarray(Image.open(io.BytesIO(trimap)))
        colour = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB").resize(values.shape[::-1]))
        if (cut := cut_out(colour, values, size)) is not None:
            yield name, *cut


def cut_out(colour: np.ndarray, trimap: np.ndarray, size: int) -> tuple[np.ndarray, float] | None:
    """One pet as (4, size, size) uint8 and the width over height of its box; None if a border cuts it off.

    Args:
        colour: (H, W, 3) uint8.
        trimap: (H, W), 1 pet, 2 background, 3 border.

    In the border, alpha falls from 1 at the pet to 0 at the background by the distances to both, 0.5 midway; twice as
    steep, so that half the border is feather. The border's colours are partly the old background's, so they and all
    beyond come from the pet's inside: the mean of what is near.
    """
    inside = trimap == 1
    if inside.sum() < 200:
        return None
    to_pet = ndimage.distance_transform_edt(~inside)
    to_rest = ndimage.distance_transform_edt(trimap != 2) if (trimap == 2).any() else np.ones_like(to_pet)
    alpha = np.clip(2 * to_rest / np.maximum(to_pet + to_rest, 1e-6) - 0.5, 0, 1)
    where = np.argwhere(alpha > 0)
    top, left = where.min(0)
    bottom, right = where.max(0) + 1
    across, down = right - left, bottom - top
    if (max(inside[0].sum() / across, inside[:, 0].sum() / down, inside[:, -1].sum() / down) > CUT_SIDE
            or inside[-1].sum() / across > CUT_FOOT):
        return None
    weight = inside.astype(np.float32)
    known = colour * weight[..., None]
    for sigma in (1.5, 4.0, 12.0):  # the finest scale that has something to say
        share = ndimage.gaussian_filter(weight, sigma)
        near = np.stack([ndimage.gaussian_filter(known[..., c], sigma) for c in range(3)], axis=-1)
        heard = (share > 0.02) & (weight == 0)
        known[heard], weight[heard] = near[heard] / share[heard, None], 1
    known[weight == 0] = colour[inside].mean(0)
    picture = np.concatenate([known, 255 * alpha[..., None]], axis=-1)[top:bottom, left:right]
    bands = [Image.fromarray(np.ascontiguousarray(picture[..., c].astype(np.float32))).resize(
        (size, size), Image.Resampling.BILINEAR) for c in range(4)]
    stretched = np.stack([np.asarray(band) for band in bands])
    return stretched.round().clip(0, 255).astype(np.uint8), float(across / down)


# Pets that stand in rooms and on open grounds: pictures with and without them, exact mask and exact depth.
#
# What picture number i of a seed looks like depends on nothing else: not on how many are made at once.

VERSION = 1  # raise it when the same seed gives other pictures
NUMBERS = 96  # uniform numbers per picture
FINE = 2  # samples per pixel and side
CHUNK = 16  # pictures made at once


class PetPictures(NamedTuple):
    """Pictures and their truth."""

    image: Tensor  # (B, 3, H, W) uint8
    background: Tensor  # (B, 3, H, W) uint8, the same scene without the pet; own noise, same camera
    mask: Tensor  # (B, 1, H, W) uint8, alpha of the pet; above 127 is pet
    depth: Tensor  # (B, 1, H, W) float32 in (0, 1], along the optical axis over 10 m, with the pet


@dataclass(frozen=True)
class PetScenes:
    """The generator: banks of real pictures on a device, and how often what happens.

    Args:
        textures, cutouts: Of one split.
        size: Side of the pictures in pixels, at least 32.
        empty: Share of pictures without a pet.
        decoys: Share with a paste that left nothing behind: background over itself, which the mask ignores.
        camera: False leaves out blur, noise and JPEG, not the tone curve.
    """

    textures: Textures
    cutouts: Cutouts
    size: int = 64
    seed: int = 0
    empty: float = 0.2
    decoys: float = 0.3
    camera: bool = True
    device: str | torch.device = "cpu"

    def __post_init__(self):
        chains = {"walls": mip_chain(self.textures.pictures).to(self.device),
                  "pets": mip_chain(self.cutouts.pictures).to(self.device),
                  "aspects": self.cutouts.aspects.to(self.device)}
        object.__setattr__(self, "banks", chains)

    @torch.no_grad()
    def pictures(self, start: int, stop: int) -> PetPictures:
        """Pictures number start ... stop - 1 of this seed, on the device."""
        parts = [self._chunk(list(range(first, min(first + CHUNK, stop)))) for first in range(start, stop, CHUNK)]
        return PetPictures(*(torch.cat(field) for field in zip(*parts, strict=True)))

    def _chunk(self, indices: Sequence[int]) -> PetPictures:
        generators = [picture_generator(self.seed, index, "standing pets") for index in indices]
        draws = picture_draws(generators, NUMBERS, self.device)
        rooms = draw_rooms(draws)
        fine = self.size * FINE
        hits = cast(rooms, fine, fine)
        empty_scene = exposed(self._scene(rooms, hits, draws), draws)
        with_pet, alpha, pet_depth = self._with_pet(empty_scene, rooms, hits, draws)
        faked = self._with_decoy(empty_scene, with_pet, alpha, rooms, hits, draws)
        mask = to_levels(F.avg_pool2d(alpha[:, None], FINE))
        depth = scene_depth(cast(rooms, self.size, self.size))[:, None]
        depth = torch.where(mask > 127, pet_depth.view(-1, 1, 1, 1) / DEPTH_RANGE, depth)
        cameras = draw_cameras(draws)
        shown = [developed(F.avg_pool2d(picture, FINE), cameras) for picture in (faked, empty_scene)]
        if self.camera:
            noise = [torch.randn(2, *shown[0].shape[1:], generator=each) for each in generators]
            noise = torch.stack(noise, dim=1).to(self.device)  # (2, B, 3, H, W)
            stored = [photographed(picture, cameras, noise[i]) for i, picture in enumerate(shown)]
        else:
            stored = [to_levels(picture) for picture in shown]
        return PetPictures(*stored, mask, depth)

    def _scene(self, rooms: Rooms, hits: Hits, draws: Draws) -> Tensor:
        """The scene without anything in it, (B, 3, H, W) linear."""
        count = len(self.textures.pictures)
        floor, over_head = draws.choice(self.textures.grounds), draws.choice(self.textures.grounds)
        sides, view = draws.choice(count), draws.choice(self.textures.grounds)
        back = torch.where(rooms.bound[:, 3] < FAR, draws.choice(count), view)  # outdoors no pet is on the horizon
        chosen = torch.stack([floor, over_head, back, sides, sides], dim=1)
        assert chosen.shape[1] == len(SURFACES)
        colour = texture_colours(rooms, hits, surface_atlas(self.banks["walls"], chosen))
        return in_fog(colour * lit(rooms, hits)[:, None], hits.depth, rooms)

    def _with_pet(self, scene: Tensor, rooms: Rooms, hits: Hits, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
        """The scene with a pet, its alpha (B, H, W) and its distance in metres (B,)."""
        boards = draw_billboards(rooms, self.banks["aspects"], draws)
        colour, alpha = sample_billboards(boards, self.banks["pets"], *scene.shape[-2:])
        there = ~draws.chance(self.empty)
        alpha = in_front(alpha, boards, hits.depth) * there.view(-1, 1, 1)
        look = draw_look(draws)
        colour = in_fog(harmonised(colour.square(), alpha, scene, boards, look),
                        boards.depth.view(-1, 1, 1), rooms)
        shaded = scene * contact_shadow(rooms, hits, boards, look.shadow * there)
        return over(shaded, colour, alpha), alpha, boards.depth

    def _with_decoy(self, scene: Tensor, picture: Tensor, pet: Tensor, rooms: Rooms, hits: Hits,
                    draws: Draws) -> Tensor:
        """The picture with a pasted and removed pet, behind the one that is there."""
        boards, look = draw_billboards(rooms, self.banks["aspects"], draws), draw_decoy_look(draws)
        there = draws.chance(self.decoys).nonzero()[:, 0]
        if len(there) == 0:
            return picture
        boards, look = (type(each)(*(field[there] for field in each)) for each in (boards, look))
        _, alpha = sample_billboards(boards, self.banks["pets"], *scene.shape[-2:])
        alpha = in_front(alpha, boards, hits.depth[there]) * (1 - pet[there])
        return picture.index_copy(0, there, decoy(picture[there], alpha, look))


def exposed(scene: Tensor, draws: Draws) -> Tensor:
    """The scene (B, 3, H, W) scaled to a random mean, as a camera that measures light does."""
    mean = scene.mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-4)
    return scene * (draws.log_uniform(0.12, 0.34).view(-1, 1, 1, 1) / mean)


@dataclass(frozen=True)
class StandingPets(DataSet):
    """A pool of pictures in memory, made once."""

    images: Tensor  # (N, 3, H, W) uint8
    backgrounds: Tensor  # (N, 3, H, W) uint8
    masks: Tensor  # (N, 1, H, W) uint8
    depths: Tensor  # (N, 1, H, W) float16: exact to 1 part in 2,000

    @property
    def depth(self) -> Tensor:
        """(N, 1, H, W) float32 in (0, 1]."""
        return self.depths.float()

    def tensors(self) -> dict[str, Tensor]:
        """What a batch is cut from, by field name."""
        return {"image": self.images, "background": self.backgrounds, "mask": self.masks, "depth": self.depths}


def load_standing_pets(split: str, count: int, size: int = 64, seed: int = 0, pets: str | Manifest = "oxford_pets_630",
                       textures: str | Sequence[str] = ("base_images", "oxford_pets_images_1470"),
                       device: str | torch.device = "cpu") -> StandingPets:
    """The first `count` pictures of a split and seed, made on a device, kept in the cache, returned on the CPU.

    Args:
        split: "train", "val" or "test": pets and textures of `identity_split`, so no two splits share one.
        pets: A manifest of `load_cutouts`.
        textures: Manifests of `load_textures`; with "oxford_pets_630/sample" and "base_images/sample" nothing but the
            repository is needed.
    """
    names = [textures] if isinstance(textures, str) else list(textures)
    bank = 96 if size <= 96 else 128  # pixels of a texture and a cut-out

    def make() -> dict[str, np.ndarray]:
        walls, cutouts = load_textures(names, split, bank), load_cutouts(pets, split, bank)
        scenes = PetScenes(walls, cutouts, size, seed, device=device)
        made = [scenes.pictures(first, min(first + 256, count)) for first in range(0, count, 256)]
        image, background, mask, depth = (torch.cat(field).cpu() for field in zip(*made, strict=True))
        return {"image": image.numpy(), "background": background.numpy(), "mask": mask.numpy(),
                "depth": depth.half().numpy()}

    digests = [load_manifest(name).digest for name in (pets, *names)]
    key = {"kind": "standing_pets", "data": digests, "split": split, "count": count, "size": size, "seed": seed,
           "generator": VERSION, "device": torch.device(device).type}
    arrays = cached_arrays(key, make)
    return StandingPets(*(torch.from_numpy(arrays[name]) for name in ("image", "background", "mask", "depth")))
