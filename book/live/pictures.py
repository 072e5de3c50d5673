"""What the live figures show first, and the stills before them: `python book/live/pictures.py [figure ...]`.

Needs the networks of `export.py` and the packs that HTCV_DATA names. Test pictures only, the first of their kind.
"""

import io
import json
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from export import CHOSEN, EXPORTS, LIVE, Answer
from PIL import Image
from torch import Tensor

import htcv_lib
from htcv_lib import decomposer, figures, mask_depth, neural_renderer, vae
from htcv_lib.data.augment import picture_draws, picture_generator
from htcv_lib.data.files import fetch
from htcv_lib.data.manifest import load_manifest
from htcv_lib.data.textures import load_textures
from htcv_lib.mask_depth.rooms import geometry
from htcv_lib.mask_depth.rooms.compositing import draw_cameras
from htcv_lib.mask_depth.rooms.pets import FINE, NUMBERS, exposed
from htcv_lib.pets_unet.data import squashed, trimap_classes

TILE, GAP = 240, 8  # pixels of a still picture
ROOMS = 3
BREEDS = 6
STANDING = ("Abyssinian_44", "american_bulldog_16", "Bengal_195", "american_bulldog_43")  # of those seen whole
SEQUENCES = (3, 0)


@torch.no_grad()
def answer(name: str, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
    """What the network of a live figure says."""
    export = EXPORTS[name]
    return Answer(htcv_lib.load(export.run), export.answer).eval()(*inputs)


def picture(values: Tensor) -> Image.Image:
    """(1 or 3, H, W) in [0, 1]."""
    levels = (values.clamp(0, 1) * 255).round().byte().numpy()
    return Image.fromarray(levels.squeeze(0) if len(levels) == 1 else levels.transpose(1, 2, 0))


def strip(tiles: Sequence[Image.Image]) -> Image.Image:
    """Tiles side by side, enlarged without smoothing, with transparent gaps."""
    still = Image.new("RGBA", (len(tiles) * (TILE + GAP) - GAP, TILE))
    for place, tile in enumerate(tiles):
        still.paste(tile.convert("RGB").resize((TILE, TILE), Image.Resampling.NEAREST), (place * (TILE + GAP), 0))
    return still


def sphere(folder: Path) -> list[Image.Image]:
    position = neural_renderer.PixelFeatures.grid(TILE, CHOSEN)
    trained = ((position + 1) * 16).floor().add(0.5) / 16 - 1  # centres of 32 x 32 pixels
    logits, colour = answer("sphere/pixels", CHOSEN, position, trained)
    ours = torch.where(logits[:, None] > 0, colour, 0).T.unflatten(1, (TILE, TILE))
    return [picture(neural_renderer.render(CHOSEN, TILE)[0]), picture(ours),
            *(picture(answer(f"sphere/model{k}", CHOSEN)[0]) for k in (2, 3))]


def digit(folder: Path) -> list[Image.Image]:
    tests = vae.load_mnist("mnist/sample", "test")
    order = [(tests.labels == label).nonzero()[turn, 0].item() for turn in range(2) for label in range(10)]
    chosen = tests.images[order]
    picture(torch.cat(list(chosen), dim=-1) / 255).save(folder / "digits.png")
    image, label = chosen[4:5] / 255, torch.tensor([4])
    ours = answer("digit/decoder", answer("digit/encoder", image, label))
    theirs = (answer(f"digit/{name}", image, label) for name in ("reported", "described"))
    return [picture(image[0]), *(picture(digits[8]) for digits in (*theirs, ours))]


def pet(folder: Path) -> list[Image.Image]:
    (archive,) = fetch(load_manifest("oxford_pets_630")).values()
    with tarfile.open(archive) as tar:
        listed = tar.extractfile("annotations/test.txt").read().decode().splitlines()
        breeds = {line.split()[0].rsplit("_", 1)[0]: line.split()[0] for line in reversed(listed) if line[:1] != "#"}
        for number, name in enumerate(sorted(breeds.values())[:BREEDS]):
            photo = tar.extractfile(f"images/{name}.jpg").read()
            trimap = tar.extractfile(f"annotations/trimaps/{name}.png").read()
            Image.open(io.BytesIO(photo)).convert("RGB").save(folder / f"{number}.webp", quality=90)
            Image.fromarray(trimap_classes(trimap, 64) * np.uint8(100)).save(folder / f"{number}-truth.png")
    photo = Image.open(folder / "0.webp")
    image = torch.from_numpy(squashed(photo, 64)[None] / np.float32(255))
    tones = torch.tensor([1.0, 0.0, 0.5])  # of pet, background, border
    answers = [tones[answer(f"pet/{name}", image).argmax(1)] for name in ("recipe", "done-well")]
    truth = Image.open(folder / "0-truth.png").point([255] + [0] * 199 + [128] * 56)
    return [photo, truth, *map(picture, answers)]


def trimap(folder: Path) -> list[Image.Image]:
    (archive,) = fetch(load_manifest("oxford_pets_630")).values()
    patches, stills, side = [], [], 16
    with tarfile.open(archive) as tar:
        listed = tar.extractfile("annotations/test.txt").read().decode().splitlines()
        for name in [line.split()[0] for line in listed if line[:1] != "#"][:3]:
            given = Image.open(io.BytesIO(tar.extractfile(f"annotations/trimaps/{name}.png").read()))
            photo = Image.open(io.BytesIO(tar.extractfile(f"images/{name}.jpg").read())).convert("RGB")
            numbers = np.asarray(given)
            nearest, bilinear = (np.asarray(Image.fromarray(numbers).resize((64, 64), how)) - 1
                                 for how in (Image.Resampling.NEAREST, Image.Resampling.BILINEAR))
            shares = [np.asarray(Image.fromarray((numbers == k).astype(np.float32)).resize(
                (64, 64), Image.Resampling.BILINEAR)) for k in (1, 2, 3)]
            wrong = (nearest == 2) & (bilinear == 1)
            there = np.lib.stride_tricks.sliding_window_view(wrong, (side, side)).sum((2, 3))
            top, left = np.unravel_index(there.argmax(), there.shape)
            cut = np.s_[top : top + side, left : left + side]
            patches.append({"nearest": nearest[cut].ravel().tolist(), "bilinear": bilinear[cut].ravel().tolist(),
                            "shares": [[round(float(one), 3) for one in share[cut].ravel()] for share in shares]})
            small = Image.fromarray(np.asarray(photo.resize((64, 64), Image.Resampling.BILINEAR))[cut])
            small.save(folder / f"{len(patches) - 1}.png")
            stills.append([small, *(Image.fromarray(figures.class_map(part[cut])) for part in (nearest, bilinear))])
    (folder / "patches.json").write_text(json.dumps({"side": side, "patches": patches}))
    return stills[0]


def room(folder: Path) -> list[Image.Image]:
    walls = load_textures("base_images", "test", 96)
    pets = mask_depth.load_cutouts("oxford_pets_630", "test", 96)
    scenes = mask_depth.PetScenes(walls, pets)
    told = {"rooms": [], "pets": []}
    for index in range(100):
        draws = picture_draws([picture_generator(0, index, "live rooms")], NUMBERS)
        space = geometry.draw_rooms(draws)
        inside = space.bound[0, 3] < geometry.FAR and space.bound[0, 2] > 4 and space.pitch[0] > 0.15
        if not inside or len(told["rooms"]) == ROOMS:
            continue
        hits = geometry.cast(space, 64 * FINE, 64 * FINE)
        light = exposed(scenes._scene(space, hits, draws), draws)[0]
        number = len(told["rooms"])
        picture(light.sqrt()).save(folder / f"room{number}.png")
        depth = geometry.scene_depth(geometry.cast(space, 64, 64))[0]
        (folder / f"room{number}.u16").write_bytes((depth * 65535).round().numpy().astype("<u2").tobytes())
        columns = torch.linspace(-1, 1, 65)
        one = geometry.Rooms(*(value.expand(65, *value.shape[1:]) for value in space))
        told["rooms"].append({"eye": space.bound[0, 0].item(), "pitch": space.pitch.item(), "focal": space.focal.item(),
                              "fog": space.fog.item(), "fogColour": space.fog_colour[0].tolist(),
                              "contrast": draw_cameras(draws).contrast.item(),
                              "far": (0.9 * geometry.room_for(one, columns)).clamp(max=8).tolist()})
    for number, place in enumerate(map(pets.names.index, STANDING)):
        Image.fromarray(pets.pictures[place].permute(1, 2, 0).numpy()).save(folder / f"pet{number}.webp", lossless=True)
        told["pets"].append(pets.aspects[place].item())
    (folder / "rooms.json").write_text(json.dumps(told))
    tests = mask_depth.load_standing_pets("test", 32)
    best = tests.masks.flatten(1).float().mean(1).argsort()[24]
    image = tests.images[best : best + 1] / 255
    found = [part[0] for name in ("report", "done-well") for part in answer(f"room/{name}", image)]
    return [picture(image[0]), picture(tests.masks[best] / 255), picture(found[2]), picture(found[3])]


def views(folder: Path) -> list[Image.Image]:
    tests = decomposer.load_rendered("test", 64)
    for number, place in enumerate(SEQUENCES):
        row = torch.cat([*tests.images[place].unbind(1), tests.originals[place][:, 0]], dim=-1)
        Image.fromarray(row.permute(1, 2, 0).numpy()).save(folder / f"sequence{number}.webp", quality=95)
    image = tests.images[SEQUENCES[0]][None] / 255
    found = answer("views/done-well", image)
    return [picture(image[0, :, 0]), picture(image[0, :, 5]), picture(found[0][0, :, 0]),
            picture(tests.originals[SEQUENCES[0]][:, 0] / 255)]


FIGURES = {each.__name__: each for each in (sphere, digit, pet, trimap, room, views)}


def main(names: Sequence[str]) -> None:
    for name in names or FIGURES:
        (LIVE / name).mkdir(exist_ok=True)
        strip(FIGURES[name](LIVE / name)).save(LIVE / name / "still.webp", quality=90)


if __name__ == "__main__":
    main(sys.argv[1:])
