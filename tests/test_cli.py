"""`htcv`: expected errors are one line and exit status 1."""

import re
import signal
import subprocess
import sys
from unittest.mock import Mock

import pytest
import yaml

from htcv_lib.cli import main
from htcv_lib.data.manifest import DataError


@pytest.mark.parametrize("command, message", [
    (["run", "no_such_family"], "no family 'no_such_family' in runs.yml"),
    (["run", "--profile", "laptop", "pets_unet/mp-tr-ce", "nothing/at-all"], "no family 'nothing'"),
    (["run", "--profile", "lapotp"], "--profile lapotp: choose one of none, quick, laptop"),
    (["status", "--profile", "lapotp"], "--profile lapotp: choose one of none"),
    (["run", "--seeds", "-3"], "--seeds -3: write a whole number, 1 or more"),
    (["status", "--profile", "overnight", "vae/mnist-pca"], "vae/mnist-pca is not in profile overnight"),
    (["run", "--profile", "laptop", "pets_unet/mp-tr"], "no run 'pets_unet/mp-tr' in runs.yml; pets_unet has mp-tr-ce"),
    (["run", "--where", "no.yml"], "HTCV_WHERE=no.yml: choose local, gpus, or a file, for example cluster/slurm.yml"),
])
def test_an_unknown_run_or_place_is_one_line(command, message, capsys, monkeypatch):
    monkeypatch.setenv("HTCV_WHERE", "local")
    assert main(command) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and error.startswith("htcv: ")


@pytest.mark.parametrize("options, message", [
    (["-p", "lr=1"], "name exactly one"), (["pets_unet", "-p", "lr=1"], "name exactly one"),
    (["vae/mnist-pca", "vae/mnist-copy", "-p", "lr=1"], "name exactly one"),
    (["vae/mnist-pca", "-p", "lr"], "-p wants name=value"), (["vae/mnist-pca", "-p", "lr=1", "--record"], "leave out"),
    (["vae/mnist-pca/s1", "-p", "latent=few", "--profile", "laptop"], "latent wants int, got str 'few' (-p)"),
])
def test_another_parameter_is_for_one_run(options, message, capsys):
    assert main(["run", *options]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_folder_of_data_that_is_not_there_is_said(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HTCV_DATA", str(tmp_path / "dta"))
    for command in (["data", "list"], ["status"], ["run"]):
        assert main(command) == 1
        assert capsys.readouterr().err == f"htcv: HTCV_DATA={tmp_path}/dta: there is no such folder\n"


@pytest.mark.parametrize(("error", "says"), [
    (DataError("cats: no such\nfile"), "cats: no such file"), (PermissionError(13, "Denied", "/a"), "/a: Denied"),
    (yaml.YAMLError("line 1"), "line 1"), (KeyError("images"), r"KeyError: 'images' .*please report it, with .*\.log"),
])
def test_whatever_goes_wrong_is_one_line(monkeypatch, capsys, error, says):
    monkeypatch.setattr("htcv_lib.data.files.list_data", Mock(side_effect=error))
    assert main(["data", "list"]) == 1
    said = capsys.readouterr().err
    assert re.match(f"htcv: {says}", said) and said.count("\n") == 1


def test_a_reader_who_has_seen_enough_is_no_error(root):
    command = [sys.executable, "-m", "htcv_lib.cli", "data", "list"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()  # as `| head -0` does
        assert process.stderr.read() == "" and process.wait() == 128 + signal.SIGPIPE


@pytest.mark.slow
def test_status_lists_every_run_of_the_profile(capsys):
    assert main(["status", "--profile", "laptop"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Profile laptop: ")
    assert any("pets_unet/done-well/s0" in line for line in lines)


def test_status_of_one_variant_lists_it_and_what_it_needs(capsys):
    assert main(["status", "--profile", "laptop", "vae/mnist-pca"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    runs = {run for state, run, *_ in lines if state != "scratch"}
    assert runs == {"vae/mnist-judge/s0", *(f"vae/mnist-pca/s{seed}" for seed in range(3))}


def test_data_list_names_the_samples_as_present(capsys):
    assert main(["data", "list"]) == 0
    assert "oxford_pets_630/sample" in capsys.readouterr().out


def test_an_unknown_command_explains_itself():
    with pytest.raises(SystemExit):
        main(["fly"])
