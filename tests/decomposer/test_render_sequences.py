"""The script that renders sequences, as far as it goes without Blender."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from htcv_lib.data.manifest import MANIFESTS

SCRIPT = MANIFESTS / "render_sequences.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("render_sequences", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_view_depends_on_its_seed_alone(script):
    first, again, other = (script.draw_view(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == again != other


def test_views_keep_to_the_ranges_they_promise(script):
    rng = np.random.default_rng(0)
    views = [script.draw_view(rng) for _ in range(400)]
    assert {len(view["lights"]) for view in views} == {1, 2, 3, 4}
    assert {len(view["solids"]) for view in views} == {0, 1, 2, 3}
    assert all(0.12 <= view["scale"] <= 0.9 for view in views)
    assert np.mean([view["scale"] < np.sqrt(0.12 * 0.9) for view in views]) == pytest.approx(0.5, abs=0.1)
    for view in views:
        for light in view["lights"]:
            low, high = script.ENERGIES[light["kind"]]
            assert low <= light["energy"] / view["scale"] * (1 + 1e-9) and light["energy"] <= high * view["scale"]
            assert 10 <= light["place"][2] <= 15 and max(map(abs, light["place"][:2])) <= 10
        for solid in view["solids"]:  # in front of the painting, behind the camera's lens
            assert 1 <= solid["place"][2] <= 5 and max(map(abs, solid["place"][:2])) <= 3
    kinds = {solid["material"] for view in views for solid in view["solids"]}
    assert kinds == set(script.MATERIALS)


def test_the_command_says_what_is_written_and_what_it_needs(tmp_path):
    def run(*options):
        return subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, timeout=60)
    told = run("--help")
    assert told.returncode == 0
    for word in ("T-irradiance.webp", "info.json", "--paintings", "--samples", "pip install bpy"):
        assert word in told.stdout
    if importlib.util.find_spec("bpy") is None:
        refused = run("--paintings", str(tmp_path), "--out", str(tmp_path))
        assert refused.returncode == 1 and "not installed here: pip install bpy" in refused.stderr
