"""What makes a run stale, and what must not."""

import pytest

from htcv_lib.runs.code import Library, digest
from htcv_lib.runs.freshness import explain, keep_listing, result_parts, run_states
from htcv_lib.runs.plan import Book


def keys(toy):
    return {state.run.name: state.key for state in run_states(Book.load(toy).runs("quick", 1), toy)}


@pytest.fixture
def cells(tmp_path):
    """Digest of a notebook's code over a library of these files: `cells(code, {"metrics/line.py": text})`."""

    def call(code, files):
        root = tmp_path / digest([code, files])
        for name, text in files.items():
            (root / "htcv_lib" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "htcv_lib" / name).write_text(text)
        return Library(root).cells([code])[0]

    return call


LINE = "SLOPE = 2.0\n\n\ndef slope():\n    return SLOPE\n\n\ndef line(x):\n    return slope() * x\n"
USE = "from htcv_lib.metrics.line import line\nline(3)"


def test_comments_docstrings_formatting_and_annotations_do_not_count(cells):
    told = ("SLOPE = 2.0  # steep\ndef slope() -> float:\n  'Rise.'\n  return (SLOPE)\n"
            "def line(x: float):\n  return slope()*x")
    assert cells(USE, {"metrics/line.py": LINE}) == cells(USE, {"metrics/line.py": told})


def test_where_a_definition_stands_and_what_it_is_called_do_not_count(cells):
    split = {"vae/a.py": "RISE = 2.0\n\n\ndef rise():\n    return RISE\n",
             "vae/b.py": "from htcv_lib.vae.a import rise as climb\n\n\ndef straight(x):\n    return climb() * x\n",
             "vae/__init__.py": "import lazy_loader\n\n__getattr__, __dir__, __all__ = lazy_loader.attach(\n"
                                "    __name__, submod_attrs={'b': ['straight']})\n"}
    here = cells(USE, {"metrics/line.py": LINE})
    assert here == cells("from htcv_lib.vae import straight\nstraight(3)", split)
    assert here == cells("from htcv_lib import vae\nvae.straight(3)", split)
    assert here == cells("from htcv_lib import vae as room\nroom.straight(3)", split)


@pytest.mark.parametrize(("old", "new"), [
    ("SLOPE = 2.0", "SLOPE = 3.0"), ("return SLOPE", "return -SLOPE"), ("slope() * x", "x * slope()"),
    ("def line(x):", "def line(x, y=1):"), ("def line(x):", "@staticmethod\ndef line(x):")])
def test_every_definition_that_is_reached_counts(cells, old, new):
    assert cells(USE, {"metrics/line.py": LINE}) != cells(USE, {"metrics/line.py": LINE.replace(old, new)})


def test_what_is_not_reached_does_not_count(cells):
    more = LINE + "\n\ndef other(slope):\n    return slope\n"
    assert cells(USE, {"metrics/line.py": LINE}) == cells(USE, {"metrics/line.py": more})


def test_a_local_name_is_not_the_definition_of_that_name(cells):
    local = "def total(line):\n    return [slope for slope in line]\n"
    alone = cells("from htcv_lib.metrics.total import total\ntotal([1])", {"metrics/total.py": local})
    together = cells("from htcv_lib.metrics.line import total\ntotal([1])", {"metrics/line.py": LINE + "\n\n" + local})
    assert alone == together


def test_another_package_goes_by_its_full_path_however_it_was_imported(cells):
    use = "from htcv_lib.losses.l import loss\nloss()"
    forms = ["from torch.nn import functional as F\n\n\ndef loss():\n    return F.mse_loss(0, 0)\n",
             "import torch\n\n\ndef loss():\n    return torch.nn.functional.mse_loss(0, 0)\n",
             "from torch.nn.functional import mse_loss as far\n\n\ndef loss():\n    return far(0, 0)\n",
             "def loss():\n    from torch.nn.functional import mse_loss\n\n    return mse_loss(0, 0)\n"]
    assert len({cells(use, {"losses/l.py": form}) for form in forms}) == 1
    assert cells(use, {"losses/l.py": forms[0].replace("mse", "l1")}) != cells(use, {"losses/l.py": forms[0]})


def test_definitions_that_use_one_another_in_a_circle_count_all(cells):
    circle = "def even(n):\n    return n == 0 or odd(n - 1)\n\n\ndef odd(n):\n    return n != 0 and even(n - 1)\n"
    for name in ("even", "odd"):
        use = f"from htcv_lib.metrics.c import {name}\n{name}(3)"
        assert cells(use, {"metrics/c.py": circle}) == cells(use, {"metrics/c.py": circle + "\n\nX = 1\n"})
        assert cells(use, {"metrics/c.py": circle}) != cells(use, {"metrics/c.py": circle.replace("!=", ">")})


def test_figures_change_pages_and_no_results(cells):
    use = "from htcv_lib.vae.figures import plot\nplot(3)"
    assert cells(use, {"vae/figures.py": "def plot(x):\n    return x\n"}) == cells(
        use, {"vae/figures.py": "def plot(x):\n    return -x\n"})


def test_a_comment_in_a_used_module_makes_nothing_stale(toy):
    before = keys(toy)
    module = toy.root / "htcv_lib/metrics/toy.py"
    module.write_text(module.read_text().replace("# rises", "# falls") + "\n\n# the end\n")
    assert keys(toy) == before


def test_code_in_a_used_module_makes_every_user_stale(toy):
    before = keys(toy)
    module = toy.root / "htcv_lib/metrics/toy.py"
    module.write_text(module.read_text().replace("slope * steps", "slope * steps + 1"))
    assert all(keys(toy)[name] != before[name] for name in before)


def test_changed_defaults_of_the_notebook_count_only_through_the_parameters(toy):
    before = keys(toy)
    notebook = toy.root / "notebooks/toy/run.ipynb"
    notebook.write_text(notebook.read_text().replace("slope: float = 0.5", "slope: float = 0.7"))
    assert keys(toy) == before  # every run sets its own slope
    notebook.write_text(notebook.read_text().replace("seed: int = 0", "seed: int = 0\\nextra: int = 1"))
    assert keys(toy) != before


def test_an_upstream_run_passes_its_staleness_on(toy, edit_runs):
    edit_runs(toy, lambda family: family["runs"]["two"].update(needs={"teacher": "toy/one"}))
    before = keys(toy)
    edit_runs(toy, lambda family: family["runs"]["one"]["parameters"].update(slope=9.0))
    after = keys(toy)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"toy/one/s0", "toy/two/s0"}


def test_the_explanation_names_the_parameter_and_the_definition(toy):
    run = Book.load(toy).run("toy/one/s0", "quick")
    before = result_parts(run, toy)
    keep_listing(toy.references, run.notebook, toy)
    module = toy.root / "htcv_lib/metrics/toy.py"
    module.write_text(module.read_text().replace("slope * steps", "steps * slope"))
    after = {**result_parts(run, toy), "parameters": {**before["parameters"], "slope": 0.2}}
    assert explain(before, after, toy, run.notebook) == ["definition toy_line", "slope: 1.0 -> 0.2"]


def test_the_run_name_does_not_count(toy):
    run = Book.load(toy).run("toy/one/s0", "quick")
    assert "run_name" not in result_parts(run, toy)["parameters"]
