"""Pages of runs this build did not execute: drawn again from their committed record."""

from collections.abc import Sequence
from pathlib import Path

from html_parts import in_markdown, metric_anchor
from reference_pictures import curve_section, draw, picture_section
from reference_tables import table_sections

from htcv_lib.runs.plan import Family, read_yaml
from htcv_lib.runs.project import Project
from htcv_lib.runs.publish import copy_tables, write_if_changed
from htcv_lib.runs.records import Record, count_parameters
from htcv_lib.runs.statistics import minus, spell_mean


def write_reference_page(record: Record, page: Path, title: str, anchor: str, family: Family, failure: str,
                         seeds: Sequence[Record] = ()) -> None:
    """Write `page` (as .md) from a committed record; arguments as for `reference_text`."""
    text = reference_text(record, page, title, anchor, family, failure, seeds)
    if page.exists():
        page.unlink()
    write_if_changed(page.with_suffix(".md"), text)


def reference_text(record: Record, page: Path, title: str, anchor: str, family: Family, failure: str = "",
                   seeds: Sequence[Record] = ()) -> str:
    """Markdown of a committed record: what it measured, its curves, its pictures, which are drawn beside `page`.

    Args:
        seeds: The references of all seeds of this run.
    """
    pictures = page.parent / "files" / page.stem
    copy_tables(record.folder, pictures)
    draw(record, pictures, seeds)
    stem = page.stem
    lines = [f"({anchor})=", f"# {title}", "", *_failure(failure), *_origin(record, len(seeds)), "", "## Results", "",
             *_metric_table(record, family, seeds), ""]
    lines += picture_section(record, stem, anchor, seeds)
    lines += curve_section(record, stem, anchor, title, seeds)
    lines += table_sections(record, stem, anchor)
    lines += network_section(record, family)
    lines += [f"```{{provenance}} {record.run}", "```", ""]
    return "\n".join(lines)


def network_section(record: Record, family: Family) -> list[str]:
    """How to take the trained network along, as Markdown lines: its files, lines that use it, commands. Empty for a
    record without weights."""
    weights = record.folder / "weights.safetensors"
    if not weights.is_file():
        return []
    root = Project.find(record.folder).root
    onnx = live_networks(root, record)
    files = [f"{{download}}`{path.name} </{path.relative_to(root).as_posix()}>`" for path in (weights, *onnx)]
    live = f"; as the live figure runs {'it' if len(onnx) == 1 else 'its parts'}: {', '.join(files[1:])}"
    use = family.use(record.variant, record.parameters)
    own = [f"$ {use['command']}    # your own pictures, in one sheet"] if "command" in use else []
    lines = ["## The trained network", "", f"{count_parameters(weights):,} parameters, "
             f"{weights.stat().st_size / 1e6:.2g} MB in float16: {files[0]}{live if onnx else ''}.", ""]
    lines += ["```python", *use["python"].splitlines(), "```", ""] if use else []
    return [*lines, "```console", *own,
            f"$ htcv run {record.run} --profile {record.profile} --force    # trains it again", "```", ""]


def live_networks(root: Path, record: Record) -> list[Path]:
    """The files of `book/live` that hold a record's network, or parts of it, as ONNX."""
    table = root / "book" / "live" / "networks.yml"
    runs = read_yaml(table, table.name) if table.is_file() else {}
    files = [table.parent / f"{name}.onnx.gz" for name, run in runs.items() if f"{run}/s0" == record.run]
    return [path for path in files if path.is_file()]


def write_stub_page(page: Path, title: str, anchor: str, run: str, failure: str) -> None:
    """A page for a run that has neither been executed here nor been committed."""
    lines = [f"({anchor})=", f"# {title}", "", *_failure(failure),
             f"This run has no reference yet. To make one: `htcv run {run}`.", ""]
    if page.exists():
        page.unlink()
    write_if_changed(page.with_suffix(".md"), "\n".join(lines))


def _failure(failure: str) -> list[str]:
    return ["```{warning}", f"In this build the notebook failed: {in_markdown(failure)}", "```", ""] if failure else []


def _origin(record: Record, seeds: int) -> list[str]:
    which = f"; seed {record.seed} leads, {seeds - 1} more fold out or are drawn thin" if seeds > 1 else ""
    return ["```{note}", f"The committed reference: profile {record.profile}, computed on {record.finished[:10]} on "
            f"{in_markdown(record.device)}{which}.", "```"]


def _metric_table(record: Record, family: Family, seeds: Sequence[Record]) -> list[str]:
    """Each metric in all seeds, their mean if there are several, and what it is; a result in prose leads to its row."""
    seeds = seeds or [record]
    several = len(seeds) > 1
    head = ["Metric", *([f"Mean of {len(seeds)}"] if several else []),
            f"Seed{'s' * several} {', '.join(str(seed.seed) for seed in seeds)}", "What it is"]
    rows = [_row(head), _row(["---", *["--:"] * (len(head) - 2), "---"])]
    for name in dict.fromkeys(name for seed in seeds for name in seed.metrics):
        about = family.metrics.get(name, {})
        values = [seed.value(name) for seed in seeds if name in seed.metrics]
        each = [minus(format(value, about.get("format", ".4g"))) for value in values]
        row = _row([family.heading(name), *([spell_mean(values, about)] if several else []), ", ".join(each),
                    about.get("definition", "")])
        rows.append(f'| <span id="{metric_anchor(name)}"></span>{row[2:]}')
    first = next(iter(record.metrics.values()), None)
    measured = [f"Measured on the {first.split} split, n = {first.n}, where nothing else is said."] if first else []
    return [*rows, "", *measured]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(in_markdown(cell).replace("|", "\\|") for cell in cells) + " |"
