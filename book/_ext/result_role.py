"""Numbers in prose: {result}`pets_unet/mp-tr-ce/s0:accuracy`, read from the committed reference.

Without a seed the role gives the mean over seeds, its 95 % half-interval and n. A Python format may
follow: {result}`pets_unet/mp-tr-ce:accuracy:.1%`. A dagger marks a reference whose run has changed.
"""

import re

from book_state import BookState, link, run_page, track
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from htcv_lib.runs.records import Record
from htcv_lib.runs.statistics import mean_interval

logger = logging.getLogger(__name__)
TARGET = re.compile(r"(?P<family>\w+)/(?P<variant>[\w.-]+)(?:/s(?P<seed>\d+))?"
                    r":(?P<metric>[\w/.-]+)(?::(?P<format>.+))?")


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
        spec = match["format"] or family.metrics.get(match["metric"], {}).get("format", ".3g")
        try:
            text = spell([record.value(match["metric"]) for record in records], spec, bool(match["seed"]))
        except ValueError as error:
            return self.unknown(str(error))
        return [self.node(state, records, text)], []

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

    def node(self, state: BookState, records: list[Record], text: str) -> nodes.Node:
        first = records[0]
        origin = f"{first.profile} profile, {first.dataset}, {first.device}, {first.finished[:10]}"
        address = link(self.env, run_page(self.env, first.run))
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


def spell(values: list[float], spec: str, one_seed: bool) -> str:
    """[0.81, 0.83] with ".1%" -> "82.0% ± 12.7% (n = 2)"; one seed alone is just its value."""
    if one_seed:
        return minus(format(values[0], spec))
    if len(values) == 1:
        return minus(f"{format(values[0], spec)} (n = 1)")
    estimate = mean_interval(values)
    half = format((estimate.high - estimate.low) / 2, spec)
    return minus(f"{format(estimate.mean, spec)} ± {half} (n = {len(values)})")


def minus(text: str) -> str:
    """A number that starts with a hyphen starts with a minus sign."""
    return text.replace("-", "\u2212", 1) if text.startswith("-") else text


def setup(app: Sphinx) -> dict:
    app.add_role("result", ResultRole())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
