"""What a reference page shows of its first seed, and of the others."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from htcv_lib.decomposer.figures import DECOMPOSITION_COLUMNS
from htcv_lib.runs.records import Record, Samples

sys.path.insert(0, str(Path(__file__).parents[2] / "book" / "_ext"))
from reference_pictures import curve_section, draw, picture_section  # noqa: E402

LAYERS = [{"label": f"{kind}, view {view}"} for kind in ("generated", "real") for view in (0, 3)]
RANKED = [[{"label": "best", "score": score}] for score in (0.9, 0.8)]


def seed(folder: Path, number: int, rows=LAYERS, columns=DECOMPOSITION_COLUMNS) -> Record:
    place = folder / f"s{number}"
    place.mkdir(exist_ok=True)
    Samples(np.full((len(rows), len(columns), 6, 8, 3), 40 * number, np.uint8), list(columns), rows).save(place)
    pd.DataFrame({"epoch": [1, 2], "train/net/loss": [1.0, 0.5]}).to_csv(place / "history.csv", index=False)
    return Record(place, {"run": f"family/variant/s{number}", "key": "k", "finished": f"day {number}", "metrics": {}})


def test_the_pictures_of_every_other_seed_are_there_and_folded_away(tmp_path):
    seeds = [seed(tmp_path, number) for number in (0, 1, 2)]
    draw(seeds[0], tmp_path, seeds)
    lines = "\n".join(picture_section(seeds[0], "page", "anchor", seeds))
    assert {path.name for path in tmp_path.glob("samples*")} == {"samples.svg", "samples-1.png", "samples-2.png"}
    assert lines.count("<details") == lines.count("</details>") == 2
    assert "files/page/samples-2.png" in lines and "rows and columns as above" in lines and "Rows:" not in lines
    sheet = np.asarray(Image.open(tmp_path / "samples-2.png"))
    assert sheet.shape == (4 * 7 - 1, 9 * len(DECOMPOSITION_COLUMNS) - 1, 4)
    assert sheet[0, 0].tolist() == [80, 80, 80, 255] and sheet[6, 0, 3] < 255


def test_rows_that_each_seed_ranked_for_itself_are_named(tmp_path):
    seeds = [seed(tmp_path, number, rows, ("photo", "prediction")) for number, rows in enumerate(RANKED)]
    lines = "\n".join(picture_section(seeds[0], "page", "anchor", seeds))
    assert "Rows: best, IoU 0.80." in lines and "rows and columns" not in lines


@pytest.mark.parametrize(("count", "text"), [(1, "Training of seed 0. "), (2, "seed 0; thin: seed 1. "),
                                             (3, "seed 0; thin: seeds 1 and 2. ")])
def test_the_caption_of_the_curves_names_the_thin_ones(count, text, tmp_path):
    seeds = [seed(tmp_path, number) for number in range(count)]
    assert text in "\n".join(curve_section(seeds[0], "page", "anchor", "A run", seeds))


def test_a_page_is_drawn_again_only_when_a_record_changes(tmp_path):
    seeds = [seed(tmp_path, number) for number in (0, 1)]
    draw(seeds[0], tmp_path, seeds)
    (tmp_path / "samples-1.png").unlink()
    draw(seeds[0], tmp_path, seeds)
    assert not (tmp_path / "samples-1.png").exists()
    seeds[1] = Record(seeds[1].folder, {**seeds[1].data, "finished": "later"})
    draw(seeds[0], tmp_path, seeds)
    assert (tmp_path / "samples-1.png").exists()


def test_a_record_without_pictures_has_no_section_for_them(tmp_path):
    bare = Record(tmp_path, {"run": "family/variant/s0", "key": "k", "finished": "day", "metrics": {}})
    draw(bare, tmp_path)
    assert picture_section(bare, "page", "anchor") == curve_section(bare, "page", "anchor", "A run") == []
