"""Numbers in prose: {result}`pets_unet/mp-tr-ce/s0:accuracy`, read from the committed reference.

Without a seed the role gives the mean over seeds, half its 95 % interval and n. A Python format may
follow: {result}`pets_unet/mp-tr-ce:accuracy:.1%`; with `:mean` behind it the mean stands alone, and its n where one
hovers. A dagger marks a reference whose run has changed.
"""

import re
from statistics import fmean

from book_state import BookState, link, run_page, track
from docutils import nodes
from html_parts import metric_anchor
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from htcv_lib.runs.records import Record
from htcv_lib.runs.statistics import minus, spell_mean

logger = logging.getLogger(__name__)
TARGET = re.compile(r"(?P<family>\w+)/(?P<variant>[\w.-]+)(?:/s(?P<seed>\d+))?"
                    r":(?P<metric>[\w/.-]+)(?::(?P<format>[^:]+?))?(?P<bare>:mean)?")


class ResultRole(SphinxRole):
    """The role; a run or metric that does not exist is a warning, so `-W` fails."""

    def run(self):
        match = TARGET.fullmatch(self.text.strip())
        if not match:
            return self.unknown("write family/variant[/s<seed>]:metric[:format]")
        state = track(self.env)
        family = state.family(match["family"])
        if not family or match["variant"] not in family.variants:
            return self.unknown(f"no run {match['family']}/{match['variant']} in runs.yml")
        records = self.records(state, match)
        if not records:
            if match["metric"] not in family.metrics:
                return self.unknown(f"no metric {match['metric']!r}; there are {', '.join(family.metrics)}")
            return [nodes.inline("", "not yet measured", classes=["htcv-missing"])], []
        if any(match["metric"] not in record.metrics for record in records):
            return self.unknown(f"no metric {match['metric']!r}; there are {', '.join(records[0].metrics)}")
        about = family.metrics.get(match["metric"], {})
        values = [record.value(match["metric"]) for record in records]
        try:
            spec = match["format"] or about.get("format", ".3g")
            text = (minus(format(fmean(values), spec)) if match["bare"]
                    else spell_mean(values, about, spec))
        except ValueError as error:
            return self.unknown(str(error))
        seeds = "" if match["seed"] or match["bare"] or about.get("unit") == "runs" else f" (n = {len(values)})"
        return [self.node(state, records, match["metric"], text + seeds)], []

    def records(self, state: BookState, match: re.Match) -> list[Record]:
        """One seed's reference, or all seeds of the strongest profile."""
        found = [record for record in state.references.values()
                 if (record.family, record.variant) == (match["family"], match["variant"])]
        if match["seed"]:
            found = [record for record in found if record.seed == int(match["seed"])]
        strongest = "full" if any(record.profile == "full" for record in found) else "laptop"
        found = [record for record in found if record.profile == strongest]
        track(self.env, found)
        return found

    def node(self, state: BookState, records: list[Record], metric: str, text: str) -> nodes.Node:
        first = records[0]
        seeds = f"mean of {len(records)} seeds, " if len(records) > 1 else ""
        origin = f"{seeds}{first.profile} profile, {first.dataset}, {first.device}, {first.finished[:10]}"
        address = link(self.env, run_page(self.env, first.run), metric_anchor(metric))
        node = (nodes.reference("", text, refuri=address, internal=True, reftitle=origin) if address
                else nodes.abbreviation("", text, explanation=origin))
        node["classes"].append("htcv-result")
        changed = sorted({change for record in records for change in state.changes.get(record.run, [])})
        if changed:
            note = f"The run has changed since this was measured: {'; '.join(changed)}"
            return nodes.inline("", "", node, nodes.abbreviation("", "†", explanation=note, classes=["htcv-stale"]))
        return node

    def unknown(self, why: str):
        logger.warning("result role %r: %s", self.text, why, location=self.get_location(), type="htcv",
                       subtype="result")
        return [nodes.inline("", "unknown result", classes=["htcv-missing"])], []


def setup(app: Sphinx) -> dict:
    app.add_role("result", ResultRole())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
