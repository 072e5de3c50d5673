"""Runs elsewhere: on pretended GPUs, on nodes that get lost, on a Slurm of two nodes."""

import contextlib
import itertools
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock

import nbformat
import psutil
import pytest
import yaml
from nbformat.v4 import new_code_cell

from htcv_lib.runs import build as build_module
from htcv_lib.runs import where
from htcv_lib.runs.build import build, build_lock
from htcv_lib.runs.plan import PlanError
from htcv_lib.runs.where import chosen_place

parsl = pytest.importorskip("parsl", reason="Parsl is not installed: pip install 'parsl>=2026.10'")
from parsl.jobs.states import JobState, JobStatus  # noqa: E402

SAMPLES = Path(__file__).parents[2] / "cluster"
STEPS = """import os, time
node = os.environ.get("SLURMD_NODENAME", "")
state = run.project.resume / f"{run.name.replace('/', '-')}.txt"
state.parent.mkdir(exist_ok=True)
begun, done = time.time(), int(state.read_text().split()[0]) if state.exists() else 0
for step in range(done, steps):
    time.sleep(0.05)
    state.write_text(f"{step + 1} {node}")
    lost = step == steps // 2 and not done and os.environ.get("HTCV_LOSE")
    if lost == run.name:
        os.kill(os.getppid(), 9)
        os.kill(os.getpid(), 9)
    elif lost == node:
        time.sleep(600)  # until the node is killed
value = toy_line(slope, steps) + seed
if fail:
    raise RuntimeError("asked to fail")"""
FINISH = """run.finish({"value": value}, n=3, notes={
    "resumed_at": done, "begun": begun, "ended": time.time(), "device": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
    "node": node})"""


@pytest.fixture
def stepping(toy, edit_runs, monkeypatch):
    """The toy book with runs that take their time and keep checkpoints: variants and steps -> changed."""
    path = toy.root / "notebooks/toy/run.ipynb"
    notebook = nbformat.read(path, 4)
    notebook.cells[3:] = [new_code_cell(STEPS), new_code_cell(FINISH)]
    nbformat.write(notebook, path)
    monkeypatch.setenv("PATH", f"{Path(parsl.__file__).parents[1] / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(toy.root), str(Path(parsl.__file__).parents[1])]))

    def change(runs: dict[str, dict], steps: int):
        def table(family):
            family["runs"] = {name: {"title": name, "notebook": "run.ipynb", "quick": True, **run}
                              for name, run in runs.items()}
            family["profiles"] = {"quick": {"steps": steps}}
        edit_runs(toy, table)
        return toy

    return change


def pretend_devices(toy, names: str, monkeypatch) -> None:
    """A driver, and a torch that can use these devices, for every process of the toy book."""
    (toy.root / "torch.py").write_text("import os\n\n\nclass cuda:\n    is_available = staticmethod(lambda: True)\n"
                                       "    device_count = staticmethod(lambda: len(os.environ['CUDA_VISIBLE_DEVICES']"
                                       ".split(',')))\n")
    driver = toy.root / "driver/nvidia-smi"
    driver.parent.mkdir()
    driver.write_text("#!/bin/sh\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{driver.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)


def notes(report) -> dict[str, dict]:
    return {name.split("/")[1]: record.data["notes"] for name, record in report.built.items()}


@pytest.mark.parametrize("text, message", [
    (None, "choose local, gpus, or a file, for example cluster/slurm.yml"),
    ("- a\n- b", "write a provider of Parsl and HighThroughputExecutor"),
    ("SlurmProvider: {}\nLocalProvider: {}", "write a provider of Parsl and HighThroughputExecutor"),
    ("SlurmProvider: {partion: gpu}", "SlurmProvider: got an unexpected keyword argument 'partion'"),
    ("MoabProvider: {}", "Parsl has no MoabProvider; its providers are "),
    ("LocalProvider: {}\nHighThroughputExecutor: {workers: 2}", "got an unexpected keyword argument 'workers'"),
])
def test_a_place_that_is_not_one_is_a_line(tmp_path, monkeypatch, text, message):
    path = tmp_path / "place.yml"
    if text:
        path.write_text(text)
    monkeypatch.setenv("HTCV_WHERE", str(path))
    with pytest.raises(PlanError, match="place.yml") as raised:
        chosen_place()
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_a_gpu_holds_as_many_runs_as_its_memory_and_the_cores_allow(monkeypatch):
    monkeypatch.setenv("HTCV_WHERE", "gpus")
    monkeypatch.setattr(where, "cuda_devices", lambda: ["0", "1"])
    monkeypatch.setattr(where, "_memory_gb", {"0": 80.0, "1": 40.0}.get)
    monkeypatch.setattr(where, "usable_cores", lambda: 16)
    assert [chosen_place(memory).width for memory in (3.0, 12.0, 39.0, 79.0)] == [16, 6, 2, 2]
    monkeypatch.setattr(where, "cuda_devices", list)
    with pytest.raises(PlanError, match="no GPU is visible"):
        chosen_place()


def test_the_samples_are_what_the_classes_of_parsl_take(monkeypatch):
    from parsl.providers.kubernetes import kube

    monkeypatch.setattr(kube, "_kubernetes_enabled", True)
    for name in ("client", "config"):
        monkeypatch.setattr(kube, name, MagicMock(), raising=False)
    made = {}
    for path in sorted(SAMPLES.glob("*.yml")):
        monkeypatch.setenv("HTCV_WHERE", str(path))
        place = chosen_place()
        made[path.stem] = where._config(place, path.parent / "none").executors[0]
        assert made[path.stem].workers_per_node == place.executor["max_workers_per_node"] > 0
    assert made["slurm"].provider.walltime == "08:00:00"
    assert "--gpus-per-node=2" in made["slurm"].provider.scheduler_options
    assert made["kubernetes"].provider.persistent_volumes == [("report", "/report")]


def test_a_place_is_given_up_when_three_jobs_in_a_row_fail_and_not_before(tmp_path, monkeypatch):
    (tmp_path / "place.yml").write_text("LocalProvider: {}")
    monkeypatch.setenv("HTCV_WHERE", str(tmp_path / "place.yml"))
    executor = where._config(chosen_place(), tmp_path / "none").executors[0]
    failed, done = JobStatus(JobState.FAILED), JobStatus(JobState.COMPLETED)
    for jobs, bad in (([failed], False), ([failed, failed], False), ([failed, done, failed], False),
                      ([done, failed, failed, failed], True)):
        executor.handle_errors({str(number): job for number, job in enumerate(jobs)})
        assert executor.bad_state_is_set is bad


@pytest.mark.slow
def test_a_build_on_another_machine_is_waited_for_until_it_gives_no_sign_of_life(toy, monkeypatch):
    toy.built.mkdir()
    code = ("import filelock, socket, sys, time; socket.gethostname = lambda: 'elsewhere'; "
            "lease = filelock.SoftFileLease(sys.argv[1], lease_duration=2.0); lease.acquire(); "
            "print(flush=True); time.sleep(99)")
    command = [sys.executable, "-c", code, str(toy.built / ".lease")]
    monkeypatch.setattr(build_module, "LEASE", 2.0)
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        threading.Timer(4.0, other.kill).start()
        begin = time.monotonic()
        with build_lock(toy, lines.append):
            assert time.monotonic() - begin > 4 and other.wait() == -signal.SIGKILL
    assert lines == ["Another build of this checkout is running; waiting for it to finish."]


@pytest.mark.slow
def test_runs_share_no_gpu_wait_for_what_they_need_and_outlive_a_lost_worker(stepping, monkeypatch):
    slopes = {name: {"parameters": {"slope": number}} for number, name in enumerate(("one", "two", "three", "kill"), 1)}
    toy = stepping({**slopes, "bad": {"parameters": {"fail": True}}, "heir": {"needs": {"up": "toy/one"}},
                    "lost": {"needs": {"up": "toy/bad"}}}, steps=20)
    monkeypatch.setenv("HTCV_LOSE", "toy/kill/s0")
    monkeypatch.setenv("HTCV_WHERE", "gpus")
    pretend_devices(toy, "4,6", monkeypatch)
    lines: list[str] = []
    report = build(toy, "quick", say=lines.append, pages=False)
    done = notes(report)
    assert [outcome.error for outcome in report.failures] == [
        "toy/bad/s0, cell 3: RuntimeError: asked to fail", "toy/lost/s0: not run, toy/bad/s0 failed"]
    assert {name: note["resumed_at"] for name, note in done.items()} == {
        "one": 0, "two": 0, "three": 0, "kill": 11, "heir": 0}
    assert {note["device"] for note in done.values()} == {"4", "6"} and done["heir"]["begun"] >= done["one"]["ended"]
    for one, other in itertools.combinations(done.values(), 2):
        assert one["device"] != other["device"] or one["ended"] <= other["begun"] or other["ended"] <= one["begun"]
    assert "on 2 gpus worker(s)" in lines[0] and not list(toy.staging.rglob("record.json"))


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A Slurm of two nodes on this machine; node -> its daemon, to be killed."""
    if os.geteuid() or not all(map(shutil.which, ("slurmctld", "slurmd", "sbatch", "munged"))):
        pytest.skip("Slurm is not installed, or this is not root: make test-slurm")
    host, nodes = platform.node().partition(".")[0], {"n0": 17001, "n1": 17002}
    (tmp_path / "slurm.conf").write_text("\n".join([
        "ClusterName=toy", f"SlurmctldHost={host}(127.0.0.1)", "SlurmctldPort=17000", "SlurmUser=root",
        f"AuthInfo=socket={tmp_path}/munge.socket", f"StateSaveLocation={tmp_path}/state",
        f"SlurmdSpoolDir={tmp_path}/spool-%n", f"SlurmctldPidFile={tmp_path}/slurmctld.pid",
        f"SlurmdPidFile={tmp_path}/slurmd-%n.pid", "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none",
        "SelectType=select/cons_tres", "SlurmdParameters=config_overrides", "GresTypes=gpu", "SlurmdTimeout=15",
        *(f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 Gres=gpu:1"
          for node, port in nodes.items()), "PartitionName=toy Nodes=n0,n1 Default=YES State=UP"]) + "\n")
    (tmp_path / "gres.conf").write_text("".join(
        f"NodeName={node} Name=gpu File={tmp_path / node}\n" for node in nodes))
    for node in nodes:
        (tmp_path / node).touch()  # stands for a device
    (tmp_path / "key").write_bytes(os.urandom(1024))
    (tmp_path / "key").chmod(0o600)
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    files = [f"--{name}-file={tmp_path}/{name}" for name in ("key", "pid", "log", "seed")]
    daemons, idle = {}, ["sinfo", "--noheader", "--format=%D%t"]
    try:
        with (tmp_path / "daemons.log").open("w") as log:
            for name, command in {"munge": ["munged", "-F", "--force", f"--socket={tmp_path}/munge.socket", *files],
                                  "control": ["slurmctld", "-D"],
                                  **{node: ["slurmd", "-D", "-N", node] for node in nodes}}.items():
                daemons[name] = subprocess.Popen(command, stdout=log, stderr=log)
                _until((tmp_path / "munge.socket").exists)
        _until(lambda: subprocess.run(idle, capture_output=True, text=True).stdout == "2idle\n")
        yield daemons
    finally:
        for process, place in _of_slurm():
            if place or process.name() == "slurmstepd":
                process.kill()
        for daemon in reversed(daemons.values()):
            daemon.kill()
            daemon.wait()


def _until(true, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def _of_slurm() -> Iterator[tuple[psutil.Process, str]]:
    """Every process that this Slurm started, and the node of those that are jobs."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            if environment.get("SLURM_CONF") == os.environ["SLURM_CONF"]:
                yield process, environment.get("SLURMD_NODENAME", "")


def _kill_node(slurm, node: str) -> None:
    """At once, as a power cut does: the daemon, the jobs there and what holds them."""
    slurm[node].kill()
    jobs = [process for process, place in _of_slurm() if place == node]
    for process in {holder for job in jobs for holder in job.parents() if holder.name() == "slurmstepd"} | set(jobs):
        process.kill()


@pytest.mark.slow
def test_six_runs_on_two_nodes_of_slurm_arrive_though_one_node_is_killed(stepping, slurm, tmp_path, monkeypatch):
    toy = stepping({f"run{number}": {"parameters": {"slope": number}} for number in range(6)}, steps=20)
    (tmp_path / "place.yml").write_text(yaml.safe_dump({
        "SlurmProvider": {"partition": "toy", "init_blocks": 2, "max_blocks": 2, "gres": "gpu:1", "exclusive": False},
        "HighThroughputExecutor": {"address": "127.0.0.1", "cores_per_worker": 0.1, "heartbeat_period": 1,
                                   "heartbeat_threshold": 15}}))
    monkeypatch.setenv("HTCV_WHERE", str(tmp_path / "place.yml"))
    monkeypatch.setenv("HTCV_LOSE", "n1")
    killed: list[float] = []

    def kill() -> None:
        _until(lambda: "11 n1" in [path.read_text() for path in toy.resume.glob("*.txt")])
        _kill_node(slurm, "n1")
        killed.append(time.time())

    killer = threading.Thread(target=kill)
    killer.start()
    begin = time.time()
    report = build(toy, "quick", say=print, pages=False)
    killer.join()
    done = notes(report)
    assert report.failures == [] and len(done) == 6
    assert sorted(note["resumed_at"] for note in done.values()) == [0, 0, 0, 0, 0, 11]
    again = max(done.values(), key=lambda note: note["resumed_at"])
    assert again["node"] == "n0" and again["begun"] > killed[0]
    print(f"6 runs on 2 nodes in {time.time() - begin:.0f} s; what the killed node had begun went on "
          f"{again['begun'] - killed[0]:.0f} s later, from step 11 of 20")
