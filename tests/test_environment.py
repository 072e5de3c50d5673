"""pyproject.toml says what is needed; the lock and environment.yml must say the same."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@pytest.fixture(scope="module")
def project(root) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def lock(root) -> list[Requirement]:
    lines = (root / "requirements.lock").read_text().splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


@pytest.fixture(scope="module")
def conda(root) -> dict:
    return yaml.safe_load((root / "environment.yml").read_text())


NOT_LOCKED = {"diffusion", "live"}  # aside; the notebook, scripts and tests that need them say so


def wanted(project) -> list[Requirement]:
    extras = [line for name, lines in project["optional-dependencies"].items() if name not in NOT_LOCKED
              for line in lines]
    return [Requirement(line) for line in [*project["dependencies"], *extras]]


def test_every_required_package_is_locked_at_a_version_that_satisfies_it(project, lock):
    versions: dict[str, list[str]] = {}
    for entry in lock:
        pinned = [spec.version for spec in entry.specifier if spec.operator == "=="]
        versions.setdefault(canonicalize_name(entry.name), []).extend(pinned)
    for need in wanted(project):
        found = versions.get(canonicalize_name(need.name), [])
        assert found, f"{need.name} is not in requirements.lock"
        for version in found:
            assert need.specifier.contains(version, prereleases=True), f"{need} but the lock has {version}"


def test_every_line_of_the_lock_pins_one_version(lock):
    loose = [str(entry) for entry in lock if [spec.operator for spec in entry.specifier] != ["=="]]
    assert loose == []


def test_the_lock_names_no_address_and_no_local_build(root):
    text = (root / "requirements.lock").read_text()
    found = re.findall(r"https?:|file:|--\S+|(?<===)[^\s;]*\+\S+", text)
    assert found == [], "addresses, options or local versions in requirements.lock"


def test_conda_installs_the_same_lock_and_the_same_package(conda):
    pip = next(entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict))
    assert pip == ["-r requirements.lock", "-e ."]
    assert conda["channels"] == ["conda-forge"]


def test_conda_and_pyproject_ask_for_the_same_python(project, conda):
    python = next(entry for entry in conda["dependencies"] if str(entry).startswith("python"))
    assert python == f"python{project['requires-python']}"


def test_the_makefile_makes_the_environment_again_when_lock_or_pyproject_change(root):
    wanted_line = next(line for line in (root / "Makefile").read_text().splitlines() if line.startswith("WANTED"))
    assert "requirements.lock" in wanted_line and "pyproject.toml" in wanted_line
