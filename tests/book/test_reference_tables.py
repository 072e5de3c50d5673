"""What a page makes of the tables that a record keeps."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "book" / "_ext"))
from reference_tables import draw_tables, table_sections  # noqa: E402

TABLES = {
    "architecture.csv": 'name,kind,in_shape,out_shape,params,network\n'
                        'stem,ConvBlock,"(1, 3, 8, 8)","(1, 4, 8, 8)",10,one\n'
                        'stem,ConvBlock,"(1, 3, 8, 8)","(1, 6, 8, 8)",20,two_noskip\n',
    "leakage.csv": "index,shadow,light\nirradiance,0.4,-0.1\nocclusion,0.1,0.2\n",
    "range.csv": "lr,loss,smoothed\n1e-3,2.0,2.0\n1e-2,1.0,1.5\n",
    "statistics.csv": "Statistic,Generated,Real\npictures,3,2\noccluded,0.1,nan\n",
}


def record(folder, *names):
    for name in names:
        (folder / name).write_text(TABLES[name])
    return SimpleNamespace(folder=folder, run="family/variant/s0")


@pytest.mark.parametrize(("table", "figures", "heading"), [
    ("architecture.csv", ["network-0.svg", "network-1.svg"], "## Network"),
    ("leakage.csv", ["leakage.svg"], "## Leakage"),
    ("range.csv", ["range.svg"], "## Range test"), ("statistics.csv", [], "## Statistics")])
def test_a_table_becomes_its_figures_under_one_heading(table, figures, heading, tmp_path):
    kept = record(tmp_path, table)
    draw_tables(kept, tmp_path)
    lines = table_sections(kept, "page", "anchor")
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == figures
    assert [line for line in lines if line.startswith("## ")] == [heading]
    assert [line for line in lines if "{figure}" in line] == [f"```{{figure}} files/page/{name}" for name in figures]
    assert any(f"files/page/{table}" in line for line in lines)


def test_a_statistic_nobody_can_know_is_not_a_number_on_the_page(tmp_path):
    assert "| occluded | 0.1 | n/a |" in table_sections(record(tmp_path, "statistics.csv"), "page", "anchor")


def test_a_record_without_tables_adds_nothing(tmp_path):
    draw_tables(record(tmp_path), tmp_path)
    assert table_sections(record(tmp_path), "page", "anchor") == [] and not list(tmp_path.iterdir())
