"""Runs of the report book: what is planned, what is fresh, what was measured, by whom."""

from htcv_lib._lazy import attach

MODULES = {
    "project": ("Project",),
    "plan": ("Book", "Family", "PlannedRun", "PlanError"),
    "keys": ("KeyParts", "explain", "page_parts", "result_parts"),
    "records": ("Metric", "Record", "Results", "Samples"),
    "run": ("Run", "literals"),
    "chapter": ("Chapter", "project_verdicts"),
    "execute": ("Outcome",),
    "build": ("BuildReport", "active_profile"),
    "freshness": ("RunState", "run_states"),
    "reference": ("fingerprints", "renew_keys", "write_references"),
    "status": ("status_lines", "status_frame"),
    "claims": ("Claim", "Verdict", "decide", "load_claims"),
    "statistics": ("Estimate", "bootstrap_images", "holm", "mean_interval", "paired_difference", "wilson"),
}
__getattr__, __dir__, __all__ = attach(__name__, MODULES)
