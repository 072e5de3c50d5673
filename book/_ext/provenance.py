"""{provenance} pets_unet/mp-tr-ce/s0, or pets_unet/chapter: who made a page, when, on what, how to do it again."""

import os
import re
from html import escape
from pathlib import Path

from book_state import BookState, link, relative, track
from docutils import nodes
from docutils.parsers.rst import directives
from html_parts import anchor, calm, facts, minutes, raw, table
from page_order import runs_below
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from htcv_lib.runs.notebook import parameter_help
from htcv_lib.runs.plan import Family
from htcv_lib.runs.records import Record

logger = logging.getLogger(__name__)
FIGURE = re.compile(r"<figure.*?</figure>", re.S)
DRAWING = re.compile(r'<img[^>]* src="([^"]+\.svg)"')
LAB = f"http://localhost:{os.environ.get('HTCV_LAB_PORT', '8888')}/lab/tree/"  # of `make lab`, at the checkout's root


class Provenance(SphinxDirective):
    """A foldable box about the reference of a run, or with `own` about what this build made of it."""

    required_arguments = 1
    option_spec = {"own": directives.flag}

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0].strip()
        state = track(self.env)
        parts = name.split("/")
        family = state.family(parts[0])
        if family and len(parts) == 2 and f"{parts[1]}.ipynb" in family.chapters:
            return [raw(self.run_list(family), chapter_box(state, family, parts[1]))]
        if len(parts) != 3 or not family or parts[1] not in family.variants:
            logger.warning("provenance: no run %r in runs.yml", name, location=self.get_location(), type="htcv",
                           subtype="provenance")
            return []
        record = state.built.get(name) if "own" in self.options else state.record(name)
        if not record:
            return [calm(f"{name} has no record yet; htcv run {name} makes one.")]
        track(self.env, [record])
        notebook = state.project.notebooks / parts[0] / family.variants[parts[1]]["notebook"]
        origin = "this build" if record is state.built.get(name) else "the committed reference"
        return [
            raw('<details class="htcv-provenance"><summary>How this page was made'
                f'<span>{escape(record.profile)} · {escape(record.finished[:10])} · '
                f'{escape(minutes(record.wall_s))}</span></summary><div class="htcv-provenance-body">'),
            raw(self.again(record, notebook, state)),
            raw(facts(describe(record, origin))),
            raw(parameter_table(record, parameter_help(notebook))),
            *self.downloads(record, state),
            raw("</div></details>"),
        ]

    def run_list(self, family: Family) -> str:
        """Links to the runs that the table of contents has below this chapter."""
        pages = runs_below(self.env, self.env.docname)
        items = "".join(f"<li>{anchor(entry.get('title', variant), link(self.env, page))}</li>"
                        for page in pages if (entry := family.variants.get(variant := page.rpartition("/")[2])))
        return (f'<details class="htcv-provenance htcv-runs"><summary>The runs of this chapter<span>{len(pages)}</span>'
                f'</summary><div class="htcv-provenance-body"><ul>{items}</ul></div></details>' if items else "")

    def again(self, record: Record, notebook: Path, state: BookState) -> str:
        """The commands that repeat it."""
        path = notebook.relative_to(state.project.root).as_posix()
        threads = re.search(r"(\d+) threads?$", record.device)  # their number decides the last digits of a sum
        command = (f"HTCV_THREADS={threads[1]} " if threads else "") + (
            f"htcv run {record.run} --profile {record.profile} --force")
        return (f'<p class="htcv-again">To repeat it: <code>{escape(command)}</code></p>'
                f"<p>To change something: <code>make lab</code>, then open "
                f'<a href="{LAB}{escape(path)}"><code>{escape(path)}</code></a> on this machine.</p>')

    def downloads(self, record: Record, state: BookState) -> list[nodes.Node]:
        """History and the CSV behind each figure, as they lie beside the record."""
        files = [path for path in (record.folder / "history.csv", *record.tables) if path.is_file()]
        files += [record.folder / "record.json"]
        paragraph = nodes.paragraph("", "", nodes.Text("Downloads: "), classes=["htcv-downloads"])
        for number, path in enumerate(files):
            if number:
                paragraph += nodes.Text(", ")
            target = relative(state.project, path)
            paragraph += addnodes.download_reference("", "", nodes.literal("", path.name), reftarget=target,
                                                     refdoc=self.env.docname, refdomain="", reftype="download")
        return [paragraph]


def chapter_box(state: BookState, family: Family, name: str) -> str:
    """A chapter trains nothing: which records it read, and how to have it read others."""
    references = state.results(family.name).references
    days = sorted(record.finished[:10] for record in references)
    machines = ", ".join(sorted({record.device for record in references}))
    path = f"notebooks/{family.name}/{name}.ipynb"
    count = f"{len(references)} reference{'s' if len(references) != 1 else ''}"
    known = facts([("References", f"{count}, {days[0]} to {days[-1]}" if days else "none yet"),
                   ("Computed on", escape(machines)), ("Built", f"{state.today}, profile {escape(state.profile)}")])
    return ('<details class="htcv-provenance"><summary>How this chapter was made'
            f"<span>{count}</span></summary><div class=\"htcv-provenance-body\">"
            "<p class=\"htcv-again\">To repeat it: <code>jb build .</code>, or with all seeds "
            f"<code>htcv run {escape(family.name)}</code></p><p>To look closer: <code>make lab</code>, then open "
            f'<a href="{LAB}{path}"><code>{path}</code></a> on this machine.</p>{known}</div></details>')


def describe(record: Record, origin: str) -> list[tuple[str, str]]:
    """Name and value (HTML) of everything known about a run's execution."""
    data = record.data
    weights = data.get("weights") or {}
    versions = ", ".join(f"{name} {number}" for name, number in data.get("versions", {}).items())
    digests = "; ".join(f"{name} {value}" for name, value in data.get("parts", {}).get("data", {}).items())
    commit = str(data.get("commit") or "") + (" with uncommitted changes" if data.get("dirty") else "")
    return [
        ("Shown", escape(origin)),
        ("Run", f"<code>{escape(record.run)}</code>, profile {escape(record.profile)}"),
        ("Finished", escape(record.finished.replace("T", " ").replace("Z", " UTC"))),
        ("Took", escape(f"{minutes(record.wall_s)}, of which training {minutes(float(data.get('train_s', 0)))}")),
        ("Device", escape(record.device)),
        ("Peak memory", escape(f"{data['peak_memory_mib']:,} MiB") if data.get("peak_memory_mib") else ""),
        ("Commit", f"<code>{escape(commit)}</code>" if commit else ""),
        ("Versions", escape(versions)),
        ("Data", f"<code>{escape(digests)}</code>" if digests else ""),
        ("Weights", f"{weights['bytes'] / 2**20:.1f} MiB, SHA-256 <code>{escape(weights['sha256'][:16])}…</code>"
         if weights else ""),
        ("Key", f"<code>{escape(data['key'])}</code>"),
    ]


def parameter_table(record: Record, meanings: dict[str, str]) -> str:
    rows = [[f"<code>{escape(name)}</code>", f"<code>{escape(repr(value))}</code>",
             escape(meanings.get(name) or "as its name says")] for name, value in record.parameters.items()]
    return table("Parameters", ["Name", "Value", "Meaning"], rows, label=f"Parameters of {record.run}")


def offer_pictures(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """The line below a figure leads to the figure itself, if it is a drawing."""
    def linked(found: re.Match) -> str:
        drawing = DRAWING.search(found[0])
        link = f'<span class="htcv-origin"><a href="{drawing[1]}" download>SVG</a> · ' if drawing else ""
        return found[0].replace('<span class="htcv-origin">', link, 1) if drawing else found[0]

    context["body"] = FIGURE.sub(linked, context.get("body", ""))


def setup(app: Sphinx) -> dict:
    app.add_directive("provenance", Provenance)
    app.connect("html-page-context", offer_pictures)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
