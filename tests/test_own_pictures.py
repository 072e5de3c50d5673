"""Your own pictures through a trained network: `htcv try`, whatever a phone, a scanner or a program writes."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from htcv_lib import MOST, load, show, vae
from htcv_lib.cli import main
from htcv_lib.image import read_picture
from htcv_lib.vae import read_digit

NETWORKS = ["pets_unet/done-well", "mask_depth/done-well-composite", "decomposer/done-well", "vae/mnist-done-well"]


def stroke(height: int = 90, width: int = 70) -> np.ndarray:
    """A sloping line of ink, (H, W) in [0, 1]."""
    y, x = np.mgrid[:height, :width]
    near = np.abs(x - width / 2 + 0.3 * (y - height / 2)) < max(1, width / 20)
    return near * (np.abs(y - height / 2) < 0.35 * height)


def odd_pictures(folder: Path) -> list[Path]:
    """A stroke in every odd kind of file."""
    levels = np.uint8(230 - 200 * stroke())
    rgb = Image.fromarray(levels).convert("RGB")
    turned = Image.Exif()
    turned[0x0112] = 6
    alpha = rgb.convert("RGBA")
    alpha.putalpha(Image.fromarray(np.uint8(255 * stroke())))
    tiny = Image.fromarray(levels[20:25, 33:36])
    kinds = {"durchsichtig.png": alpha, "grau 16 bit.png": Image.fromarray(levels.astype(np.uint16) * 257),
             "Palette.gif": rgb.convert("P"), "gedreht.jpg": rgb, "winzig 3x5.png": tiny,
             "sehr lang.png": rgb.resize((3000, 9)), "Müllers Ölbild $5$ (ß).bmp": rgb,
             "zwei Stufen.png": rgb.convert("1")}
    for name, picture in kinds.items():
        picture.save(folder / name, **({"exif": turned} if name == "gedreht.jpg" else {}))
    return [folder / name for name in kinds]


@pytest.mark.parametrize("network", NETWORKS)
def test_every_odd_picture_goes_through_the_network_of_every_family(network, tmp_path, capsys):
    paths = odd_pictures(tmp_path)
    (tmp_path / "notes.txt").write_text("no picture")
    assert main(["try", network, str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    sheet = tmp_path / "out" / f"{network.replace('/', '-')}.png"
    assert said.out == f"{sheet}\n"
    left_out = [line for line in said.err.splitlines() if line.startswith("htcv: left out")]
    assert len(said.err.splitlines()) == len(left_out) == (network.startswith("vae"))  # 3 x 5 pixels without ink
    with Image.open(sheet) as drawn:
        assert drawn.width > 1000 and drawn.height > 100 * (len(paths) - 1)


def test_a_picture_is_squashed_upright_and_white_where_it_is_transparent(tmp_path):
    odd_pictures(tmp_path)
    assert read_picture(tmp_path / "durchsichtig.png", (8, 6)).shape == (1, 3, 8, 6)
    corners = read_picture(tmp_path / "durchsichtig.png", 16)[0, :, ::15, ::15]
    assert corners.min() > 0.99
    upright, turned = (read_picture(tmp_path / name, 32) for name in ("Müllers Ölbild $5$ (ß).bmp", "gedreht.jpg"))
    assert (upright.rot90(-1, (2, 3)) - turned).abs().mean() < 0.02


@pytest.mark.parametrize("ground", ["light", "dark", "shaded"])
def test_a_stroke_on_any_ground_becomes_bright_ink_in_the_middle_of_28_pixels(ground, tmp_path):
    page = np.zeros((400, 300))
    page[30:120, 200:270] = stroke()
    light = {"light": 0.9 - 0.7 * page, "dark": 0.2 + 0.7 * page,
             "shaded": np.linspace(1, 0.5, 400)[:, None] * (1 - 0.7 * page)}[ground]
    light = light + np.random.default_rng(0).normal(0, 0.01, light.shape)
    Image.fromarray(np.uint8(light.clip(0, 1) * 255)).save(tmp_path / "page.png")
    digit = read_digit(tmp_path / "page.png")
    assert digit.shape == (1, 1, 28, 28) and digit.max() == 1 and 0.02 < digit.mean() < 0.2
    rows = (digit.amax((0, 1, 3)) > 0.3).nonzero()
    assert 18 <= rows[-1] - rows[0] + 1 <= 22
    place = torch.arange(28) + 0.5
    assert [float((digit.sum((0, 1, 3 - axis)) * place).sum() / digit.sum()) for axis in (0, 1)] == \
        pytest.approx([14, 14], abs=0.8)


def test_digits_of_mnist_on_a_shaded_page_are_read_as_what_they_are(tmp_path):
    digits = vae.load_mnist("mnist/sample", "test").subset(range(40))
    light, read = np.linspace(0.95, 0.6, 400)[:, None], []
    for number, image in enumerate(digits.images[:, 0].numpy()):
        page = np.zeros((400, 320))
        page[20 + number:220 + number, 100:300] = np.asarray(Image.fromarray(image).resize((200, 200))) / 255
        Image.fromarray(np.uint8(255 * light * (1 - 0.75 * page))).save(tmp_path / "page.png")
        read.append(read_digit(tmp_path / "page.png"))
    found = vae.predict_labels(load("vae/mnist-classifier"), torch.cat(read))
    assert (found == digits.labels).float().mean() >= 0.95
    assert (torch.cat(read) - digits.images / 255).abs().mean() < 0.09  # a picture of nothing is 0.12 away


@pytest.mark.parametrize(("words", "says"), [
    (["pets_unet/done-well", "nowhere"], "nowhere: no such file or folder"),
    (["pets_unet/done-well", "empty"], r"no pictures there that can be read \(\.avif, "),
    (["pets_unet/done-well", "broken.jpg"], "broken.jpg: cannot be read as a picture"),
    (["pets_unet/done-well", "photo.heic"], "photo.heic: HEIC is not read; save it as JPEG or PNG"),
    (["pets_unet/st-tr-ce", "ink.png"], "no weights of pets_unet/st-tr-ce/s0 here: `htcv run pets_unet/st-tr-ce/s0"),
    (["pets_unet/majority", "ink.png"], "pets_unet/majority/s0 trains no network"),
    (["pets_unet/done-better", "ink.png"], "pets_unet/done-better: no reference, so no trained network"),
    (["dogs/done-well", "ink.png"], "dogs/done-well: no reference"), (["pets_unet", "ink.png"], "a run is named"),
    (["neural_renderer/model2", "ink.png"], "the networks of neural_renderer take no pictures"),
    (["pets_unet/done-well", "ink.png", "--label", "3"], "a label is for networks that are told one"),
    (["decomposer/done-well", "ink.png"], "takes 2 to 10 views of one painting, got 1"),
    (["vae/mnist-done-well", "blank.png"], "blank.png: no ink can be told from the paper"),
    (["vae/cifar-done-well", "ink.png"], "your own pictures are read as digits, and this network knows cifar10"),
    (["vae/mnist-classifier", "ink.png", "--out", "ink.png"], "ink.png: File exists"),
])
def test_what_a_user_can_get_wrong_is_one_line(words, says, tmp_path, monkeypatch, capsys, root):
    monkeypatch.setenv("HTCV_ROOT", str(root))
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("broken.jpg").write_bytes(b"text")
    Path("photo.heic").write_bytes(b"")
    Image.fromarray(np.uint8(np.linspace(150, 250, 90)[:, None] + np.zeros(70))).save("blank.png")  # a shadow only
    Image.fromarray(np.uint8(230 - 200 * stroke())).save("ink.png")
    assert main(["try", *words]) == 1
    error = capsys.readouterr().err
    assert error.startswith("htcv: ") and error.count("\n") == 1
    assert re.search(says, error)


def test_of_a_folder_what_cannot_be_read_or_is_too_much_is_left_out_and_named(tmp_path):
    said = []
    for number in range(MOST + 3):
        Image.new("RGB", (9, 9), (number, 99, 0)).save(tmp_path / f"{number:02}.png")
    (tmp_path / "00.png").write_bytes(b"text")
    show("mask_depth/done-well-composite", [tmp_path], say=said.append)
    assert said[0].startswith("left out 00.png: cannot be read as a picture")
    assert said[1:] == [f"left out 2 pictures: a sheet has {MOST}"]


def test_a_label_that_is_given_is_not_read(tmp_path, monkeypatch):
    Image.fromarray(np.uint8(230 - 200 * stroke())).save(tmp_path / "ink.png")
    texts = [{text.get_text() for text in show("vae/mnist-done-well", [tmp_path], label).texts} for label in (None, 4)]
    assert "ink.png\nread as 1" in texts[0] and "ink.png\ngiven as 4" in texts[1]
