"""`jb build .` on the toy book: the whole way, including a kill in the middle and two builds at once."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from htcv_lib.runs.records import Record

pytestmark = pytest.mark.slow
END_AT = """import os, signal

def end(app, page, *rest):
    if page.endswith(os.environ.get("END_AT", "no page")):
        os.kill(os.getpid(), signal.SIGKILL)

def setup(app):
    app.connect("html-page-context", end)
    return {}
"""
TRAINING = """import time
import torch
from htcv_lib import training
from htcv_lib.toy_training import ToyBatches, squared_error, toy_model
device = training.prepare(seed)
model, batches = toy_model(0.2), ToyBatches(seed=seed)
objective = lambda batch: squared_error(model, batch)
history = training.fit([training.Phase("line", objective, torch.optim.Adam(model.parameters(), lr=slope / 100))],
                       batches, epochs=40, models={"line": model}, evaluate=lambda: time.sleep(0.05) or {},
                       checkpoint=run.checkpoint, seed=seed)
run.finish({"value": float(history.frame()["train/line/loss"].iloc[-1])}, history, n=3)"""
KILLS = int(os.environ.get("HTCV_KILLS", "1"))  # for each signal; ten take a quarter of an hour
JB = [str(Path(sys.executable).with_name("jb")), "build", ".", "-W", "--keep-going", "-n"]


def page(toy, name):
    return (toy.root / "_build/html/book/pages/toy" / f"{name}.html").read_text()


def slow_run(toy):
    """Make every run of the toy book take three seconds."""
    notebook = toy.root / "notebooks/toy/run.ipynb"
    notebook.write_text(notebook.read_text().replace("if fail:", "import time\\ntime.sleep(3)\\nif fail:"))


def check_pages(toy):
    """They name no path and no machine, and each has a title of its own."""
    for path in toy.pages.rglob("*.ipynb"):
        text = path.read_text()
        assert str(toy.root) not in text and os.uname().nodename not in text
        assert "papermill" not in json.loads(text)["metadata"]
    titles = [json.loads(path.read_text())["cells"][0]["source"] for path in (toy.pages / "toy/runs").glob("*.ipynb")]
    assert len({"".join(title) for title in titles}) == 3


def test_a_book_is_built_rebuilt_and_repaired_and_names_no_path_and_no_machine(toy, jb, edit_runs):
    first = jb(toy)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Run one" in page(toy, "runs/one") and "2.0" in page(toy, "chapter")
    check_pages(toy)
    second = jb(toy)
    assert second.returncode == 0 and "nothing to execute" in second.stdout
    stamps = {path: path.stat().st_mtime_ns for path in toy.pages.rglob("*.ipynb")}

    (built,) = (path.parent for path in toy.built.rglob("record.json") if "three" in path.parts)
    reference = shutil.copytree(built, toy.reference("laptop", "toy/three/s0")) / "record.json"
    reference.write_text(reference.read_text().replace('"quick"', '"laptop"'))
    edit_runs(toy, lambda family: family["runs"]["two"]["parameters"].update(fail=True))
    broken = jb(toy)
    leading, own = page(toy, "runs/three").split("What this build ran itself")
    assert "The committed reference: profile laptop" in leading and 'id="metric-value"' in leading
    assert "profile laptop" not in own and "profile quick" in own and "steps" in own
    output = broken.stdout + broken.stderr
    assert broken.returncode == 1 and "Traceback" not in output
    assert re.search(r"notebook failed: toy/two/s0, cell 3: RuntimeError: asked to fail", output)
    assert "In this build the notebook failed" in page(toy, "runs/two") and "Run one" in page(toy, "runs/one")
    untouched = toy.pages / "toy/runs/one.ipynb"
    assert untouched.stat().st_mtime_ns == stamps[untouched]

    edit_runs(toy, lambda family: family["runs"]["two"]["parameters"].update(fail=False))
    repaired = jb(toy)
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert "In this build the notebook failed" not in page(toy, "runs/two")


def processes_of(toy, seconds=0.0):
    """The processes that a build of this toy book started, waiting as long for them to end."""
    deadline = time.monotonic() + seconds
    while True:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if (process.environ().get("PYTHONPATH") == str(toy.root)
                        and process.status() != psutil.STATUS_ZOMBIE):
                    found.append(" ".join(process.cmdline()))
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def test_a_build_killed_or_told_to_end_leaves_no_process_and_no_half_run(toy, jb):
    slow_run(toy)
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)):
        process = subprocess.Popen(JB, cwd=toy.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 90
        while "ipykernel" not in " ".join(processes_of(toy)) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(number)
        said = process.communicate(timeout=30)[1]
        assert process.returncode == status, said
        assert processes_of(toy, seconds=5) == []
        if number != signal.SIGKILL:
            assert said.startswith(f"htcv: ended by {number.name};") and said.count("\n") == 1
    for record in (toy.built / "quick").rglob("record.json"):
        assert (record.parent / "notebook.ipynb").is_file()
    finished = jb(toy)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "Another build of this checkout" not in finished.stdout
    assert len(list((toy.built / "quick").rglob("record.json"))) == 3


def heed_interrupts():
    """Shells start what goes on in the background with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def curves(toy):
    """Run -> its curve, without the speed."""
    return {path.parents[2].name: pd.read_csv(path).drop(columns="images_per_s").to_csv()
            for path in (toy.built / "quick").rglob("history.csv")}


def pages_of(toy):
    return sorted(str(path.relative_to(toy.root)) for path in (toy.root / "_build/html").rglob("*.html"))


def test_whenever_a_build_is_ended_its_processes_end_and_the_next_gives_the_same_curves_and_pages(toy, jb):
    shutil.copy(Path(__file__).parents[1] / "toy_training.py", toy.root / "htcv_lib/toy_training.py")
    notebook = toy.root / "notebooks/toy/run.ipynb"
    notebook.write_text(notebook.read_text().replace("run.finish({'value': value}, n=3)", json.dumps(TRAINING)[1:-1]))
    begun = time.monotonic()
    assert jb(toy).returncode == 0
    took, expected, pages = time.monotonic() - begun, curves(toy), pages_of(toy)
    assert len(expected) == 3 and len({*expected.values()}) == 3
    moments, ended = random.Random(5), 0
    while ended < 3 * KILLS:
        number = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[ended % 3]
        if (toy.root / "_build/html/index.html").exists():  # from the start, for there is nothing left to end
            shutil.rmtree(toy.built)
            shutil.rmtree(toy.root / "_build")
        process = subprocess.Popen(JB, cwd=toy.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=heed_interrupts)
        with suppress(subprocess.TimeoutExpired):
            process.wait(moments.uniform(0.05, 0.9) * took)
        ended += process.poll() is None
        process.send_signal(number)
        process.wait(60)
        assert processes_of(toy, seconds=5) == []
    finished = jb(toy)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert curves(toy) == expected and pages_of(toy) == pages


def test_pages_of_a_build_that_did_not_finish_or_that_warned_are_all_written_again(toy, jb, monkeypatch):
    config = yaml.safe_load((toy.root / "_config.yml").read_text())
    config["sphinx"]["local_extensions"]["end_at"] = "."
    (toy.root / "_config.yml").write_text(yaml.safe_dump(config))
    (toy.root / "end_at.py").write_text(END_AT)
    (toy.root / "book/index.md").write_text("# Toy book\n\nA page, and [another](nowhere.md).\n")
    monkeypatch.setenv("HTCV_PROFILE", "none")
    monkeypatch.setenv("END_AT", "runs/two")
    assert jb(toy).returncode == -9
    monkeypatch.delenv("END_AT")
    for _ in range(2):
        again = jb(toy)
        assert again.returncode == 1 and "all are written again" in again.stdout and "nowhere.md" in again.stderr
    names = ["book/index", *(f"book/pages/toy/{name}" for name in ("chapter", "runs/one", "runs/three", "runs/two"))]
    index = re.search(r'"?docnames"?:\s*(\[.*?\])', (toy.root / "_build/html/searchindex.js").read_text())[1]
    assert sorted(json.loads(index)) == names
    assert all((toy.root / f"_build/html/{name}.html").is_file() for name in names)


def test_a_second_build_waits_for_the_first(toy):
    slow_run(toy)
    first = subprocess.Popen(JB, cwd=toy.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 60
    while not list(toy.staging.rglob("context.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    second = subprocess.run(JB, cwd=toy.root, capture_output=True, text=True, timeout=300)
    output = first.communicate(timeout=300)[0]
    assert first.returncode == 0, output
    assert second.returncode == 0, second.stdout + second.stderr
    assert "Another build of this checkout is running" in second.stdout
    assert "nothing to execute" in second.stdout


def test_profile_none_builds_from_references_alone(toy, jb, monkeypatch):
    monkeypatch.setenv("HTCV_PROFILE", "none")
    built = jb(toy)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "nothing is trained" in built.stdout
    assert not list((toy.built).glob("quick/**/record.json"))
    assert "no reference yet" in page(toy, "runs/one")


def test_interactive_runs_go_to_scratch_and_reach_the_chapter(toy, jb, monkeypatch):
    import papermill

    monkeypatch.chdir(toy.root)
    papermill.execute_notebook(str(toy.notebooks / "toy/run.ipynb"), str(toy.root / "by-hand.ipynb"), {"slope": 5.0},
                               kernel_name="python3", cwd=str(toy.root), progress_bar=False)
    (path,) = toy.scratch.rglob("record.json")
    assert Record.load(path.parent).value("value") == 50.0
    assert not (toy.references).exists()
