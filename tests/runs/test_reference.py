"""References are written from a clean tree only, and a key is renewed only if the fingerprint reproduces."""

import json
import shutil
import subprocess

import pytest
from safetensors.numpy import load_file

from htcv_lib.runs.build import build
from htcv_lib.runs.freshness import status_lines
from htcv_lib.runs.plan import PlanError
from htcv_lib.runs.project import git_state
from htcv_lib.runs.records import Record, find_weights
from htcv_lib.runs.reference import renew_keys, require_clean_tree, verify_references, write_references

pytestmark = pytest.mark.slow
LOSSES = "class Losses:\n    train_s = 0.0\n    first_losses = [slope * k for k in range(3)]\n" \
         "    def save(self, path): open(path, 'w').write('epoch\\\\n1\\\\n')\n"


def commit_all(toy):
    for command in (["init", "-q"], ["add", "-A"],
                    ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "toy"]):
        subprocess.run(["git", *command], cwd=toy.root, check=True)


def with_fingerprint(toy, edit_runs):
    """Give the toy runs a history with first losses, and a fingerprint profile; one run only."""
    notebook = toy.root / "notebooks/toy/run.ipynb"
    text = notebook.read_text().replace("run.finish({'value': value}, n=3)",
                                        LOSSES.replace("\n", "\\n").replace("\\\\n", "\\\\\\\\n")
                                        + "run.finish({'value': value}, Losses(), n=3)")
    notebook.write_text(text)

    def change(family):
        family["profiles"]["fingerprint"] = {"steps": 1}
        for variant in ("two", "three"):
            del family["runs"][variant]

    edit_runs(toy, change)


def test_a_changed_tree_is_refused_and_a_commit_is_known_whoever_owns_the_checkout(toy, monkeypatch):
    with pytest.raises(PlanError, match="not a git repository"):
        require_clean_tree(toy)
    (toy.root / ".gitignore").write_text("/runs/\n__pycache__/\n")
    commit_all(toy)
    require_clean_tree(toy)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    commit, dirty = git_state(toy.root)
    assert len(commit) == 12 and dirty is False
    (toy.root / "book/index.md").write_text("# Changed\n")
    with pytest.raises(PlanError, match="needs a clean tree"):
        require_clean_tree(toy)


def test_a_reference_is_fresh_until_its_code_changes_and_again_once_renewed(toy, edit_runs):
    with_fingerprint(toy, edit_runs)
    report = build(toy, "laptop", say=lambda line: None, pages=False)
    assert report.failures == []
    assert write_references(report, toy, lambda line: None) == ["toy/one/s0"]
    record = Record.load(toy.reference("laptop", "toy/one/s0"))
    assert record.data["fingerprint"] == [0.0, 1.0, 2.0]
    assert "first_losses" not in record.data and len(record.data["fingerprint_scores"]) == 16
    assert status_lines("laptop", toy)[0] == "Profile laptop: 1 fresh, 0 stale, 0 missing"

    report = build(toy, "laptop", variants=["toy/one/s7"], say=lambda line: None, pages=False)
    write_references(report, toy, lambda line: None)  # a seed that nobody planned
    assert status_lines("laptop", toy)[0] == "Profile laptop: 2 fresh, 0 stale, 0 missing"

    module = toy.root / "htcv_lib/metrics/toy.py"
    module.write_text(module.read_text().replace("slope * steps", "steps * slope"))  # a refactor
    assert "2 stale" in status_lines("laptop", toy)[0]
    assert renew_keys("laptop", toy, lambda line: None, variants=["toy/one/s0"]) == {"toy/one/s0": True}
    assert renew_keys("laptop", toy, lambda line: None) == {"toy/one/s7": True}
    assert "2 fresh" in status_lines("laptop", toy)[0]

    text = module.read_text()
    module.write_text(text.replace("steps * slope", "steps * slope + 1"))  # the same losses, another score
    assert set(renew_keys("laptop", toy, lambda line: None).values()) == {False}
    module.write_text(text)

    notebook = toy.root / "notebooks/toy/run.ipynb"
    notebook.write_text(notebook.read_text().replace("slope * k", "slope * k + 1"))  # other losses
    assert set(renew_keys("laptop", toy, lambda line: None).values()) == {False}
    assert "2 stale" in status_lines("laptop", toy)[0]


def test_a_reference_that_is_trained_again_repeats_or_is_named_with_what_differs(toy, edit_runs):
    with_fingerprint(toy, edit_runs)
    report = build(toy, "laptop", say=lambda line: None, pages=False)
    write_references(report, toy, lambda line: None)
    (entry,) = verify_references(toy, "laptop", say=lambda line: None)
    assert (entry["run"], entry["error"], entry["close"], entry["different"]) == ("toy/one/s0", "", {}, {})
    place = toy.reference("laptop", "toy/one/s0") / "record.json"
    record = json.loads(place.read_text())
    value = record["metrics"]["value"]["value"]
    for now, kind in ((value * 1.00001, "close"), (value * 1.1, "different")):
        record["metrics"]["value"]["value"] = now
        place.write_text(json.dumps(record))
        (entry,) = verify_references(toy, "laptop", variants=["toy/one/s0"], say=lambda line: None)
        assert entry[kind] == {"value": [now, value]}
    assert json.loads((toy.references / "verified.json").read_text()) == [entry]  # one entry a run
    assert not (toy.built / "verify").exists()


def test_a_reference_recorded_again_stays_if_it_repeats_and_gets_the_weights_it_publishes(toy, edit_runs):
    def change(family):
        family["runs"]["one"]["weights"] = "drawing"

    with_fingerprint(toy, edit_runs)
    notebook = toy.root / "notebooks/toy/run.ipynb"
    network = "import torch\\nnetwork = torch.nn.ModuleDict({'drawing': torch.nn.Linear(2, 1)})\\n"
    finish = "run.finish({'value': value}, Losses(),"
    notebook.write_text(notebook.read_text().replace(finish, f"{network}{finish} model=network,"))
    write_references(build(toy, "laptop", say=lambda line: None, pages=False), toy, lambda line: None)
    folder = toy.reference("laptop", "toy/one/s0")
    before = json.loads((folder / "record.json").read_text())
    assert "published" not in before and not (toy.references / "verified.json").exists()
    edit_runs(toy, change)
    shutil.rmtree(toy.built / "laptop")  # as in another checkout
    report = build(toy, "laptop", say=lambda line: None, pages=False, force=True)
    assert write_references(report, toy, lambda line: None) == ["toy/one/s0"]
    after = json.loads((folder / "record.json").read_text())
    assert {name: value for name, value in after.items() if name != "published"} == before
    kept = load_file(find_weights(Record.load(folder), toy))
    assert {(name, str(value.dtype)) for name, value in kept.items()} == {("drawing.weight", "float16"),
                                                                         ("drawing.bias", "float16")}
    (entry,) = json.loads((toy.references / "verified.json").read_text())
    assert (entry["run"], entry["different"], entry["close"]) == ("toy/one/s0", {}, {})


def test_with_a_commit_the_fingerprints_of_its_code_and_of_ours_are_compared_on_this_machine(toy, edit_runs):
    with_fingerprint(toy, edit_runs)
    (toy.root / ".gitignore").write_text("/runs/\n__pycache__/\n")
    report = build(toy, "laptop", say=lambda line: None, pages=False)
    write_references(report, toy, lambda line: None)
    commit_all(toy)
    place = toy.reference("laptop", "toy/one/s0") / "record.json"
    record = json.loads(place.read_text())
    place.write_text(json.dumps(record | {"fingerprint": [0.0, 1.1, 2.0]}))  # made on another processor
    module = toy.root / "htcv_lib/metrics/toy.py"
    module.write_text(module.read_text().replace("slope * steps", "steps * slope"))
    assert renew_keys("laptop", toy, lambda line: None) == {"toy/one/s0": False}
    assert renew_keys("laptop", toy, lambda line: None, like="HEAD") == {"toy/one/s0": True}
    renewed = json.loads(place.read_text())
    assert renewed["renewed_from"] == record["key"] and renewed["fingerprint"] == [0.0, 1.0, 2.0]
    module.write_text(module.read_text().replace("steps * slope", "steps * slope + 1"))
    assert renew_keys("laptop", toy, lambda line: None, like="HEAD") == {"toy/one/s0": False}  # not what HEAD says
    with pytest.raises(PlanError, match="no such commit"):
        renew_keys("laptop", toy, lambda line: None, like="nowhere")


def test_a_score_that_is_new_renews_the_key_and_comes_with_the_next_recording(toy, edit_runs):
    with_fingerprint(toy, edit_runs)
    (toy.root / ".gitignore").write_text("/runs/\n__pycache__/\n")
    write_references(build(toy, "laptop", say=lambda line: None, pages=False), toy, lambda line: None)
    commit_all(toy)
    notebook = toy.root / "notebooks/toy/run.ipynb"
    notebook.write_text(notebook.read_text().replace("{'value': value}", "{'value': value, 'other': value + 1}"))
    assert renew_keys("laptop", toy, lambda line: None, like="HEAD") == {"toy/one/s0": True}
    folder = toy.reference("laptop", "toy/one/s0")
    record = Record.load(folder)
    assert set(record.metrics) == {"value"} and "scores" not in record.data
    shutil.rmtree(toy.built / "laptop")
    report = build(toy, "laptop", say=lambda line: None, pages=False, force=True)
    write_references(report, toy, lambda line: None)
    assert Record.load(folder).metrics["other"].value == record.metrics["value"].value + 1
    (entry,) = json.loads((toy.references / "verified.json").read_text())
    assert (entry["different"], entry["close"]) == ({}, {})


def test_laptop_references_are_kept_until_all_that_are_compared_are_full(toy, edit_runs):
    def record(profile, *variants):
        report = build(toy, profile, variants=[f"toy/{name}" for name in variants], say=lambda line: None, pages=False)
        write_references(report, toy, lambda line: None)
        return sorted(f"{path.parents[3].name}/{path.parents[1].name}" for path in toy.references.rglob("record.json"))

    def change(family):
        family.update(one_size=["t*"])
        family["profiles"]["fingerprint"] = {"steps": 1}

    edit_runs(toy, change)
    assert record("laptop", "one", "two", "three") == ["laptop/one", "laptop/three", "laptop/two"]
    assert record("full", "one", "two") == ["full/one", "full/two", "laptop/three", "laptop/two"]
    assert record("full", "three") == ["full/one", "full/three", "full/two"]
