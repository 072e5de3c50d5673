"""The committed references: complete, small, made from clean trees, and of runs that exist."""

import shutil

import pytest

from htcv_lib import load, neural_renderer
from htcv_lib.runs.chapter import project_verdicts
from htcv_lib.runs.plan import Book
from htcv_lib.runs.project import Project
from htcv_lib.runs.records import Record, Results, check_sizes, find_weights, records_below

PROJECT = Project.find(__file__)
REFERENCES = records_below(PROJECT.references)
BOOK = Book.load(PROJECT)


def named(record: Record) -> str:
    return f"{record.profile}/{record.run}"


def test_all_references_together_are_small():
    files = [path for path in PROJECT.references.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 64 * 2**20
    assert sum(path.stat().st_size for path in files if path.suffix == ".safetensors") <= 16 * 2**20


def test_no_verdict_mixes_sizes():
    for family, verdicts in project_verdicts(PROJECT).items():
        profiles = {record.run: record.profile for record in Results(family, PROJECT).references}
        mixed = [verdict.claim.id for verdict in verdicts if len({profiles[run] for run in verdict.runs}) > 1]
        assert mixed == []  # list their runs under one_size in runs.yml


@pytest.mark.parametrize("record", REFERENCES, ids=named)
def test_a_reference_is_complete_and_of_a_planned_run(record):
    assert record.folder == PROJECT.reference(record.profile, record.run)
    assert BOOK.run(record.run, record.profile) is not None
    assert record.data["dirty"] is False and len(record.data["commit"]) == 12
    assert record.metrics and all(metric.n > 0 for metric in record.metrics.values())
    assert record.dataset in record.data["parts"]["data"]
    check_sizes(record.folder)


@pytest.mark.parametrize("record", [r for r in REFERENCES if "published" in r.data], ids=named)
def test_published_weights_make_the_records_network(record):
    network = load(record.run, record.profile)
    assert not network.training
    assert all(value.isfinite().all() for value in network.state_dict().values())
    if record.family == "neural_renderer":
        sampler, size = record.parameters["sampler"], record.parameters["image_size"]
        scenes = neural_renderer.test_scenes(sampler, record.metrics["box_psnr"].n)
        batches = [neural_renderer.scene_batch(part, sampler, size, quantise=True) for part in scenes.split(100)]
        found = neural_renderer.evaluate_rendering(network, batches, ("box_mse",))["box_psnr"]
        assert found == pytest.approx(record.value("box_psnr"), abs=0.02)  # dB: float16 instead of float32


def test_every_run_that_publishes_weights_has_them_in_its_first_reference():
    wanted = {f"{name}/{variant}" for name, family in BOOK.families.items()
              for variant, entry in family.variants.items() if entry.get("weights")}
    assert {record.run.rpartition("/")[0] for record in REFERENCES if "published" in record.data} == wanted


def test_other_weights_than_the_records_are_refused(tmp_path):
    record = next(record for record in REFERENCES if "published" in record.data)
    folder = shutil.copytree(record.folder, tmp_path / "s0")
    whole = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match="other weights"):
        find_weights(Record(folder, record.data), PROJECT)
    with pytest.raises(FileNotFoundError, match="--force. trains it"):
        find_weights(Record(tmp_path, record.data | {"key": "none"}), PROJECT)


@pytest.mark.parametrize("record", [r for r in REFERENCES if (r.folder / "history.csv").exists()], ids=named)
def test_a_curve_learns_and_its_pictures_belong_to_it(record):
    history = record.history()
    assert len(history) == record.parameters["epochs"]
    losses = [column for column in history if column.endswith("/loss") and column.startswith("train/")]
    # in a game of two no loss need fall; the warm-up before it, or the error on validation scenes, should
    beyond = [name for name in ("train/warm_up/loss", "val/l1") if name in history]
    loss = beyond[0] if beyond else losses[0]
    assert beyond or len(losses) == 1
    curve = history[loss].dropna()
    if "collapsed" in record.metrics and record.value("collapsed"):  # a finding; it had learnt something before
        curve = curve[: curve.idxmin() + 1]
    limit = 0.7 if "accuracy" in record.metrics else 1.0  # nats of pixels have no zero to fall to
    assert curve.iloc[-1] < limit * curve.iloc[0]
    samples = record.samples()
    assert samples.tiles.shape[:2] == (len(samples.rows), len(samples.columns))
    assert 8 <= len(record.data["fingerprint"]) <= 20
