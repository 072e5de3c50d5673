"""Runs of the report book: what is planned, what is fresh, what was measured, by whom. Knows no torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "project": ["Project"],
    "plan": ["Book", "Family", "PlannedRun", "PlanError", "split_name"],
    "records": ["Metric", "Record", "Results", "Samples", "find_weights"],
    "run": ["Run", "literals"],
    "chapter": ["Chapter", "project_verdicts"],
    "execute": ["Outcome"],
    "build": ["BuildReport", "active_profile"],
    "freshness": [
        "KeyParts", "RunState", "explain", "page_parts", "result_parts", "run_states", "status_frame", "status_lines",
    ],
    "reference": ["fingerprints", "renew_keys", "write_references"],
    "claim_files": ["load_claims", "load_files"],
    "claims": ["Claim", "Verdict", "decide"],
    "statistics": ["Estimate", "holm", "mean_interval", "paired_difference", "wilson"],
})
