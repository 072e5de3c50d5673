"""Records, samples, and the notebook's side of a run."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from htcv_lib.runs.build import build
from htcv_lib.runs.display import show
from htcv_lib.runs.records import Record, Results, Samples, check_sizes, digests, write_json
from htcv_lib.runs.run import Run, literals


def reference(toy, variant, seed, value, profile="laptop"):
    """A committed record of the toy family."""
    folder = toy.reference(profile, f"toy/{variant}/s{seed}")
    folder.mkdir(parents=True)
    write_json(folder / "record.json", {
        "schema": 1, "run": f"toy/{variant}/s{seed}", "profile": profile, "key": "k", "parts": {}, "parameters": {},
        "device": "a CPU", "finished": "2026-01-01T00:00:00Z", "wall_s": 1.0, "commit": "c",
        "metrics": {"value": {"value": value, "unit": "", "better": "higher", "split": "test", "n": 3}}})
    return folder


def test_samples_survive_a_round_trip(tmp_path):
    tiles = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 3), dtype=np.uint8)
    Samples(tiles, ["a", "b", "c"], [{"label": "x"}, {"label": "y"}]).save(tmp_path)
    loaded = Samples.load(tmp_path)
    assert np.array_equal(loaded.tiles, tiles) and loaded.rows[1]["label"] == "y"


def test_a_sheet_too_large_for_a_record_keeps_coarser_levels_and_says_so(tmp_path):
    tiles = np.random.default_rng(0).integers(0, 256, (1, 1, 225, 240, 3), dtype=np.uint8)  # noise does not compress
    Samples(tiles, ["a"], [{}]).save(tmp_path)
    check_sizes(tmp_path)
    error = np.abs(Samples.load(tmp_path).tiles.astype(int) - tiles)
    assert error.max() == 1 and json.loads((tmp_path / "samples.json").read_text())["levels_apart"] == 2


def test_full_replaces_laptop_run_by_run(toy):
    reference(toy, "one", 0, 1.0, "laptop")
    reference(toy, "one", 1, 2.0, "laptop")
    reference(toy, "one", 0, 9.0, "full")
    results = Results("toy", toy)
    assert {record.run: record.profile for record in results.references} == {
        "toy/one/s0": "full", "toy/one/s1": "laptop"}
    assert results.values("one", "value") == {0: 9.0}  # never full and laptop in one mean
    assert results.values("one", "value", profile="laptop") == {1: 2.0}


def test_what_is_compared_turns_full_together(toy, edit_runs):
    edit_runs(toy, lambda family: family.update(one_size=["t*"]))
    for variant in ("one", "two", "three"):
        reference(toy, variant, 0, 1.0, "laptop")
        if variant != "three":
            reference(toy, variant, 0, 9.0, "full")
    values = {variant: Results("toy", toy).values(variant, "value")[0] for variant in ("one", "two", "three")}
    assert values == {"one": 9.0, "two": 1.0, "three": 1.0}  # two waits for three, one for nobody
    reference(toy, "three", 0, 9.0, "full")
    assert {record.profile for record in Results("toy", toy).references} == {"full"}


def test_an_unknown_metric_is_named_with_those_there_are(toy):
    record = Record.load(reference(toy, "one", 0, 1.0))
    with pytest.raises(KeyError, match="no metric 'iou'; it has value"):
        record.value("iou")


@pytest.mark.parametrize(("text", "says"), [
    ("[]", "is no record: it has no commit"), ('{"schema": 1, "schema": 1}', "'schema' stands in it twice"),
    ("<<<<<<< HEAD\n{}", "cannot be read: Expecting value"), (lambda d: d.pop("finished"), "it has no finished"),
    (lambda d: d.update(schema=2), "its schema is 2, not 1"), (lambda d: d.update(profile="full"), "lies elsewhere"),
    (lambda d: d["metrics"]["value"].update(value="high"), "metrics: must be real number"),
    (lambda d: d["metrics"]["value"].update(vlaue=1), "unexpected keyword argument 'vlaue'"),
    (lambda d: d.update(files={"history.csv": "0" * 16}), "history.csv is not what its record says"),
    (lambda d: d.update(files={"samples.webp": "0" * 16}), "samples.webp is missing"),
])
def test_a_damaged_reference_is_one_line_that_names_its_file_before_anything_starts(toy, text, says):
    folder = reference(toy, "one", 0, 1.0)
    (folder / "history.csv").write_text("epoch\n1\n")
    path = folder / "record.json"
    if callable(text):
        data = json.loads(path.read_text())
        text(data)
        text = json.dumps(data)
    path.write_text(text)
    with pytest.raises(ValueError, match=says) as refused:
        build(toy, say=lambda line: None)
    assert str(folder) in str(refused.value) and "restore it" in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_cannot_be_written_is_named_with_the_room_and_no_half_of_it_stays(tmp_path):
    (tmp_path / "full.json.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match=f"cannot write {tmp_path}/full.json .*No space left.*; [0-9]+ MiB are left"):
        write_json(tmp_path / "full.json", {})
    assert list(tmp_path.iterdir()) == []


def test_a_record_holds_digests_of_the_files_beside_it(toy, monkeypatch):
    monkeypatch.chdir(toy.root)
    run = Run.start("toy/one/s0", {})
    (run.folder / "history.csv").write_text("epoch\n1\n")
    assert run.finish({"value": 1.0}).data["files"] == digests(run.folder) != {}


def test_a_reference_may_not_be_large(tmp_path):
    (tmp_path / "history.csv").write_text("x" * 60_000)
    with pytest.raises(ValueError, match="history.csv has 60,000 bytes"):
        check_sizes(tmp_path)


def test_literals_are_the_parameters_and_nothing_else():
    namespace = {"lr": 0.1, "widths": [1, 2], "_hidden": 1, "In": [], "model": object(), "name": "x", "none": None}
    assert literals(namespace) == {"lr": 0.1, "widths": [1, 2], "name": "x", "none": None}


def test_a_run_by_hand_writes_a_scratch_record(toy, monkeypatch, capsys):
    monkeypatch.chdir(toy.root)
    run = Run.start("toy/one/s0", {"run_name": "toy/one/s0", "slope": 2.0})
    record = run.finish({"value": 4.0}, n=3)
    assert record.folder.is_relative_to(toy.scratch)
    assert (record.profile, record.value("value"), record.parameters) == ("scratch", 4.0, {"slope": 2.0})
    assert Results("toy", toy).scratch[0].run == "toy/one/s0"
    assert "Scratch record" in capsys.readouterr().out


def test_a_metric_that_is_not_finite_is_left_out_of_the_record(toy, monkeypatch):
    monkeypatch.chdir(toy.root)
    record = Run.start("toy/one/s0", {}).finish({"value": 4.0, "box_psnr": float("nan"), "flip": float("inf")})
    assert set(record.metrics) == {"value"}
    written = json.loads((record.folder / "record.json").read_text())["metrics"]
    assert set(written) == {"value"} and written["value"]["value"] == 4


def test_a_metric_of_other_images_says_so_in_the_record(toy, monkeypatch, edit_runs):
    edit_runs(toy, lambda family: family["metrics"].update(few={"title": "Few", "split": "test_few", "n": 5}))
    monkeypatch.chdir(toy.root)
    metrics = Run.start("toy/one/s0", {}).finish({"value": 4.0, "few": 3.0}, split="test", n=9).metrics
    assert [(metrics[name].split, metrics[name].n) for name in ("value", "few")] == [("test", 9), ("test_few", 5)]


@pytest.mark.parametrize(("train_s", "resumed_at", "expected"), [
    (60.0, None, 100.0),  # trained here
    (100.0, 10, 150.0),  # half of it here: the other half came before
    (300.0, 10, 400.0),  # more than fits into these 100 s: all of it came before
    (300.0, None, 400.0)])
def test_a_resumed_run_took_what_it_took_before_as_well(toy, monkeypatch, train_s, resumed_at, expected):
    monkeypatch.chdir(toy.root)
    run = Run.start("toy/one/s0", {})
    monkeypatch.setattr("htcv_lib.runs.run.time.perf_counter", lambda: run.clock + 100)
    events = [] if resumed_at is None else [{"event": "resumed", "epoch": 1, "step": resumed_at}]
    history = SimpleNamespace(train_s=train_s, events=events, rows=[{"step": 20}], save=lambda path: None)
    assert run.finish({"value": 1.0}, history).wall_s == expected


def test_missing_upstream_weights_are_one_line_with_the_command(toy, monkeypatch, edit_runs):
    edit_runs(toy, lambda family: family["runs"]["two"].update(needs={"teacher": "toy/one"}))
    monkeypatch.chdir(toy.root)
    run = Run.start("toy/two/s0", {})
    with pytest.raises(FileNotFoundError, match="run `htcv run toy/one/s0 --force` first"):
        run.needed("teacher")


def test_a_record_names_who_computed_it_but_no_host(toy, monkeypatch):
    import os

    monkeypatch.chdir(toy.root)
    record = Run.start("toy/one/s0", {}).finish({"value": 1.0})
    text = json.dumps(record.data)
    assert record.device and record.data["versions"]["python"]
    assert os.uname().nodename not in text and str(toy.root) not in text


def test_a_figure_needs_an_alt_text(tmp_path):
    from matplotlib.figure import Figure

    with pytest.raises(ValueError, match="'loss' needs an alt text"):
        show(Figure(), tmp_path, "loss", "A caption.")


def test_a_table_keeps_its_numbers_beside_the_record(tmp_path, capsys):
    show(pd.DataFrame({"a": [1, 2]}), tmp_path, "numbers", "A caption.")
    assert (tmp_path / "numbers.csv").read_text() == "a\n1\n2\n"


def test_json_is_written_with_innermost_values_on_a_line_and_reads_back_the_same(tmp_path):
    value = {"text": "two  spaces [in] {brackets} \"quoted\"\n", "curve": [1, 2.5],
             "metrics": {"a": {"value": 1, "unit": ""}}}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == value
    assert '"curve": [ 1, 2.5 ]' in text and '"a": { "value": 1, "unit": "" }' in text and text.count("\n") == 7
