"""A notebook opened by hand: run twice in one kernel, interrupted, given wrong values, started where it cannot end."""

import subprocess
import sys

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from toy_training import ToyBatches, squared_error, toy_model, toy_phase

from htcv_lib import training
from htcv_lib.runs.notebook import declared_names
from htcv_lib.runs.plan import PlanError
from htcv_lib.runs.records import Results
from htcv_lib.runs.run import Run, literals

PARAMETERS = "run_name: str = 'toy/one/s0'\nlr: float = 1e-3\nepochs: int = 2 * 3"
START = "from htcv_lib.runs import Run, literals\nrun = Run.start(run_name, literals(globals()))"


@pytest.fixture
def book(toy, monkeypatch):
    """The toy book as the working folder."""
    monkeypatch.chdir(toy.root)
    return toy


@pytest.mark.slow
def test_run_all_cells_twice_in_one_kernel_and_both_records_have_the_parameters_alone(book):
    path = book.notebooks / "toy/run.ipynb"
    notebook = nbformat.read(path, 4)
    notebook.cells[3].source += "\ntiles = [object()]\nlabels = ['a']\nshare = 0.5\nfail = False"
    client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(book.root)}})
    with client.setup_kernel():
        for number, cell in [*enumerate(notebook.cells)] * 2:
            client.execute_cell(cell, number)
    first, second = Results("toy", book).scratch
    assert first.parameters == second.parameters == {"slope": 0.5, "steps": 10, "seed": 0, "fail": False}


@pytest.mark.parametrize(("cells", "names"), [
    ([PARAMETERS, START], {"run_name", "lr", "epochs"}),
    ([PARAMETERS, START, "rows = [1]", PARAMETERS, "%time 1", START], {"run_name", "lr", "epochs"}),  # the last pass
    ([PARAMETERS, "size = 3  # split off", START], {"run_name", "lr", "epochs", "size"}),
    ([PARAMETERS, START, "rows = list(range(3))", "few = rows[:2]", "print(rows)\nn = 3", START],
     {"run_name", "lr", "epochs"}),  # begun in the middle
    ([PARAMETERS, "# Parameters\nrun_name = 'toy/two/s0'\nlr = 0.1", START], {"run_name", "lr", "epochs"}),
    ([f"{PARAMETERS}\nimport os\ndevice = os.getcwd()\n{START}"], {"run_name", "lr", "epochs"}),
    (["lr = 1"], None),
])
def test_parameters_are_what_the_cells_of_a_kernel_declare(cells, names):
    assert declared_names(cells) == names


def test_a_name_that_papermill_gives_and_no_cell_declares_is_refused():
    namespace = {"run_name": "toy/one/s0", "lr": 1e-3, "lrr": 0.1, "In": [PARAMETERS, "# Parameters\nlrr = 0.1", START]}
    with pytest.raises(ValueError, match="'lrr' is no parameter of this notebook; it has run_name, lr, epochs"):
        literals(namespace)


@pytest.mark.parametrize(("values", "says"), [
    ({"steps": 2.0}, "toy/one/s0: steps wants int, got float 2.0 .given."),
    ({"steps": -1}, "toy/one/s0: steps wants a number of 0 or more, got -1 .given."),
    ({"rows": [object()]}, "toy/one/s0: rows wants plain values, text and numbers: .*object is not JSON"),
])
def test_a_value_that_no_record_can_hold_is_refused_before_training(book, values, says):
    with pytest.raises(PlanError, match=says):
        Run.start("toy/one/s0", values)


def trained(run: Run, stop: int | None = None) -> training.History:
    """Two epochs of the toy training; interrupted in the epoch `stop`."""
    model, seen = toy_model(), iter(range(100))

    def interrupt(batch):
        if stop is not None and next(seen) == len(ToyBatches()) * (stop - 1):
            raise KeyboardInterrupt
        return squared_error(model, batch)

    phase = toy_phase(model)
    phase.objective = interrupt
    return training.fit([phase], ToyBatches(), epochs=2, models={"toy": model}, checkpoint=run.checkpoint,
                        progress=False)


def test_a_training_interrupted_by_hand_goes_on_and_one_that_has_finished_starts_anew(book, capsys):
    with pytest.raises(KeyboardInterrupt):
        trained(Run.start("toy/one/s0", {"slope": 2.0}), stop=2)
    assert trained(Run.start("toy/one/s0", {"slope": 3.0})).events == []  # another training
    again = Run.start("toy/one/s0", {"slope": 2.0})
    history = trained(again)
    assert [event["event"] for event in history.events] == ["resumed"] and "to start anew, delete runs/" in (
        capsys.readouterr().out)
    again.finish({"value": 1.0}, history)
    last = Run.start("toy/one/s0", {"slope": 2.0})
    assert trained(last).events == [] and last.folder != again.folder


def test_two_starts_in_one_second_get_two_folders_and_two_kernels_do_not_share_a_state(book, capsys):
    runs = [Run.start("toy/one/s0", {}) for _ in range(2)]
    assert runs[0].folder != runs[1].folder and runs[0].checkpoint == runs[1].checkpoint  # one kernel
    code = "from htcv_lib.runs import Run\nprint(Run.start('toy/one/s0', {}).checkpoint)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Another kernel trains this run with the same parameters" in other.stdout and "\nNone" in other.stdout


@pytest.mark.parametrize(("damage", "says"), [
    (lambda state: state.pop("random"), "it has no random"),
    (lambda state: next(iter(state["models"]["toy"].values())).fill_(float("nan")), "is NaN"),
    (None, "cannot be used"),
])
def test_a_state_that_no_training_can_go_on_from_is_one_line_that_says_what_to_delete(book, damage, says):
    run = Run.start("toy/one/s0", {})
    trained(run)
    path = run.checkpoint
    if damage:
        state = torch.load(path, weights_only=True)
        damage(state)
        torch.save(state, path)
    else:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"checkpoint {path} cannot be used .*; delete it to start again") as refused:
        trained(Run.start("toy/one/s0", {}))
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_weights_that_are_nan_are_not_recorded(book):
    run, model = Run.start("toy/one/s0", {}), toy_model()
    next(model.parameters()).data.fill_(float("nan"))
    with pytest.raises(ValueError, match="toy/one/s0: training has diverged, .* is NaN; no record is written"):
        run.finish({"value": 1.0}, model=model)
    assert Results("toy", book).scratch == []


def test_a_metric_that_diverged_is_named_and_one_that_can_be_absent_is_not(book, edit_runs):
    edit_runs(book, lambda family: family["metrics"].update(flat={"title": "Flat", "absent": "n/a: flat"}))
    run = Run.start("toy/one/s0", {})
    record = run.finish({"value": float("nan"), "flat": float("nan")})
    assert record.metrics == {} and record.data["notes"] == {"not_finite": ["value"]}
    table = run.metric_table({"value": float("nan"), "flat": float("nan")})
    assert dict(zip(table["Metric"], table["Value"], strict=True)) == {"Value": "nan", "Flat": "n/a"}


def test_a_folder_that_cannot_be_written_to_or_has_no_room_is_said_before_anything_starts(book, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HTCV_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match="cannot write to .*/file/checkpoints .Not a directory.: set HTCV_CACHE to"):
        Run.start("toy/one/s0", {})
    monkeypatch.setenv("HTCV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("htcv_lib.runs.project.ROOM", 2**62)
    with pytest.raises(OSError, match="runs has [0-9]+ MiB left, a run wants [0-9]+: make room"):
        Run.start("toy/one/s0", {})
