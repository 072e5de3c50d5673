"""{data-sheets}: what each manifest in `data_manifests/` says, as a page."""

from html import escape

import yaml
from book_state import track
from docutils import nodes
from html_parts import MISSING, calm, facts, raw, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class DataSheets(SphinxDirective):
    """One table of all sets, then a foldable sheet for each."""

    def run(self) -> list[nodes.Node]:
        project = track(self.env).project
        sheets = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
                  for path in sorted(project.manifests.glob("*.yaml"))}
        for path in project.manifests.glob("*.yaml"):
            self.env.note_dependency(str(path))
        if not sheets:
            return [calm("No manifest has been written yet.")]
        rows = [[f"<code>{escape(name)}</code>", escape(str(sheet.get("title", name))),
                 escape(str(sheet.get("license", MISSING))), splits(sheet) or MISSING,
                 "yes" if sheet.get("sample") else "no"] for name, sheet in sheets.items()]
        overview = table("All manifests", ["Manifest", "What it is", "Licence", "Images in each split", "Sample here"],
                         rows)
        return [raw(overview, *(fold(name, sheet) for name, sheet in sheets.items()))]


def splits(sheet: dict) -> str:
    """"train 3,312, val 368"; counts are checked whenever the data are loaded."""
    parts = []
    for name, rule in (sheet.get("splits") or {}).items():
        count = rule.get("count") if isinstance(rule, dict) else rule
        parts.append(f"{name} {count:,}" if isinstance(count, int) else name)
    return escape(", ".join(parts))


def fold(name: str, sheet: dict) -> str:
    home = str(sheet.get("homepage") or "")
    rows = [[f"<code>{escape(address(file))}</code>", f"{file['size'] / 2**20:.1f}" if "size" in file else MISSING,
             f"<code>{escape(str(file.get('checksum', MISSING)))}</code>"]
            for file in sheet.get("files") or [] if isinstance(file, dict)]
    fields = "; ".join(f"{name}: {spell_field(field)}" for name, field in (sheet.get("fields") or {}).items())
    known = facts([
        ("Title", escape(str(sheet.get("title", "")))),
        ("Home", f'<a href="{escape(home)}">{escape(home)}</a>' if home.startswith("http") else escape(home)),
        ("Licence", escape(str(sheet.get("license", "")))),
        ("Fields", escape(fields)),
        ("Made by", escape(str(sheet.get("generator", "")))),
        ("Notes", escape(" ".join(str(sheet.get("notes", "")).split()))),
    ])
    files = table("Files", ["File", "MiB", "Checksum"], rows, [1], label=f"Files of {name}") if rows else ""
    return (f'<details class="htcv-provenance"><summary>{escape(name)}<span>{splits(sheet)}</span></summary>'
            f'<div class="htcv-provenance-body">{known}{files}</div></details>')


def spell_field(field: object) -> str:
    """"3 × H × W, uint8, range 0 to 255"."""
    if not isinstance(field, dict):
        return str(field)
    parts = []
    for key, value in field.items():
        if key == "shape":
            parts.append(" × ".join(map(str, value)) or "one number")
        elif key == "range":
            parts.append(f"range {value[0]} to {value[1]}")
        elif key == "classes":
            parts.append(f"{len(value)} classes: {', '.join(map(str, value))}")
        else:
            parts.append(str(value) if key == "dtype" else f"{key} {value}")
    return ", ".join(parts)


def address(file: dict) -> str:
    return str(file.get("path") or file.get("url") or "")


def setup(app: Sphinx) -> dict:
    app.add_directive("data-sheets", DataSheets)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
