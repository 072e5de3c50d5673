import math

import numpy as np
import pandas as pd
import pytest

from htcv_lib.training import history as module
from htcv_lib.training.history import MISSING, History, log_to_tensorboard

FRAME = pd.DataFrame({"epoch": [1, 2], "step": [3, 6], "train/net/loss": [0.5, 0.25], "val/mask_iou": [math.nan, 0.75]})


class Writer:
    """Notes what it is told."""

    def __init__(self):
        self.scalars, self.images, self.closed = [], {}, False

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def add_image(self, name, image, step, dataformats):
        self.images[name] = (image, step, dataformats)

    def close(self):
        self.closed = True


@pytest.fixture
def writer(monkeypatch) -> Writer:
    stub = Writer()
    monkeypatch.setattr(module, "summary_writer", lambda folder: stub)
    return stub


def test_every_number_is_written_at_its_step_and_gaps_are_not(writer):
    history = History()
    history.rows = [{k: v for k, v in row.items() if v == v} for row in FRAME.to_dict("records")]
    expected = [("train/net/loss", 0.5, 3), ("train/net/loss", 0.25, 6), ("val/mask_iou", 0.75, 6)]
    for given in (FRAME, history):
        writer.scalars.clear()
        assert log_to_tensorboard("anywhere", given)
        assert writer.scalars == expected
    assert writer.closed


def test_a_grid_is_one_picture_of_its_rows_and_columns(writer):
    grid = np.arange(2 * 3 * 2 * 1 * 3, dtype=np.uint8).reshape(2, 3, 2, 1, 3)  # 2 rows of 3 pictures of 2 x 1 pixels
    log_to_tensorboard("anywhere", FRAME, {"depth": grid, "one": grid[0, 1]})
    image, step, order = writer.images["depth"]
    assert image.shape == (4, 3, 3) and (step, order) == (6, "HWC")
    assert np.array_equal(image[2:, 1:2], grid[1, 1])  # second row, second picture
    assert np.array_equal(writer.images["one"][0], grid[0, 1])


def test_a_grid_of_something_else_is_refused_before_anything_is_written(writer):
    with pytest.raises(ValueError, match="depth: a grid is uint8"):
        log_to_tensorboard("anywhere", FRAME, {"depth": np.zeros((2, 3, 4, 4, 3))})
    assert writer.scalars == []


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch, capsys):
    def absent(folder):
        raise ImportError("No module named 'tensorboard'")

    monkeypatch.setattr(module, "summary_writer", absent)
    assert log_to_tensorboard("anywhere", FRAME) is False
    assert capsys.readouterr().out == MISSING + "\n"
    assert "pip install" in MISSING


def test_the_events_read_back_as_they_were_written(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    grid = np.zeros((1, 2, 4, 5, 3), np.uint8)
    assert log_to_tensorboard(tmp_path, FRAME, {"masks": grid})
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/net/loss")] == [(3, 0.5), (6, 0.25)]
    assert [event.step for event in events.Scalars("val/mask_iou")] == [6]
    (image,) = events.Images("masks")
    assert (image.step, image.height, image.width) == (6, 4, 10)
