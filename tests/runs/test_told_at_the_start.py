"""`jb build .` and `htcv run` on the toy book: what a user can cause is one line, said before anything starts."""

from pathlib import Path

import pytest

from htcv_lib.cli import main
from htcv_lib.runs.build import build
from htcv_lib.runs.freshness import run_states, status_lines
from htcv_lib.runs.plan import Book, PlanError
from htcv_lib.runs.records import FIELDS, write_json

CLAIM = """report: Session 0
sections:
  A:
    first:
    - observation: One is larger.
      one-is-larger: One has a larger value than two.
      compare: {better: one, worse: two, metric: vlaue, margin: 0.1}
"""


def claim(toy, **_):
    toy.claims.mkdir()
    toy.claims_of("toy").write_text(CLAIM)


def dataset(toy, edit_runs):
    path = toy.notebooks / "toy/run.ipynb"
    path.write_text(path.read_text().replace("seed: int = 0\\n", "seed: int = 0\\ndataset: str = 'oxford_petz'\\n"))


@pytest.mark.parametrize(("fault", "says"), [
    (claim, "claims/toy.yml: one-is-larger: metric: toy has no metric 'vlaue'"),
    (dataset, "toy/one/s0: no data manifest 'oxford_petz'; there are "),
    (lambda toy, edit_runs: edit_runs(toy, lambda family: family["runs"]["one"]["parameters"].update(slope="1e-3")),
     "toy/one/s0: slope wants float, got str '1e-3'"),
    (lambda toy, edit_runs: toy.tables["toy"].write_text("runs: [\n"), "notebooks/toy/runs.yml: line 2: "),
])
def test_what_is_wrong_is_said_before_anything_starts(toy, edit_runs, monkeypatch, capsys, fault, says):
    fault(toy, edit_runs=edit_runs)
    monkeypatch.chdir(toy.root)
    for command in ("run", "status"):
        assert main([command, "--profile", "quick"]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"htcv: {says}") and error.count("\n") == 1
    assert not toy.staging.exists()


@pytest.mark.slow
def test_a_build_that_cannot_start_ends_with_one_line_and_no_traceback(toy, jb):
    claim(toy)
    done = jb(toy)
    assert done.returncode == 1 and "one-is-larger: metric: toy has no metric 'vlaue'" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr and "RuntimeError" not in done.stdout + done.stderr


def test_data_that_are_not_here_are_said_by_the_build_and_by_status(toy, monkeypatch):
    path = toy.notebooks / "toy/run.ipynb"
    path.write_text(path.read_text().replace("seed: int = 0\\n", "seed: int = 0\\ndataset: str = 'oxford_pets_630'\\n"))
    monkeypatch.setattr("htcv_lib.runs.build.execute_at", lambda place, tasks, say: [])
    said = []
    build(toy, "quick", say=said.append, pages=False)
    lost = "oxford_pets_630 (not here: set HTCV_DATA to the folder that holds "
    assert f"data: {lost}" in said[0] and any(lost in line for line in status_lines("quick", toy))
    for state in run_states(Book.load(toy).runs("quick"), toy):
        folder = toy.reference("quick", state.run.name)
        folder.mkdir(parents=True)
        write_json(folder / "record.json", dict.fromkeys(FIELDS, "") | {
            "schema": 1, "run": state.run.name, "profile": "quick", "key": state.key, "metrics": {}, "wall_s": 1})
    build(toy, "quick", say=said.append, pages=False)
    assert said[-1].startswith("Profile quick: all 3 runs are fresh, some by their references; nothing to execute. "
                               f"Data that --force would want: {lost}")
    monkeypatch.setenv("HTCV_CACHE", str(Path(__file__)))
    assert f"  folder   cannot write to {__file__}/checkpoints (Not a dir" in status_lines("quick", toy)[-1]


def test_a_run_that_is_named_and_not_in_the_profile_is_refused(toy):
    for command in (lambda: build(toy, "overnight", variants=["toy/one"]),
                    lambda: status_lines("overnight", toy, variants=["toy/one/s0"])):
        with pytest.raises(PlanError, match="toy/one(/s0)? is not in profile overnight"):
            command()
