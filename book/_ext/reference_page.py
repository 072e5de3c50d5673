"""Pages of runs this build did not execute: drawn again from their committed record."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from reference_tables import CSV, draw_tables, table_sections

from htcv_lib.figures import plot_history, show_tiles
from htcv_lib.runs.keys import digest
from htcv_lib.runs.plan import Family
from htcv_lib.runs.publish import copy_tables, write_if_changed
from htcv_lib.runs.records import Record

SCORES = {"mask_depth": "IoU \u2212 RMSE"}  # what pictures of a family were ranked by; else IoU


def write_reference_page(record: Record, page: Path, title: str, anchor: str, family: Family, failure: str,
                         seeds: Sequence[Record] = ()) -> None:
    """Write `page` (as .md) from a committed record: what it measured, its curves, its pictures.

    Args:
        seeds: The references of all seeds of this run, for their means.
    """
    pictures = page.parent / "files" / page.stem
    copy_tables(record.folder, pictures)
    _draw(record, pictures)
    stem = page.stem
    lines = [f"({anchor})=", f"# {title}", "", *_failure(failure), *_origin(record, len(seeds)), "", "## Results", "",
             *_metric_table(record, family, seeds), ""]
    if (pictures / "samples.png").exists():
        lines += ["## Pictures", "", f"```{{figure}} files/{stem}/samples.png", f":name: fig-{anchor}-samples",
                  f":alt: {_samples_alt(record)}", "", _samples_alt(record), "```", ""]
    if (pictures / "curves.svg").exists():
        lines += ["## Training", "", f"```{{figure}} files/{stem}/curves.svg", f":name: fig-{anchor}-curves",
                  f":alt: Loss and validation metrics of {title} over the epochs", "",
                  f"Training of seed {record.seed}. {CSV % (stem, 'history.csv')}", "```", ""]
    lines += table_sections(record, stem, anchor)
    lines += [f"```{{provenance}} {record.run}", "```", ""]
    if page.exists():
        page.unlink()
    write_if_changed(page.with_suffix(".md"), "\n".join(lines))


def write_stub_page(page: Path, title: str, anchor: str, run: str, failure: str) -> None:
    """A page for a run that has neither been executed here nor been committed."""
    lines = [f"({anchor})=", f"# {title}", "", *_failure(failure),
             f"This run has no reference yet. To make one: `htcv run {run}`.", ""]
    if page.exists():
        page.unlink()
    write_if_changed(page.with_suffix(".md"), "\n".join(lines))


def _failure(failure: str) -> list[str]:
    return ["```{warning}", f"In this build the notebook failed: {failure}", "```", ""] if failure else []


def _origin(record: Record, seeds: int) -> list[str]:
    which = f"; pictures and curves are of seed {record.seed}, one of {seeds}" if seeds > 1 else ""
    return ["```{note}",
            f"This build did not execute this run. The page shows its committed reference: profile "
            f"{record.profile}, computed on {record.finished[:10]} on {record.device}{which}.", "```"]


def _metric_table(record: Record, family: Family, seeds: Sequence[Record]) -> list[str]:
    """Each metric of this seed, of all seeds if there are more, and what it is."""
    several = len(seeds) > 1
    head = ["Metric", f"Seed {record.seed}", *([f"Mean of {len(seeds)}"] if several else []), "What it is"]
    rows = [_row(head), _row(["---", *["--:"] * (len(head) - 2), "---"])]
    for name, metric in record.metrics.items():
        meaning = family.metrics.get(name, {})
        found = [metric.value] + ([mean(seed.value(name) for seed in seeds if name in seed.metrics)] if several else [])
        rows.append(_row([meaning.get("title", name), *[format(value, meaning.get("format", ".4g")) for value in found],
                          meaning.get("definition", "")]))
    first = next(iter(record.metrics.values()), None)
    measured = [f"Measured on the {first.split} split, n = {first.n}, where nothing else is said."] if first else []
    return [*rows, "", *measured]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _samples_alt(record: Record) -> str:
    samples = record.samples()
    split = next((metric.split for metric in record.metrics.values()), "")
    return f"{len(samples.rows)} rows of pictures, split {split}; columns: {'; '.join(samples.columns)}"


def _row_label(row: dict, score: str) -> str:
    return f"{row['label']}\n{score} {row['score']:.2f}" if "score" in row else row["label"]


def _draw(record: Record, folder: Path) -> None:
    """Curves and pictures, drawn again only if the record changed."""
    stamp = folder / ".drawn"
    code = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("reference_*.py"))]
    key = digest([record.data["key"], record.finished, *code])
    if stamp.exists() and stamp.read_text() == key:
        return
    if (record.folder / "history.csv").exists():
        figure = plot_history(record.history())
        figure.savefig(folder / "curves.svg", metadata={"Date": None, "Creator": None})
    if (record.folder / "samples.webp").exists():
        samples, score = record.samples(), SCORES.get(record.family, "IoU")
        figure = show_tiles(samples.tiles, samples.columns, [_row_label(row, score) for row in samples.rows],
                            key="truth" in samples.columns)
        figure.savefig(folder / "samples.png", dpi=110, metadata={"Software": None})
    draw_tables(record, folder)
    stamp.write_text(key)
