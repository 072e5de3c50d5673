"""What makes a run stale, and what must not."""

from htcv_lib.runs.freshness import run_states
from htcv_lib.runs.keys import digest, explain, normalized, result_parts
from htcv_lib.runs.plan import Book


def keys(toy):
    return {state.run.name: state.key for state in run_states(Book.load(toy).runs("quick", 1), toy)}


def test_comments_docstrings_and_formatting_do_not_count():
    assert normalized('def f(x):\n    """Doc."""\n    return x+1  # one more') == normalized("def f(x): return (x + 1)")
    assert normalized("x = 1") != normalized("x = 2")


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


def test_a_new_unrelated_module_makes_nothing_stale(toy):
    before = keys(toy)
    (toy.root / "htcv_lib/metrics/other.py").write_text("def other():\n    return 1\n")
    init = toy.root / "htcv_lib/metrics/__init__.py"
    init.write_text(init.read_text().replace("MODULES = {", 'MODULES = {\n    "other": ("other",),', 1))
    assert keys(toy) == before


def test_a_module_used_by_a_used_module_counts(toy):
    module = toy.root / "htcv_lib/metrics/toy.py"
    module.write_text("from htcv_lib.metrics.deeper import rise\n\n\ndef toy_line(a, b):\n    return rise(a) * b\n")
    deeper = toy.root / "htcv_lib/metrics/deeper.py"
    deeper.write_text("def rise(a):\n    return a\n")
    before = keys(toy)
    deeper.write_text("def rise(a):\n    return 2 * a\n")
    assert keys(toy) != before


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


def test_the_explanation_names_the_parameter_and_the_module():
    same = {"notebook": "a", "data": {}, "needs": {}}
    old = {**same, "parameters": {"lr": 0.1}, "modules": {"htcv_lib.models.unet": "x"}}
    new = {**same, "parameters": {"lr": 0.2}, "modules": {"htcv_lib.models.unet": "y"}}
    assert explain(old, new) == ["lr: 0.1 -> 0.2", "module htcv_lib.models.unet"]
    assert digest(old) != digest(new)


def test_the_run_name_does_not_count(toy):
    run = Book.load(toy).run("toy/one/s0", "quick")
    assert "run_name" not in result_parts(run, toy)["parameters"]
