"""The book's roles and directives, on a small project with two runs."""

import json
import re
import shutil
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

sys.path.insert(0, str(Path(__file__).parents[2] / "book" / "_ext"))

EXTENSIONS = ["myst_parser", "book_state", "result_role", "provenance", "verdict_list", "result_tables",
              "first_screen", "data_sheets"]
RUNS = """
title: Toy family
runs:
  - all: {notebook: run.ipynb}
    first: {title: The first run}
    second: {title: The second run, parameters: {dataset: mnist}}
"""
METRICS = "accuracy: {title: Accuracy, unit: fraction, better: higher, format: .1%}\n"


class Toy:
    """A book of one page."""

    def __init__(self, root: Path):
        self.root = root
        (root / "notebooks" / "toy").mkdir(parents=True)
        (root / "data_manifests").mkdir()
        self.runs, self.metrics = (root / "notebooks" / "toy" / name for name in ("runs.yml", "metrics.yml"))
        self.runs.write_text(RUNS)
        self.metrics.write_text(METRICS)
        cell = new_code_cell('dataset: str = "oxford_pets"  # which photographs\nlr: float = 0.1  # learning rate\n'
                             'seed: int = 0\nrun_name: str = ""')
        cell.metadata.tags = ["parameters"]
        nbformat.write(new_notebook(cells=[cell]), root / "notebooks" / "toy" / "run.ipynb")
        (root / "book" / "pages" / "toy" / "runs").mkdir(parents=True)
        (root / "book" / "pages" / "toy" / "runs" / "first.md").write_text("# The first run\n")

    def page(self, text: str) -> None:
        (self.root / "index.md").write_text(f"# Page\n\n{text}\n\n```{{toctree}}\n:glob:\nbook/pages/toy/runs/*\n```\n")

    def claim(self, text: str) -> None:
        """Write the family's file of claims."""
        path = self.root / "book" / "claims" / "toy.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def refer(self, variant: str, seed: int, accuracy: float, **changes) -> Path:
        """Commit a reference made by the run as it is defined now."""
        from htcv_lib.runs.freshness import run_states
        from htcv_lib.runs.plan import Book
        from htcv_lib.runs.project import Project

        project = Project(self.root)
        name = f"toy/{variant}/s{seed}"
        state = run_states([Book.load(project).run(name, "laptop")], project)[0]
        metric = {"value": accuracy, "unit": "fraction", "better": "higher", "split": "test", "n": 10}
        record = {
            "schema": 1, "run": name, "profile": "laptop", "key": state.key, "parts": state.parts,
            "parameters": dict(state.run.parameters), "commit": "abc", "dirty": False, "device": "a small machine",
            "versions": {"torch": "2.15.0"}, "finished": "2026-11-21T06:00:00Z", "wall_s": 120.0, "train_s": 100.0,
            "peak_memory_mib": 900, "metrics": {"accuracy": metric}, **changes,
        }
        folder = project.reference("laptop", name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "record.json").write_text(json.dumps(record))
        (folder / "history.csv").write_text("epoch,loss\n1,0.5\n")
        return folder

    def build(self, *, fresh: bool = True) -> tuple[str, str]:
        """HTML of the page and the warnings, by one run of Sphinx."""
        from sphinx.testing.util import SphinxTestApp

        if fresh:
            shutil.rmtree(self.root / "_build", ignore_errors=True)
        (self.root / "conf.py").write_text("exclude_patterns = ['notebooks', '_build', 'README*']\n")
        app = SphinxTestApp("html", srcdir=self.root, confoverrides={"extensions": EXTENSIONS}, freshenv=fresh)
        try:
            app.build()
            return (Path(app.outdir) / "index.html").read_text(), app.warning.getvalue()
        finally:
            app.cleanup()


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Toy:
    monkeypatch.setenv("HTCV_PROFILE", "none")
    return Toy(tmp_path)


def test_a_result_is_read_from_the_record_and_links_to_its_run(toy):
    toy.refer("first", 0, 0.8125)
    toy.page("It reaches {result}`toy/first/s0:accuracy`, or {result}`toy/first/s0:accuracy:.3f`.")
    html, warnings = toy.build()
    assert "81.2%" in html and "0.812" in html and warnings == ""
    assert 'href="book/pages/toy/runs/first.html#metric-accuracy"' in html
    assert 'title="laptop profile, oxford_pets, a small machine, 2026-11-21"' in html


def test_without_a_seed_it_gives_the_mean_its_half_interval_and_n(toy):
    for seed, accuracy in enumerate([0.80, 0.82, 0.84]):  # mean 0.82, t(0.975, 2) * 0.02 / sqrt(3) = 0.0497
        toy.refer("first", seed, accuracy)
    toy.page("{result}`toy/first:accuracy`")
    assert "82.0%\u00a0±\u00a05.0% (n = 3)" in toy.build()[0]


def test_a_negative_result_has_a_minus_sign(toy):
    toy.refer("first", 0, -0.25)
    toy.page("{result}`toy/first/s0:accuracy:.2f` and {result}`toy/first:accuracy:.2f`")
    html, _ = toy.build()
    assert "\u22120.25" in html and "\u22120.25 (n = 1)" in html and "-0.25" not in html


@pytest.mark.parametrize("wrong", ["toy/third:accuracy", "toy/first:precision", "toy/first/s0:precision", "toy first"])
def test_a_result_that_does_not_exist_is_a_warning(toy, wrong):
    toy.refer("first", 0, 0.8)
    toy.page(f"{{result}}`{wrong}`")
    html, warnings = toy.build()
    assert "result role" in warnings and "unknown result" in html


def test_a_run_without_a_reference_says_so_without_a_warning(toy):
    toy.page("{result}`toy/second:accuracy`\n\n```{provenance} toy/second/s0\n```\n\n```{results-table} toy\n```\n\n"
             "```{status-table}\n```\n\n```{first-screen}\n```\n\n```{claims} toy\n```\n\n```{verdict-bar}\n```")
    html, warnings = toy.build()
    assert warnings == ""
    assert "not yet measured" in html and "has no record yet" in html and "No reference of this family" in html


def test_a_reference_whose_run_has_changed_carries_a_dagger_that_says_what(toy):
    toy.refer("first", 0, 0.8)
    notebook = toy.root / "notebooks" / "toy" / "run.ipynb"
    notebook.write_text(notebook.read_text().replace("0.1", "0.2"))
    toy.page("{result}`toy/first/s0:accuracy`\n\n```{status-table}\n```")
    html, _ = toy.build()
    assert "†" in html and "lr: 0.1 -&gt; 0.2" in html and "htcv-is-stale" in html


def test_a_fresh_reference_carries_no_dagger(toy):
    toy.refer("first", 0, 0.8)
    toy.page("{result}`toy/first/s0:accuracy`")
    assert "†" not in toy.build()[0]


def test_a_page_is_read_again_when_a_record_changes_and_only_then(toy):
    toy.refer("first", 0, 0.8)
    other = toy.root / "book" / "pages" / "toy" / "runs" / "second.md"  # not the root page, which is always rewritten
    other.write_text("# Other\n\n{result}`toy/first/s0:accuracy`\n")
    toy.page("Nothing here.")
    toy.build()
    shown = toy.root / "_build" / "html" / "book" / "pages" / "toy" / "runs" / "second.html"
    assert "80.0%" in shown.read_text()
    stamp = shown.stat().st_mtime_ns
    toy.build(fresh=False)
    assert shown.stat().st_mtime_ns == stamp
    toy.refer("first", 0, 0.9)
    toy.build(fresh=False)
    assert "90.0%" in shown.read_text()


def test_the_provenance_box_says_how_to_repeat_the_run_and_what_it_used(toy):
    toy.refer("first", 0, 0.8, weights={"file": "x", "bytes": 2**20, "sha256": "f" * 64})
    toy.page("```{provenance} toy/first/s0\n```")
    html, warnings = toy.build()
    assert warnings == ""
    assert "htcv run toy/first/s0 --profile laptop --force" in html
    assert "http://localhost:8888/lab/tree/notebooks/toy/run.ipynb" in html
    for fact in ("2.0 min", "a small machine", "900 MiB", "abc", "torch 2.15.0", "learning rate", "ffffffffffffffff"):
        assert fact in html, fact
    assert html.count('class="reference download internal"') == 2  # history and record


def test_a_chapter_has_a_box_too(toy):
    toy.runs.write_text(RUNS + "chapters: [chapter.ipynb]\n")
    (toy.runs.parent / "chapter.ipynb").write_text((toy.runs.parent / "run.ipynb").read_text())
    toy.refer("first", 0, 0.8)
    toy.page("```{provenance} toy/chapter\n```")
    html, warnings = toy.build()
    assert warnings == "" and ">1 reference<" in html
    assert "http://localhost:8888/lab/tree/notebooks/toy/chapter.ipynb" in html


def test_an_unknown_run_in_a_provenance_box_is_a_warning(toy):
    toy.page("```{provenance} toy/nothing/s0\n```")
    assert "no run 'toy/nothing/s0'" in toy.build()[1]


def groups(html: str) -> list[str]:
    """The groups of rows of a page's tables of results."""
    return [part.split("</tbody>")[0] for part in html.split("<tbody><tr class=\"htcv-group\">")[1:]]


def test_results_on_different_data_and_splits_stand_in_different_groups_of_one_table(toy):
    metric = {"value": 0.7, "unit": "fraction", "better": "higher", "split": "val", "n": 10}
    toy.refer("first", 0, 0.8)
    toy.refer("first", 1, 0.7, metrics={"accuracy": metric})
    toy.refer("second", 0, 0.9)
    toy.page("```{results-table} toy\n```")
    html, warnings = toy.build()
    assert warnings == "" and html.count("<table") == 1
    assert [re.findall(r"oxford_pets, \w+ split|mnist, \w+ split|\d\d.0%", group) for group in groups(html)] == [
        ["oxford_pets, test split", "80.0%"], ["oxford_pets, val split", "70.0%"], ["mnist, test split", "90.0%"]]


def test_the_best_of_a_group_is_bold_and_a_run_alone_is_not(toy):
    toy.runs.write_text(RUNS.replace(", parameters: {dataset: mnist}", ""))
    toy.refer("first", 0, 0.8)
    toy.page("```{results-table} toy\n```")
    assert "<strong>" not in groups(toy.build()[0])[0]
    toy.refer("second", 0, 0.9)
    (group,) = groups(toy.build()[0])
    assert re.findall("<strong>(.*?)</strong>", group) == ["90.0%"] and 'data-value="0.8"' in group


def test_a_table_shows_the_metrics_chosen_in_runs_yml_and_others_fold(toy):
    toy.metrics.write_text(METRICS + "psnr: {title: PSNR, unit: dB, better: higher, format: .1f}\n"
                           "ssim: {title: SSIM, better: higher}\n")
    toy.runs.write_text(RUNS + "tables: {pictures: [psnr, ssim], classes: [accuracy]}\nshown: [psnr]\n")
    quality = {"value": 20.0, "unit": "dB", "better": "higher", "split": "test", "n": 10}
    toy.refer("first", 0, 0.8)
    toy.refer("first", 1, 0.8, metrics={"psnr": quality, "ssim": quality})
    toy.page("```{results-table} toy\n```")
    html, warnings = toy.build()
    tables = html.split("<table")[1:]
    assert warnings == "" and len(tables) == 2 and "SSIM" not in html
    assert "20.0" in tables[0] and "Accuracy" not in tables[0] and "Also measured: classes" in tables[0]
    assert "80.0%" in tables[1] and "PSNR" not in tables[1]


def test_a_row_of_results_shows_what_went_in_and_what_came_out(toy):
    from PIL import Image

    from htcv_lib.runs.records import Samples

    tiles = np.zeros((2, 3, 8, 8, 3), np.uint8)
    tiles[1, 2] = 200
    Samples(tiles, ["photo", "truth", "prediction"], [{"label": "best"}, {"label": "median"}]).save(
        toy.refer("first", 0, 0.8))
    toy.page("```{results-table} toy\n```")
    html, _ = toy.build()
    (address,) = re.findall(r'<img src="([^"]*thumbs[^"]*)" loading="lazy"', html)
    thumb = Image.open(toy.root / "_build" / "html" / address)
    assert thumb.getpixel((10, 10))[0] < 20 and thumb.getpixel((thumb.width - 10, 10))[0] > 180


def test_the_first_screen_has_a_card_for_each_chapter_and_no_number_without_a_reference(toy):
    index = (Path(__file__).parents[2] / "book" / "index.md").read_text()
    toy.page(re.search("````{first-screen}.*?\n````\n", index, re.DOTALL)[0])
    html, warnings = toy.build()
    assert warnings == "" and html.count('<li class="htcv-card') == 5
    assert html.count('class="htcv-question"') == 5 and "U\u2011Net matter when it outlines a pet?</p>" in html
    assert 'class="htcv-number"' not in html and "In preparation" in html


def cards(*options: str) -> str:
    """A first screen with one card."""
    lines = "\n".join(f":{option}" for option in options)
    return ("````{first-screen} One toy\n```{report-card} toy\n:title: Toy\n:source: A report\n"
            f":question: Does it work?\n{lines}\n\nIt does: {{result}}`toy/first:accuracy:.0%:mean`.\n```\n````")


def test_the_page_says_what_stands_on_a_card(toy):
    toy.page(cards())
    html, warnings = toy.build()
    assert warnings == "" and '<p class="htcv-line">One toy</p>' in html
    assert '<p class="htcv-source">Toy family · Report: A report</p>' in html
    assert '<p class="htcv-question">Does it work?</p>' in html
    assert re.search(r'<div class="htcv-finding[^>]*>\s*<p>It does: <span class="htcv-missing">not yet measured', html)
    toy.refer("first", 0, 0.5)
    toy.refer("first", 1, 0.6)
    html, _ = toy.build()
    assert ">55%</a>" in html and "mean of 2 seeds, laptop profile" in html


def test_a_card_without_a_title_is_a_warning_that_names_it(toy):
    toy.page(cards().replace(":title: Toy\n", ""))
    assert "report-card toy: missing title" in toy.build()[1]


def test_a_card_shows_a_sketch_until_its_family_has_a_picture(toy):
    sketches = toy.root / "_static" / "sketches"
    sketches.mkdir(parents=True)
    (sketches / "toy.svg").write_text('<svg class="htcv-sketch"></svg>\n')
    toy.page(cards())
    assert '<div class="htcv-strip"><svg class="htcv-sketch"></svg></div>' in toy.build()[0]


def test_a_card_may_name_its_run_its_baseline_and_what_must_be_read_with_its_number(toy):
    toy.metrics.write_text(METRICS + "style: {title: Style kept, unit: '', better: higher, format: .2f}\n")
    toy.runs.write_text(RUNS.replace(", parameters: {dataset: mnist}", ""))
    share = {"value": 0.9, "unit": "fraction", "better": "higher", "split": "test", "n": 10}
    toy.refer("first", 0, 0.4)
    toy.refer("first", 1, 0.6)
    toy.refer("second", 0, 0.9, metrics={"accuracy": share, "style": {**share, "value": 0.75}})
    toy.page(cards("run: second", "metrics: accuracy; style", "baseline: first"))
    html, warnings = toy.build()
    assert warnings == ""
    assert "90.0%</b> accuracy, done well; 50.0% with the report's recipe" in html and "n = 1, the other 2</p>" in html
    assert '<p class="htcv-data">style kept 0.75</p>' in html


def test_the_picture_of_a_card_shows_the_columns_asked_for(tmp_path):
    from first_screen import picture

    from htcv_lib.runs.records import Record, Samples

    Samples(np.zeros((1, 3, 8, 8, 3), np.uint8), ["original", "views", "original, predicted"],
            [{"label": "view 0"}]).save(tmp_path)
    record = Record(tmp_path, {})
    captions = [re.findall("<figcaption>(.*?)</figcaption>", picture(record, *asked)) for asked in ((), (("views",),))]
    assert captions == [["views", "original, predicted"], ["views"]]


def test_a_card_keeps_abbreviations_and_says_the_unit(toy):
    toy.metrics.write_text(METRICS + "psnr: {title: PSNR in the box, unit: dB, better: higher, format: .2f}\n")
    toy.runs.write_text(RUNS.replace(", parameters: {dataset: mnist}", ""))
    psnr = {"value": 31.5, "unit": "dB", "better": "higher", "split": "test", "n": 10}
    toy.refer("second", 0, 0.9, metrics={"psnr": psnr})
    toy.page(cards("run: second", "metrics: psnr"))
    html, _ = toy.build()
    assert "31.50&nbsp;dB</b> PSNR in the box, done well" in html.replace("\u00a0", "&nbsp;")


def test_a_card_without_its_run_shows_no_other_number(toy):
    toy.refer("first", 0, 0.5)
    toy.page(cards("run: second"))
    html, _ = toy.build()
    assert "not recorded yet" in html and 'class="htcv-number"' not in html


CLAIMS = """
report: README
sections:
  Observations:
    first sentence:
    - observation: The first run is said to win.
      better: The first run has a higher accuracy than the second.
      compare: {better: first, worse: second, metric: accuracy, margin: 0.01}
    second sentence:
    - explanation: It is said to win because it is first.
      cause: Being first makes it win.
      not_testable: A guess about a cause.
"""


def judged(toy, seeds: int) -> tuple[str, str]:
    toy.claim(CLAIMS)
    for seed in range(seeds):  # 5 points apart, more or less a tenth of a point
        toy.refer("first", seed, 0.85 + 0.001 * (seed % 2))
        toy.refer("second", seed, 0.80)
    toy.page("```{verdict-bar}\n```\n\n```{claims} toy\n```")
    return toy.build()


def test_a_claim_shows_what_was_said_what_was_tested_and_what_came_out(toy):
    html, warnings = judged(toy, seeds=10)
    assert warnings == ""
    assert "The first run is said to win." in html and "has a higher accuracy" in html
    assert '<span class="htcv-badge htcv-is-supported">supported</span>' in html
    assert "+5.0 points (95 % interval +5.0 points to +5.1 points); margin 1.0 points" in html
    assert '<span class="htcv-badge htcv-is-not-testable">not testable</span>' in html
    assert "A guess about a cause." in html
    assert 'Runs: <a href="book/pages/toy/runs/first.html">toy/first</a>, toy/second' in html


def test_fewer_than_five_seeds_are_called_preliminary_and_print_their_values(toy):
    html, _ = judged(toy, seeds=3)
    assert "preliminary, n = 3; accuracy +5.0, +5.1, +5.0 points; margin" in html
    assert "1 so far supported" in html and "interval" not in html
    assert '<span class="htcv-badge htcv-is-so-far-supported">so far supported</span>' in html
    assert "htcv-is-supported" not in html


def test_a_count_of_the_bar_leads_to_a_line_that_leaves_only_its_claims(toy):
    html, _ = judged(toy, seeds=10)
    assert '<a href="#only-supported">1 supported</a>' in html
    assert html.count('id="only-supported"') == 1 and 'htcv-only htcv-is-supported' in html
    (toy.root / "book" / "claims.md").write_text("# Claims\n\n```{claims} toy\n```\n")
    toy.page("```{verdict-bar} toy Observations\n```\n\n```{toctree}\nbook/claims\n```")
    html, _ = toy.build()  # of one report: its list on the page of claims
    assert '<a href="book/claims.html#only-toy-supported">1 supported</a>' in html
    assert (toy.root / "_build/html/book/claims.html").read_text().count('id="only-toy-supported"') == 1


def test_a_claim_says_when_its_test_was_changed_and_its_numbers_have_their_unit(toy):
    changed = CLAIMS.replace("    - observation", "    - revised: true\n      observation")
    toy.claim(changed)
    toy.metrics.write_text(METRICS.replace("unit: fraction", "unit: dB").replace("format: .1%", "format: .2f"))
    for seed, value in enumerate((2.1, 2.3, 2.2)):
        toy.refer("first", seed, value)
        toy.refer("second", seed, 1)
    toy.page("```{claims} toy\n```")
    html = toy.build()[0]
    assert html.count("Its test was chosen or changed after its first results were known.") == 1
    assert "accuracy +1.10, +1.30, +1.20 dB; margin 0.01 dB" in html


def test_no_practical_difference_shows_the_interval_that_says_so(toy):
    toy.claim(CLAIMS)
    for seed, value in enumerate((0.843, 0.843, 0.85, 0.86, 0.857)):  # 95 % leave the margin, 90 % do not
        toy.refer("first", seed, value)
        toy.refer("second", seed, 0.85)
    toy.page("```{claims} toy\n```")
    html = toy.build()[0]
    assert "no practical difference" in html and "(90 % interval \u22120.7 points to +0.8 points)" in html


def test_a_claim_about_most_runs_counts_them_and_one_without_its_metric_says_so(toy):
    most = CLAIMS.replace("compare: {better: first, worse: second, metric: accuracy, margin: 0.01}",
                          "collapse: {variant: first, metric: accuracy, at_least: 0.851}")
    toy.claim(most)
    for seed in range(3):
        toy.refer("first", seed, 0.85 + 0.001 * (seed % 2))
    toy.page("```{claims} toy\n```")
    assert "1 of 3 runs; claimed: more than half" in toy.build()[0]
    toy.metrics.write_text(METRICS + "collapsed: {title: Collapsed}\n")
    toy.claim(most.replace("metric: accuracy", "metric: collapsed"))
    assert "its recorded runs (3) leave nothing to measure" in toy.build()[0]


def test_claims_of_one_section_can_stand_on_a_page_of_their_own(toy):
    second = CLAIMS.replace("    second sentence:", "  Second part:\n    second sentence:")
    toy.claim(second)
    toy.page("```{verdict-bar} toy Second part\n```\n\n```{claims} toy Second part\n```")
    html, warnings = toy.build()
    assert warnings == "" and "How 1 claim fared in our reruns" in html
    assert "A guess about a cause." in html and "The first run is said to win." not in html


def test_a_difference_that_rounds_to_nothing_has_no_sign():
    from verdict_list import spell

    assert spell(-0.0001, ".1%", True) == "0.0 points" and spell(-0.0004, ".3f", True) == "0.000"
    assert spell(-0.012, ".1%", True) == "\u22121.2 points" and spell(0.5, ".1f", True) == "+0.5"


HEADLINES = """
headlines:
- {id: who-wins, says: The first run wins., decided_by: better, claims: [better],
   report: {word: "false", because: Its own table says otherwise., see: an-erratum}}
- {id: why, says: It wins because it is first., claims: [cause],
   report: {word: not shown, because: Nothing else was tried.}}
"""


def test_headlines_have_a_line_where_they_are_named_and_all_their_tests_on_the_page_of_claims(toy):
    toy.claim(HEADLINES + CLAIMS)
    for seed in range(5):
        toy.refer("first", seed, 0.85 + 0.001 * (seed % 2))
        toy.refer("second", seed, 0.80)
    toy.page("```{verdict-bar} toy\n```\n\n```{claims} toy\n```")
    html, warnings = toy.build()
    assert warnings == ""
    assert "How 2 conclusions fared" in html and "1 supported" in html and "1 no rerun can tell" in html
    line = html[html.index("The first run wins."):html.index("It wins because")]  # in a chapter: one line
    assert "false by its own files" in line and "htcv-is-supported" in line and "htcv-zone" in line
    assert line.count("<circle") == 5 and "<title>n = 5; accuracy +5.0 points" in line
    assert "No run can decide it." in html and "<td></td>" not in html
    assert "The first run is said to win." not in html and "Its own table says otherwise." not in html
    (toy.root / "book" / "claims.md").write_text("# Claims\n\n```{claims} toy\n```\n")
    toy.page("```{claims} toy\nwhy\n```\n\n```{toctree}\nbook/claims\n```")
    html, _ = toy.build()  # those that a chapter names
    assert 'href="book/claims.html#headline-toy-why"' in html and "The first run wins." not in html
    page = (toy.root / "_build" / "html" / "book" / "claims.html").read_text()
    assert 'id="headline-toy-who-wins"' in page and 'id="claim-toy-better"' in page
    assert "Its own table says otherwise." in page and "#an-erratum" in page
    assert "No run can decide it; its tests say why." in page  # no cell is empty
    assert page.count("<details><summary>1 test</summary>") == 2
    toy.page("```{claims} toy\nwho-lost\n```")
    assert "no headline 'who-lost'; there are who-wins, why" in toy.build()[1]


def test_the_verdict_bar_counts_the_claims_by_word(toy):
    html, _ = judged(toy, seeds=10)
    bar = html[html.index('class="htcv-verdicts"'):html.index('class="htcv-claims"')]
    assert "How 2 claims fared" in bar and "1 supported" in bar and "1 not testable" in bar
    assert "contradicted" not in bar


def test_html_in_a_title_or_in_a_message_is_shown_and_does_nothing(toy):
    from report_build import publish_pages

    from htcv_lib.runs.build import BuildReport
    from htcv_lib.runs.execute import Outcome
    from htcv_lib.runs.project import Project

    bad = "<script>alert(1)</script>"
    toy.runs.write_text(RUNS.replace("The first run", bad).replace("Toy family", bad))
    toy.metrics.write_text(METRICS.replace("Accuracy", bad))
    (toy.refer("first", 0, 0.8, device=bad) / "history.csv").unlink()
    publish_pages(Project(toy.root), BuildReport("none", [], [Outcome("toy/second/s0", False, 0.0, f"`x` {bad}")]))
    toy.page("```{results-table} toy\n```\n\n```{status-table}\n```\n\n{result}`toy/first/s0:accuracy`")
    toy.build()
    pages = [path.read_text() for path in (toy.root / "_build" / "html").rglob("*.html")]
    assert [page for page in pages if bad in page] == [] and sum("&lt;script&gt;alert" in page for page in pages) >= 3
