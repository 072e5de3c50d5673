"""runs.yml: what it may say, and what it must not."""

import cProfile
import json
import pstats

import pytest

from htcv_lib.runs.build import active_profile
from htcv_lib.runs.freshness import status_lines
from htcv_lib.runs.notebook import default_parameters, first_heading, mistyped, parameter_help, parameter_types
from htcv_lib.runs.plan import Book, Family, PlanError, metric_heading
from htcv_lib.runs.project import Project


def test_an_unknown_parameter_is_refused_by_name(toy, edit_runs):
    edit_runs(toy, lambda family: family["runs"]["one"]["parameters"].update(slpoe=1.0))
    with pytest.raises(PlanError, match="toy/one/s0: run.ipynb has no parameter 'slpoe'"):
        Book.load(toy).runs("quick")


def test_what_a_profile_says_for_all_is_left_out_where_a_notebook_has_no_such_parameter(toy, edit_runs):
    short = (toy.notebooks / "toy/run.ipynb").read_text().replace("steps: int = 10\\n", "").replace("steps", "4")
    (toy.notebooks / "toy/short.ipynb").write_text(short)
    edit_runs(toy, lambda family: family["runs"]["two"].update(notebook="short.ipynb"))
    runs = {run.name: run.parameters for run in Book.load(toy).runs("quick")}
    assert runs["toy/one/s0"]["steps"] == 2 and "steps" not in runs["toy/two/s0"]
    edit_runs(toy, lambda family: family["profiles"]["quick"].update(stpes=2))
    with pytest.raises(PlanError, match="has no parameter 'stpes' .profile quick."):
        Book.load(toy).runs("quick")


def test_an_unknown_key_is_refused_by_name(toy, edit_runs):
    edit_runs(toy, lambda family: family["runs"]["one"].update(paramters={}))
    with pytest.raises(PlanError, match="unknown key 'paramters'"):
        Book.load(toy)


@pytest.mark.parametrize(("table", "says"), [
    ("", "runs is missing"), ("runs: [one]", "runs: wants a mapping, got 'one'"),
    ("runs: [{one: run.ipynb}]", "one: wants a mapping, got 'run.ipynb'"),
    ("runs: [{one: {title: One}}]", "one: notebook is missing"),
    ("runs: [{one: {notebook: run.ipynb, parameters: [slope]}}]", "one: parameters wants a mapping, got .'slope'."),
    ("runs: [{one: {notebook: run.ipynb, priority: high}}]", "one: priority wants a whole number, got 'high'"),
    ("runs: [{one: {notebook: run.ipynb, quick: 'yes'}}]", "one: quick wants true or false or a mapping or nothing"),
    ("runs: [{one: {notebook: run.ipynb, setting: wel}}]\nsettings: {well: {}}", "no setting 'wel'; there are well"),
    ("runs: []\nseeds: 3", "seeds wants a mapping, got 3"), ("runs: []\nseeds: {quik: 3}", "unknown key 'quik'"),
    ("runs: []\nminutes: {quick: long}", "minutes: quick wants a whole number or a number, got 'long'"),
    ("runs: []\nreport: {o*: {side: 3}}", "report, o.: pictures is missing"),
    ("runs: []\nchapters: [none.ipynb]", "no notebook notebooks/toy/none.ipynb"),
    ("runs: [{one: {notebook: run.ipynb}, one: {notebook: run.ipynb}}]", "line 1: 'one' stands here twice"),
    ("runs: []\nuse: {one: {pictures: photos/}}", "use, one: python is missing"),
    ("runs: [\n  - x", "line 2: "), ("runs: []\ntitle: \0", "characters are not allowed"),
    ("- a\n- b", "wants a mapping, got"), (b"title: \xff\nruns: []", "can't decode byte 0xff"),
])
def test_a_table_of_runs_that_cannot_be_read_is_one_line_that_names_file_and_place(toy, table, says):
    toy.tables["toy"].write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(PlanError, match=says) as refused:
        Book.load(toy)
    assert str(refused.value).startswith("notebooks/toy/runs.yml") and "\n" not in str(refused.value)


@pytest.mark.parametrize(("entry", "says"), [
    ("{better: hihger}", "better is higher or lower, not 'hihger'"), ("{form: .2f}", "unknown key 'form'"),
    ("{format: .2q}", "Python knows no '.2q'"), ("best", "wants a mapping, got 'best'"),
])
def test_what_metrics_yml_says_wrongly_is_one_line(toy, entry, says):
    toy.metrics("toy").write_text(f"value: {entry}\n")
    with pytest.raises(PlanError, match=f"notebooks/toy/metrics.yml, value: .*{says}"):
        Book.load(toy)


def test_a_run_says_otherwise_than_all_of_its_group(toy):
    toy.tables["toy"].write_text("""
runs:
  - all: {notebook: run.ipynb, priority: 2, parameters: {slope: 1.0}}
    one: {title: Run one}
    two: {priority: 4, parameters: {steps: 3}}
  - alone: {notebook: run.ipynb}
""")
    runs = Book.load(toy).families["toy"].variants
    assert list(runs) == ["one", "two", "alone"]
    assert runs["one"] == {"notebook": "run.ipynb", "priority": 2, "parameters": {"slope": 1.0}, "title": "Run one"}
    assert runs["two"] == {"notebook": "run.ipynb", "priority": 4, "parameters": {"steps": 3}}
    assert runs["alone"] == {"notebook": "run.ipynb"}


def test_a_run_that_stands_in_two_groups_is_refused(toy):
    toy.tables["toy"].write_text("runs:\n  - one: {notebook: run.ipynb}\n  - one: {notebook: run.ipynb}\n")
    with pytest.raises(PlanError, match="the run 'one' stands there twice"):
        Book.load(toy)


def test_a_family_is_a_folder_and_its_place_is_that_in_the_contents(toy):
    for name in ("a_new_one", "another"):
        (toy.notebooks / name).mkdir()
        (toy.notebooks / name / "runs.yml").write_text("title: New\nruns: []\n")
    assert list(Book.load(toy).families) == ["toy", "a_new_one", "another"]
    contents = toy.root / "_toc.yml"
    contents.write_text("- file: book/pages/another/chapter\n" + contents.read_text())
    assert list(Book.load(toy).families) == ["another", "toy", "a_new_one"]


def test_runs_that_need_each_other_are_refused(toy, edit_runs):
    def circle(family):
        family["runs"]["one"]["needs"] = {"a": "toy/two"}
        family["runs"]["two"]["needs"] = {"b": "toy/one"}

    edit_runs(toy, circle)
    with pytest.raises(PlanError, match="needs itself"):
        Book.load(toy).runs("quick")


def test_what_is_needed_comes_first(toy, edit_runs):
    def change(family):
        family["runs"]["one"].update(needs={"teacher": "toy/three"}, priority=1)

    edit_runs(toy, change)
    names = [run.name for run in Book.load(toy).runs("quick")]
    assert names.index("toy/three/s0") < names.index("toy/one/s0")


def test_one_run_can_be_asked_for_by_variant_or_by_seed(toy):
    book = Book.load(toy)
    assert [run.name for run in book.runs("quick", variants=["toy/two"])] == ["toy/two/s0"]
    assert [run.name for run in book.runs("quick", variants=["toy/two/s4"])] == ["toy/two/s4"]


def test_later_layers_win(toy, edit_runs):
    edit_runs(toy, lambda family: family["runs"]["one"].update(quick={"steps": 7}))
    runs = {run.variant: run for run in Book.load(toy).runs("quick")}
    assert (runs["one"].parameters["steps"], runs["two"].parameters["steps"]) == (7, 2)
    assert runs["one"].parameters["run_name"] == "toy/one/s0"


def test_defaults_must_be_plain_literals(toy):
    notebook = toy.root / "notebooks/toy/run.ipynb"
    notebook.write_text(notebook.read_text().replace("steps: int = 10", "steps: int = 5 * 2"))
    with pytest.raises(ValueError, match="plain literals"):
        default_parameters(notebook)


def test_types_are_what_the_notebook_annotates(toy):
    notebook = toy.notebooks / "toy/run.ipynb"
    assert parameter_types(notebook) == {"run_name": str, "slope": float, "steps": int, "seed": int, "fail": bool}
    notebook.write_text(notebook.read_text().replace("steps: int", "steps: complex"))
    with pytest.raises(ValueError, match="parameters are of type bool, int, float, str, list, found 'steps: "):
        parameter_types(notebook)


@pytest.mark.parametrize(("value", "wanted", "fault"), [
    (1.5, float, ""), (2, float, ""), (2, int, ""), (True, bool, ""), ("2", str, ""), ([True, "a"], list, ""),
    (True, int, "wants int, got bool True"), (True, float, "wants float, got bool True"),
    (1, bool, "wants bool, got int 1"), (2.0, int, "wants int, got float 2.0"), (2, str, "wants str, got int 2"),
    (None, str, "wants str, got NoneType None"), ("ab", list, "wants list, got str 'ab'"),
    ("ab", float, "wants float, got str 'ab'"), ("1.0e-3", int, "wants int, got str '1.0e-3'"),
    ("1e-3", float, "wants float, got str '1e-3': `1e-3` is text in YAML: write 1.0e-3"),
    ("-2.5E4", float, "wants float, got str '-2.5E4': `-2.5E4` is text in YAML: write -2.5e+4"),
])
def test_a_bool_is_no_number_and_an_int_will_do_for_a_float(value, wanted, fault):
    assert mistyped(value, wanted) == fault


@pytest.mark.parametrize(("value", "default", "fault"), [
    (0, 3, ""), (-1.0, -1.0, ""), (-1, 3, "wants a number of 0 or more, got -1"), ([8], [16, 32], ""), (["a"], [], ""),
    (["8"], [16, 32], "wants int in its list, got '8'"), (float("inf"), 1.0, "wants a number of 0 or more, got inf"),
    ([None], [], "wants bool or float or int or str in its list, got None"),
])
def test_a_number_has_the_sign_of_its_default_and_a_list_holds_what_its_default_holds(value, default, fault):
    assert mistyped(value, type(default), default) == fault


@pytest.mark.parametrize(("change", "layer"), [
    (lambda family: family.update(settings={"as_reported": {"slope": "1e-3"}}), "setting as_reported"),
    (lambda family: family["runs"]["one"]["parameters"].update(slope="1e-3"), "parameters"),
    (lambda family: family["profiles"]["quick"].update(slope="1e-3"), "profile quick"),
    (lambda family: family["runs"]["one"].update(quick={"slope": "1e-3"}), "quick of the run"),
])
def test_a_value_of_another_type_is_refused_in_every_layer(toy, edit_runs, change, layer):
    edit_runs(toy, change)
    with pytest.raises(PlanError) as refused:
        Book.load(toy).runs("quick")
    assert str(refused.value) == ("toy/one/s0: slope wants float, got str '1e-3': "
                                  f"`1e-3` is text in YAML: write 1.0e-3 ({layer})")


def test_an_int_for_a_float_stays_an_int(toy, edit_runs):
    edit_runs(toy, lambda family: family["runs"]["one"]["parameters"].update(slope=3))
    slope = Book.load(toy).run("toy/one/s0", "quick").parameters["slope"]
    assert (slope, type(slope)) == (3, int)


def test_help_comes_from_the_comment_behind_a_default(toy):
    assert parameter_help(toy.root / "notebooks/toy/run.ipynb")["slope"] == "rise per step"


def test_an_unknown_profile_is_refused(monkeypatch):
    monkeypatch.setenv("HTCV_PROFILE", "quik")
    with pytest.raises(PlanError, match="choose one of none, quick"):
        active_profile()


def test_the_book_plans_every_profile():
    book = Book.load(Project.find(__file__))
    quick = book.runs("quick")
    assert 1 <= len(quick) <= 36
    for profile in ("laptop", "full"):
        assert {run.variant for run in quick} <= {run.variant for run in book.runs(profile)}


@pytest.mark.parametrize(("sources", "title"), [
    (["Before any heading.", "Text\n# The title \n\n# Another"], "The title"),
    (["## Only a section", "no heading"], "notes")])
def test_a_notebook_calls_itself_by_its_first_heading_or_its_file(tmp_path, sources, title):
    cells = [{"cell_type": "code", "source": ["# a comment"], "metadata": {}}]
    cells += [{"cell_type": "markdown", "source": [text], "metadata": {}} for text in sources]
    path = tmp_path / "notes.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    assert first_heading(path) == title


@pytest.mark.parametrize(("about", "heading"), [
    ({"title": "PSNR", "unit": "dB"}, "PSNR, dB"),
    ({"title": "Bits per dimension", "unit": "bits"}, "Bits per dimension"),
    ({"title": "Accuracy", "unit": "fraction"}, "Accuracy"),
    ({"title": "Collapsed", "unit": "runs"}, "Collapsed"),
    ({}, "psnr"),
])
def test_a_metric_is_headed_by_its_title_and_a_unit_that_is_not_in_it(about, heading):
    assert metric_heading("psnr", about) == heading


def test_a_role_is_what_runs_yml_says_or_what_the_setting_says():
    settings = {"toy_as_described": {"lr": 0.1}, "done_well": {"lr": 0.3}, "step": {}}
    runs = {"a": {}, "b": {"parameters": {"lr": 0.3}}, "c": {"setting": "toy_as_described", "parameters": {"width": 2}},
            "d": {"setting": "toy_as_described", "parameters": {"lr": 0.2}}, "e": {"setting": "step"},
            "f": {"setting": "done_well", "role": "variation"}}
    family = Family("toy", "Toy", {"runs": runs, "settings": settings})
    assert [family.role(variant) for variant in runs] == [
        "report's recipe", "in between", "as described", "in between", "step", "variation"]


def test_how_a_network_is_used_is_what_the_first_pattern_says_with_its_name_and_parameters_filled_in():
    family = Family("toy", "Toys", {"use": {"o*": {"python": "load('$name', $size, $other)\n", "pictures": "photos/"},
                                            "*e": {"python": "load()"}}})
    assert family.use("one", {"size": 64}) == {"python": "load('toy/one', 64, $other)",
                                               "command": "htcv try toy/one photos/"}
    assert family.use("three", {}) == {"python": "load()"} and family.use("two", {}) == {}


def test_the_cost_of_status_grows_as_the_number_of_runs(toy, edit_runs):
    def calls(variants: int) -> int:
        """Functions called for so many variants, five seeds each, half of which need others."""
        def change(family):
            one = {"notebook": "run.ipynb", "quick": True}
            family["runs"] = {f"v{i}": one | {"title": str(i), "needs": {"first": f"toy/v{i // 2}"} if i % 2 else {}}
                              for i in range(variants)}
            family["seeds"] = {"quick": 5}

        edit_runs(toy, change)
        status_lines("quick", toy)  # the library's code is digested once, whatever the number
        with cProfile.Profile() as profile:
            lines = status_lines("quick", toy)
        assert len(lines) == 1 + 5 * variants
        return pstats.Stats(profile).total_calls

    few, more, many = (calls(count) for count in (20, 40, 80))
    assert many - more < 2.2 * (more - few)
    assert many - more < 200 * 1500  # a run costs no reading of its notebook and of the library
