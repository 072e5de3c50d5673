"""`notebooks/<family>/runs.yml` -> runs: every variant of every family, with its parameters in one profile.

A run is a notebook, a full set of parameters, a seed and a profile. Parameters, later ones winning: the notebook's
defaults, the setting, the run, the profile of the family, the profile of the run. Each must be of the type that the
notebook annotates. A run is in laptop and full unless it says no, in quick, overnight and paper only if it says so.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Any

import yaml

from htcv_lib.runs.notebook import default_parameters, mistyped, parameter_types
from htcv_lib.runs.project import Project

PROFILES = ("quick", "laptop", "overnight", "full", "paper")  # `fingerprint` is internal, `none` trains nothing
REFERENCE_PROFILES = ("full", "overnight", "laptop")  # strongest first
EVERY_RUN = ("laptop", "full", "fingerprint")  # profiles that a run is in unless it says no
UNITLESS = ("", "fraction", "runs")  # units that no number is printed with
IN_PROFILE = {name: (bool, dict, type(None)) for name in (*PROFILES, "fingerprint")}
FAMILY = {"title": str, "report": dict, "chapters": list, "settings": dict, "sizes": list, "profiles": dict,
          "seeds": dict, "minutes": dict, "memory_gb": dict, "runs": list, "tables": dict, "shown": list,
          "one_size": list, "use": dict}
RUN = {"title": str, "notebook": str, "setting": str, "role": str, "parameters": dict, "needs": dict, "priority": int,
       "seeds": dict, "minutes": dict, "report_value": object, "weights": (bool, str), **IN_PROFILE}
USE = {"python": str, "pictures": str}  # lines that use a run's network; the pictures that `htcv try` takes, as named
REPORT = {"pictures": (int, float), "side": (int, float), "weights_m": (int, float)}  # what its own trainings had
METRIC = {"title": str, "unit": str, "better": str, "format": str, "definition": str, "absent": str, "split": str,
          "n": int}
SPELLED = {dict: "a mapping", list: "a list", str: "text", int: "a whole number", float: "a number",
           bool: "true or false", type(None): "nothing"}
ROLES = {"as reported": "report's recipe", "as described": "as described", "done well": "done well"}  # by the setting


class PlanError(ValueError):
    """`runs.yml` asks for something that is not there; the message is one line."""


@dataclass(frozen=True)
class PlannedRun:
    """One notebook, one full set of parameters, one seed, one profile."""

    family: str
    variant: str
    seed: int
    profile: str
    title: str
    setting: str
    notebook: Path
    parameters: Mapping[str, Any]
    needs: Mapping[str, str] = field(default_factory=dict)  # alias -> run name, same profile
    priority: int = 5  # 1 is the most important
    minutes: float = 1.0  # expected
    memory_gb: float = 1.0  # expected, of the GPU where there is one

    @property
    def name(self) -> str:
        return f"{self.family}/{self.variant}/s{self.seed}"


@dataclass(frozen=True)
class Family:
    """One report's runs, chapters and metrics."""

    name: str
    title: str
    table: Mapping[str, Any]

    @classmethod
    def load(cls, name: str, project: Project) -> "Family":
        """`runs.yml` with its groups resolved, and `metrics.yml` under "metrics".

        Errors: PlanError, one line, for a key that means nothing or a value it cannot have, or what stands there twice.
        """
        at = f"notebooks/{name}/runs.yml"
        table = read_yaml(project.tables[name], at)
        _check(table, FAMILY, at, needs=["runs"])
        table.pop("sizes", None)  # values with an anchor, for use below
        runs = _ungrouped(table["runs"], at)
        _check_table(table, runs, at)
        for chapter in table.get("chapters", []):
            if not (project.notebooks / name / str(chapter)).is_file():
                raise PlanError(f"{at}: no notebook notebooks/{name}/{chapter}")
        return cls(name, table.get("title", name), table | {"runs": runs, "metrics": _metrics(project, name)})

    @property
    def variants(self) -> Mapping[str, Mapping[str, Any]]:
        return self.table["runs"]

    @property
    def metrics(self) -> dict[str, Mapping[str, str]]:
        """Metric name -> `{title, unit, better, format, definition}`."""
        return dict(self.table.get("metrics", {}))

    @property
    def chapters(self) -> list[str]:
        return list(self.table.get("chapters", []))

    def heading(self, metric: str) -> str:
        """How tables head it: see `metric_heading`."""
        return metric_heading(metric, self.metrics.get(metric, {}))

    def compared(self, variant: str) -> str:
        """Which pattern of `one_size` a variant is of: such runs stand beside one another, so their references are of
        one profile. Empty for a variant that stands for itself."""
        return next((pattern for pattern in self.table.get("one_size", []) if fnmatch(variant, pattern)), "")

    def use(self, variant: str, parameters: Mapping[str, Any]) -> dict[str, str]:
        """How the trained network of a variant is used, of the first pattern under `use` in runs.yml that it matches:
        "python", a few lines, and where pictures can be tried, "command". Empty if runs.yml does not say.

        Args:
            parameters: Of its record; the lines may name them, as $image_size, and the run, as $name.
        """
        name = f"{self.name}/{variant}"
        found = next((use for pattern, use in self.table.get("use", {}).items() if fnmatch(variant, pattern)), {})
        lines = Template(found.get("python", "")).safe_substitute(parameters, name=name).rstrip()
        command = {"command": f"htcv try {name} {found['pictures']}"} if "pictures" in found else {}
        return {"python": lines, **command} if found else {}

    def role(self, variant: str) -> str:
        """What a run is beside the report: its `role` in runs.yml, else what its setting says: "report's recipe", "as
        described", "done well", "baseline"; "in between" if it shares part of what is done well."""
        entry, settings = self.variants[variant], self.table.get("settings", {})
        if "role" in entry:
            return entry["role"]
        parameters = entry.get("parameters", {})
        if "setting" in entry:
            name = entry["setting"].replace("_", " ")  # may say of which data set: "cifar as reported"
            name = next((role for known, role in ROLES.items() if name.endswith(known)), name)
            return "in between" if set(parameters) & set(settings.get(entry["setting"]) or {}) else name
        well = settings.get("done_well") or {}
        shared = any(well.get(key) == value for key, value in parameters.items())
        return "in between" if shared else ROLES["as reported"]


def metric_heading(metric: str, about: Mapping[str, str]) -> str:
    """Its title, with the unit if it has one that the title does not name: "PSNR, dB"; its name if it has no title.

    Args:
        about: What metrics.yml says of it: `{title, unit, ...}`.
    """
    title, unit = about.get("title", metric), about.get("unit", "")
    named = unit in UNITLESS or unit.rstrip("s") in title.lower()
    return title if named else f"{title}, {unit}"


@dataclass(frozen=True)
class Book:
    """All families: those with a `runs.yml`."""

    project: Project
    families: Mapping[str, Family]

    @classmethod
    def load(cls, project: Project | None = None) -> "Book":
        project = project or Project.find()
        return cls(project, {name: Family.load(name, project) for name in project.tables})

    def runs(self, profile: str, seeds: int | None = None, families: Iterable[str] | None = None,
             variants: Iterable[str] | None = None) -> list[PlannedRun]:
        """The runs of a profile: what is needed first, then by importance, first seeds first.

        Args:
            seeds: How many seeds of each; None takes the number `runs.yml` states.
            variants: Only these (`family/variant`, or one run, `family/variant/s0`), and what they need.

        Errors: PlanError for a family or a variant that is not in the table.
        """
        chosen: dict[str, PlannedRun] = {}
        wanted = None if variants is None else set(variants)
        self._check_names(families or (), wanted or ())
        single: dict[str, list[str]] = {}  # of a variant: its runs that are named one by one
        for name in wanted or ():
            single.setdefault(name.rpartition("/")[0], []).append(name)
        for family in families or self.families:
            for variant in self.families[family].variants:
                names = [f"{family}/{variant}/s{seed}"
                         for seed in range(self.seed_count(family, variant, profile, seeds))]
                if wanted is not None and f"{family}/{variant}" not in wanted:
                    names = single.get(f"{family}/{variant}", [])
                for name in names:
                    run = self.run(name, profile)
                    if run:
                        chosen[run.name] = run
        for run in list(chosen.values()):
            self._add_needs(run, chosen)
        return _in_order(chosen)

    def _check_names(self, families: Iterable[str], variants: Iterable[str]) -> None:
        for family in families:
            if family not in self.families:
                raise PlanError(f"no family {family!r} in runs.yml; it has {', '.join(self.families)}")
        for name in variants:
            family, variant = name.split("/")[:2]
            if variant not in self.families[family].variants:
                known = ", ".join(self.families[family].variants)
                raise PlanError(f"no run {name!r} in runs.yml; {family} has {known}")

    def seed_count(self, family: str, variant: str, profile: str, seeds: int | None = None) -> int:
        if seeds is not None:
            return seeds
        table = self.families[family].table
        own = table["runs"][variant].get("seeds", {})
        return int(own.get(profile, table.get("seeds", {}).get(profile, 1)))

    def run(self, name: str, profile: str) -> PlannedRun | None:
        """One run by name, or None if it does not exist in this profile.

        Errors: PlanError for an unknown run, and for a parameter that its notebook does not have or wants otherwise.
        """
        family, variant, seed = split_name(name)
        notebook = self.notebook(name)
        table = self.families[family].table
        entry = table["runs"][variant]
        own = entry.get(profile, profile in EVERY_RUN)
        if own is False or own is None:
            return None
        setting = entry.get("setting", "as_reported")
        if not notebook.is_file():
            raise PlanError(f"{name}: no notebook notebooks/{family}/{entry['notebook']}")
        defaults, types = self._parameters(notebook)
        parameters = dict(defaults)
        layers = {
            f"setting {setting}": table.get("settings", {}).get(setting, {}),
            "parameters": entry.get("parameters", {}),
            f"profile {profile}": table.get("profiles", {}).get(profile, {}),
            f"{profile} of the run": own if isinstance(own, dict) else {},
            "name": {"run_name": name, "seed": seed},
        }
        for layer, values in layers.items():
            for key, value in (values or {}).items():
                if key in parameters:
                    parameters[key] = value
                elif layer != f"profile {profile}" or key not in self._elsewhere(family):
                    raise PlanError(f"{name}: {entry['notebook']} has no parameter {key!r} ({layer})")
            check_types(name, types, defaults, values or {}, layer)
        minutes = {**table.get("minutes", {}), **entry.get("minutes", {})}.get(profile, 1.0)
        needs = {alias: need if need.count("/") == 2 else f"{need}/s{seed}"
                 for alias, need in (entry.get("needs") or {}).items()}
        return PlannedRun(family, variant, seed, profile, entry.get("title", variant), setting, notebook,
                          parameters, needs, int(entry.get("priority", 5)), float(minutes),
                          float(table.get("memory_gb", {}).get(profile, 1.0)))

    def notebook(self, name: str) -> Path:
        """The notebook of a run. Errors: PlanError for a run that is not in runs.yml."""
        family, variant, _ = split_name(name)
        if family not in self.families or variant not in self.families[family].variants:
            raise PlanError(f"no run {name!r} in runs.yml")
        return self.project.notebooks / family / self.families[family].variants[variant]["notebook"]

    @cached_property
    def _read_once(self) -> dict[Path | str, Any]:
        return {}

    def _parameters(self, notebook: Path) -> tuple[dict[str, Any], dict[str, type]]:
        """Defaults and types of a notebook's parameters; many runs share a notebook, which is read once."""
        if notebook not in self._read_once:
            self._read_once[notebook] = default_parameters(notebook), parameter_types(notebook)
        return self._read_once[notebook]

    def _elsewhere(self, family: str) -> set[str]:
        """The parameters of all notebooks of a family: a value for the whole of it may mean others of them."""
        if family not in self._read_once:
            notebooks = {entry["notebook"] for entry in self.families[family].variants.values()}
            self._read_once[family] = {key for name in sorted(notebooks)
                                       for key in self._parameters(self.project.notebooks / family / name)[0]}
        return self._read_once[family]

    def _add_needs(self, run: PlannedRun, chosen: dict[str, PlannedRun], above: tuple[str, ...] = ()) -> None:
        if run.name in above:
            raise PlanError(f"{run.name} needs itself: {' -> '.join((*above, run.name))}")
        for need in run.needs.values():
            upstream = chosen.get(need) or self.run(need, run.profile)
            if upstream is None:
                raise PlanError(f"{run.name} needs {need}, which is not in profile {run.profile}")
            chosen[need] = upstream
            self._add_needs(upstream, chosen, (*above, run.name))


def split_name(name: str) -> tuple[str, str, int]:
    """`pets_unet/mp-tr-ce/s0` -> family, variant, seed."""
    parts = name.split("/")
    if len(parts) != 3 or not parts[2].startswith("s") or not parts[2][1:].isdigit():
        raise PlanError(f"a run is named family/variant/s<seed>, not {name!r}")
    return parts[0], parts[1], int(parts[2][1:])


def check_types(name: str, types: Mapping[str, type], defaults: Mapping[str, Any], values: Mapping[str, Any],
                layer: str) -> None:
    """Errors: PlanError for the first value that is not of the type its notebook annotates (see `mistyped`); it names
    the run and the layer that says so."""
    for key, value in values.items():
        fault = mistyped(value, types[key], defaults.get(key)) if key in types else ""
        if fault:
            raise PlanError(f"{name}: {key} {fault} ({layer})")


def check_in_profile(planned: Iterable[PlannedRun], named: Iterable[str] | None, profile: str) -> None:
    """Errors: PlanError for a run that was named (see `Book.runs`) and is not in the profile."""
    planned = list(planned)
    for name in named or ():
        if not any(f"{run.name}/".startswith(f"{name}/") for run in planned):
            raise PlanError(f"{name} is not in profile {profile}")


def whole_number(variable: str) -> int | None:
    """A count from the environment; None if it is not set. Errors: PlanError unless it is 1 or more."""
    text = os.environ.get(variable, "")
    if text and not (text.isascii() and text.isdigit() and int(text)):
        raise PlanError(f"{variable}={text}: write a whole number, 1 or more")
    return int(text) if text else None


def read_yaml(path: Path, where: str) -> dict[str, Any]:
    """A file that holds a mapping; an empty one an empty one. Errors: PlanError, one line that begins with `where`, for
    what is no YAML or no mapping, and for a key that stands twice."""
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), _OneOfEach)
    except yaml.MarkedYAMLError as wrong:
        line = f"line {wrong.problem_mark.line + 1}: " if wrong.problem_mark else ""
        raise PlanError(f"{where}: {line}{wrong.problem or wrong.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as wrong:  # signs that no text has
        raise PlanError(f"{where}: {' '.join(str(wrong).split())}") from None
    return _mapping({} if found is None else found, where)


class _OneOfEach(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # the first is ten times as fast
    """YAML in which no key stands twice in a mapping: of two places by one name, one would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands here twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _mapping(entry: Any, where: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise PlanError(f"{where}: wants a mapping, got {entry!r}")
    return entry


def _ungrouped(groups: Iterable[Any], where: str) -> dict[str, dict[str, Any]]:
    """`[{all: shared, name: own, ...}, ...]` -> name -> `{**shared, **own}`, in the order they stand in."""
    runs: dict[str, dict[str, Any]] = {}
    for group in groups:
        shared = _mapping(_mapping(group, f"{where}, runs").get("all", {}), f"{where}, all")
        for name, own in group.items():
            if name in runs:
                raise PlanError(f"{where}: the run {name!r} stands there twice")
            if name != "all":
                runs[name] = {**shared, **_mapping(own, f"{where}, {name}")}
    return runs


def _check_table(table: Mapping[str, Any], runs: Mapping[str, Any], where: str) -> None:
    """What stands in the mappings of runs.yml. Errors: PlanError."""
    settings = table.get("settings", {})
    _check(settings, dict.fromkeys(settings, (dict, type(None))), f"{where}, settings")
    _check(table.get("profiles", {}), IN_PROFILE, f"{where}, profiles")
    for pattern, size in table.get("report", {}).items():
        _check(size, REPORT, f"{where}, report, {pattern}", needs=REPORT)
    for pattern, use in table.get("use", {}).items():
        _check(use, USE, f"{where}, use, {pattern}", needs=["python"])
    for variant, run in runs.items():
        _check(run, RUN, f"{where}, {variant}", needs=["notebook"])
        if run.get("setting", "as_reported") not in {"as_reported", *settings}:
            raise PlanError(f"{where}, {variant}: no setting {run['setting']!r}; there are {', '.join(settings)}")
    for at, entry in [(where, table), *((f"{where}, {variant}", run) for variant, run in runs.items())]:
        for key, kind in (("seeds", int), ("minutes", (int, float)), ("memory_gb", (int, float))):
            _check(entry.get(key, {}), dict.fromkeys(IN_PROFILE, kind), f"{at}, {key}")


def _metrics(project: Project, family: str) -> dict[str, Any]:
    """What each metric of a family means; there need not be any."""
    at = f"notebooks/{family}/metrics.yml"
    metrics = read_yaml(project.metrics(family), at) if project.metrics(family).is_file() else {}
    for name, entry in metrics.items():
        _check(entry, METRIC, f"{at}, {name}")
        try:
            format(0.5, entry.get("format", ""))
        except ValueError:
            raise PlanError(f"{at}, {name}: format: Python knows no {entry['format']!r}") from None
        if entry.get("better", "higher") not in ("higher", "lower"):
            raise PlanError(f"{at}, {name}: better is higher or lower, not {entry['better']!r}")
    return metrics


def _check(entry: Any, kinds: Mapping[str, Any], where: str, needs: Iterable[str] = ()) -> None:
    """Errors: PlanError for a key that is unknown or missing, or whose value is of another type."""
    for key, value in _mapping(entry, where).items():
        if key not in kinds:
            raise PlanError(f"{where}: unknown key {key!r}")
        wanted = kinds[key] if isinstance(kinds[key], tuple) else (kinds[key],)
        if not isinstance(value, wanted) or (isinstance(value, bool) and not {bool, object} & set(wanted)):
            raise PlanError(f"{where}: {key} wants {' or '.join(SPELLED[kind] for kind in wanted)}, got {value!r}")
    for key in needs:
        if key not in entry:
            raise PlanError(f"{where}: {key} is missing")


def _in_order(runs: Mapping[str, PlannedRun]) -> list[PlannedRun]:
    """Important runs first, and whatever they need before them."""
    ordered: dict[str, PlannedRun] = {}

    def place(run: PlannedRun) -> None:
        for need in run.needs.values():
            place(runs[need])
        ordered.setdefault(run.name, run)

    for run in sorted(runs.values(), key=lambda run: (run.priority, run.seed)):
        place(run)
    return list(ordered.values())
