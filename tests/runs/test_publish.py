"""From an executed notebook to a page: own title, captions, downloads, nothing private."""

import json
import os
from html import escape
from urllib.parse import quote

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from htcv_lib.runs.display import METADATA
from htcv_lib.runs.project import Project
from htcv_lib.runs.publish import publish, write_if_changed


@pytest.fixture
def executed(tmp_path):
    """An executed notebook with one figure, one table, noise and progress lines."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "curves.csv").write_text("a\n1\n")
    note = {"name": "curves", "caption": "Loss.", "alt": "A falling curve", "csv": "curves.csv"}
    figure = new_output("display_data", {"image/svg+xml": "<svg/>"}, metadata={METADATA: note})
    table = new_output("display_data", {"text/html": "<table/>"}, metadata={
        METADATA: {"name": "numbers", "caption": "Numbers.", "alt": "", "csv": "numbers.csv"}})
    lines = "ready\nstep 1 of 3, epoch 1, loss 2\nstep 3 of 3, epoch 2, loss 1\n"
    noise = "[IPKernelApp] WARNING | Kernel is running over TCP without encryption."
    notebook = new_notebook(cells=[
        new_markdown_cell("# Title of the template\n\nText."),
        new_code_cell("x = 1", metadata={"tags": ["parameters"]}),
        new_code_cell("fit()", outputs=[new_output("stream", text=lines),
                                        new_output("stream", name="stderr", text=noise)]),
        new_code_cell("show()", outputs=[figure], metadata={"tags": ["page"], "papermill": {"duration": 3.0}}),
        new_code_cell("table()", outputs=[table]),
    ])
    notebook.metadata["papermill"] = {"output_path": str(folder)}
    nbformat.write(notebook, folder / "notebook.ipynb")
    return folder / "notebook.ipynb"


def cells(page):
    return json.loads(page.read_text())["cells"]


def test_a_page_has_its_own_title_and_anchor(executed, tmp_path, toy):
    page = tmp_path / "pages" / "one.ipynb"
    assert publish(executed, page, "Run one", "run-toy-one", toy, provenance="toy/one/s0")
    assert cells(page)[0]["source"][:3] == ["(run-toy-one)=\n", "# Run one\n", "\n"]
    assert "".join(cells(page)[-1]["source"]) == "```{provenance} toy/one/s0\n```"


def test_default_parameters_and_run_metadata_are_left_out(executed, tmp_path, toy):
    page = tmp_path / "pages" / "one.ipynb"
    publish(executed, page, "Run one", "a", toy, "toy/one/s0")
    assert "x = 1" not in page.read_text() and "papermill" not in page.read_text()


def test_a_figure_gets_caption_label_alt_and_its_numbers(executed, tmp_path, toy):
    page = tmp_path / "pages" / "one.ipynb"
    publish(executed, page, "Run one", "run-toy-one", toy, "toy/one/s0")
    (cell,) = [cell for cell in cells(page) if "".join(cell["source"]) == "show()"]
    figure = cell["metadata"]["mystnb"]
    assert figure["image"]["alt"] == "A falling curve"
    assert figure["figure"]["name"] == "fig-run-toy-one-curves"
    assert figure["figure"]["caption"] == (
        "Loss. [Run toy/one/s0 · {download}`CSV <files/one/curves.csv>` · `htcv run toy/one/s0`]{.htcv-origin}")
    assert (page.parent / "files/one/curves.csv").read_text() == "a\n1\n"


def test_a_table_is_followed_by_its_caption(executed, tmp_path, toy):
    page = tmp_path / "pages" / "one.ipynb"
    publish(executed, page, "Run one", "a", toy, "toy/one/s0")
    sources = ["".join(cell["source"]) for cell in cells(page)]
    assert sources[sources.index("table()") + 1].startswith("Numbers. [Run toy/one/s0 · {download}`CSV <files/one/n")


def test_a_figure_of_a_chapter_counts_the_runs_and_seeds_in_its_numbers(executed, tmp_path, toy):
    (executed.parent / "curves.csv").write_text("variant,seed,value\na,0,1\na,1,2\nb,0,3\n")
    publish(executed, tmp_path / "chapter.ipynb", "A chapter", "a", toy, "toy/chapter")
    text = (tmp_path / "chapter.ipynb").read_text()
    assert "[2 runs, 2 seeds · {download}" in text and "`htcv run toy`" in text


def test_a_committed_reference_leads_and_what_this_build_ran_folds_below_it(executed, tmp_path, toy):
    page = tmp_path / "pages" / "one.ipynb"
    publish(executed, page, "Run one", "a", toy, "toy/one/s0", reference="# Run one\n\nMeasured long ago.")
    sources = ["".join(cell["source"]) for cell in cells(page)]
    assert sources[0].endswith("Measured long ago.") and "<details" in sources[1] and "</details>" in sources[-1]
    assert ":own:" in sources[-2] and not any(source.startswith("#") for source in sources[1:])
    assert (page.parent / "files/one/own/curves.csv").is_file()


def test_only_the_last_line_of_progress_and_no_noise_is_shown(executed, tmp_path, toy):
    page = tmp_path / "pages" / "one.ipynb"
    publish(executed, page, "Run one", "a", toy, "toy/one/s0")
    (cell,) = [cell for cell in cells(page) if "".join(cell["source"]) == "fit()"]
    assert ["".join(output["text"]) for output in cell["outputs"]] == ["ready\nstep 3 of 3, epoch 2, loss 1\n"]


def test_an_unchanged_page_is_not_written_again(executed, tmp_path, toy):
    page = tmp_path / "pages" / "one.ipynb"
    assert publish(executed, page, "Run one", "a", toy, "toy/one/s0")
    assert not publish(executed, page, "Run one", "a", toy, "toy/one/s0")
    assert publish(executed, page, "Another title", "a", toy, "toy/one/s0")
    assert not write_if_changed(page, page.read_text())


def test_folders_of_this_machine_are_replaced_in_outputs_and_code_alone(executed, tmp_path, toy, monkeypatch):
    monkeypatch.setenv("HTCV_DATA", "/data")
    monkeypatch.setenv("HOME", "/home/reader")
    picture = "iVBOR/data/Rw0KGgo"
    notebook = nbformat.read(executed, as_version=4)
    notebook.cells[0].source += "\n\nSee [the data](../../data.md) and the metadata."
    notebook.cells[2].source = "fit('/home/reader/x', '/home/readers/y')"
    notebook.cells[2].outputs[0]["text"] = f"reading {toy.root}/data, /data, /data2, file:///data/b and '/data/a b'"
    notebook.cells[3].outputs[0]["data"] |= {"image/png": picture, "text/plain": "\x1b[32m/home/reader/f.py\x1b[0m"}
    nbformat.write(notebook, executed)
    page = tmp_path / "pages" / "one.ipynb"
    publish(executed, page, "Run one", "a", toy, "toy/one/s0")
    _, first, second, *_ = nbformat.read(page, as_version=4).cells
    assert "(../../data.md) and the metadata" in page.read_text()
    assert first.source == "fit('~/x', '/home/readers/y')"
    assert first.outputs[0].text == ("reading ./data, $HTCV_DATA, /data2, file://$HTCV_DATA/b and "
                                     "'$HTCV_DATA/a b'")
    assert second.outputs[0].data["image/png"] == picture
    assert second.outputs[0].data["text/plain"] == "\x1b[32m~/f.py\x1b[0m"


@pytest.mark.parametrize("spell", [str, escape, quote, lambda path: json.dumps(path)[1:-1]])
def test_a_folder_is_known_in_every_spelling(tmp_path, spell):
    root = tmp_path / "Müllers & Söhne"
    assert Project(root).scrub(f"in {spell(str(root))}/runs") == "in ./runs"


def test_places_are_absolute_once_and_who_has_no_home_gets_one(toy, monkeypatch):
    monkeypatch.chdir(toy.root)
    monkeypatch.setenv("HTCV_DATA", "data")
    monkeypatch.setenv("HTCV_CACHE", "~/c")
    monkeypatch.setenv("HOME", "/nowhere")
    project = Project.find(toy.root)
    assert os.environ["HTCV_DATA"] == str(toy.root / "data")
    assert project.weights == toy.built / "home/c/checkpoints" and (toy.built / "home").is_dir()
