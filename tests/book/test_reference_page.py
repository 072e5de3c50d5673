"""How a page hands on the trained network of its run: files, five lines that use it, commands."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import htcv_lib
from htcv_lib.cli import _parser
from htcv_lib.runs import Book, Results
from htcv_lib.runs.records import count_parameters

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
from reference_page import live_networks, network_section  # noqa: E402

FAMILIES = Book.load().families
SHOWN = [record for name in FAMILIES for record in Results(name).references]
TRAINED = [record for record in SHOWN if "published" in record.data]
NAMES = [record.run for record in TRAINED]
MADE = {  # what the last names of the lines are, and their shapes; None: a side of the run's pictures
    "pets_unet": {"classes": (1, None, None)}, "mask_depth": {"mask": (1, 1, None, None), "depth": (1, 1, None, None)},
    "decomposer": {"original": (1, 3, 1, None, None), "shadow": (1, 1, 3, None, None)},
    "vae": {"redrawn": (1, 1, 28, 28), "probability": (1, 10)},
    "neural_renderer": {"picture": (1, 3, None, None)}}


def section(record) -> str:
    return "\n".join(network_section(record, FAMILIES[record.family]))


def lines_of(record) -> str:
    return re.search(r"```python\n(.*?)\n```", section(record), re.S)[1]


@pytest.fixture
def pictures(tmp_path, monkeypatch) -> Path:
    """The working folder, with a picture by every name that the lines open."""
    monkeypatch.chdir(tmp_path)
    photo = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    for name in ("pet", "room", "view1", "view2", "view3"):
        Image.fromarray(photo).save(f"{name}.jpg")
    photo[:] = 230
    photo[10:50, 40:46] = 20  # a stroke
    Image.fromarray(photo).save("four.jpg")
    return tmp_path


@pytest.mark.parametrize("record", TRAINED, ids=NAMES)
def test_the_five_lines_on_the_page_of_a_trained_network_use_it(record, pictures):
    lines, found = lines_of(record), {}
    assert len(lines.splitlines()) == 5 and max(map(len, lines.splitlines())) <= 95 and "$" not in lines
    assert f'network = load("{record.family}/{record.variant}")\n' in lines
    exec(lines, found)
    found |= found["layers"]._asdict() if "layers" in found else {}
    assert not found["network"].training
    made = {name: shape for name, shape in MADE[record.family].items() if name in found}
    assert made
    for name, shape in made.items():
        size = 128 if "predict_image" in lines else record.parameters.get("image_size")
        assert tuple(found[name].shape) == tuple(side or size for side in shape)
        assert found[name].isfinite().all()


@pytest.mark.parametrize("record", TRAINED, ids=NAMES)
def test_the_page_counts_the_networks_parameters_and_links_files_that_are_there(record):
    text = section(record)
    parameters = sum(values.numel() for values in htcv_lib.load(record.run).parameters())
    assert count_parameters(record.folder / "weights.safetensors") == parameters
    assert f"\n{parameters:,} parameters, " in text
    links = re.findall(r"{download}`[\w.-]+ </(.*?)>`", text)
    assert all((ROOT / link).is_file() for link in links)
    assert links == [path.relative_to(ROOT).as_posix()
                     for path in (record.folder / "weights.safetensors", *live_networks(ROOT, record))]


@pytest.mark.parametrize("record", TRAINED, ids=NAMES)
def test_the_commands_on_the_page_are_ones_that_htcv_knows(record):
    commands = re.findall(r"^\$ htcv (.*?)(?:    #.*)?$", section(record), re.M)
    assert len(commands) == (1 if record.family == "neural_renderer" else 2)
    assert all(_parser().parse_args(command.split()).command for command in commands)
    assert commands[-1] == f"run {record.run} --profile {record.profile} --force"


def test_every_network_of_a_live_figure_is_linked_from_the_page_of_its_run():
    sys.path.insert(0, str(ROOT / "book" / "live"))
    import export

    assert set(export.EXPORTS) == set(yaml.safe_load((ROOT / "book/live/networks.yml").read_text()))
    linked = {path for record in SHOWN for path in live_networks(ROOT, record)}
    assert linked == set((ROOT / "book" / "live").glob("*/*.onnx.gz"))


def test_a_run_without_committed_weights_has_no_such_section():
    assert network_section(next(record for record in SHOWN if "published" not in record.data), None) == []
