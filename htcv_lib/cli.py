"""`htcv data|run|try|status|verify|doctor|bench`: the book's command line."""

import argparse
import os
import signal
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status. Errors are one line on stderr (see `one_line`)."""
    from htcv_lib.runs.project import ended_by_signals, one_line

    options = _parser().parse_args(arguments)
    try:
        with ended_by_signals():
            status = options.command(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `htcv status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        print(f"htcv: {one_line(error)}", file=sys.stderr)
        return 1


def run(options: argparse.Namespace) -> int:
    """Execute stale runs without building the book; with --record, make them references."""
    from htcv_lib.runs.build import active_profile, build, build_lock
    from htcv_lib.runs.plan import PlanError
    from htcv_lib.runs.project import Project
    from htcv_lib.runs.reference import require_clean_tree, write_references

    if options.where:
        os.environ["HTCV_WHERE"] = options.where
    if options.parameters:
        return _run_changed(options)
    if options.seeds is not None and options.seeds < 1:
        raise PlanError(f"--seeds {options.seeds}: write a whole number, 1 or more")
    project = Project.find()
    if options.record:
        require_clean_tree(project)
    with build_lock(project):
        report = build(project, active_profile(options.profile), options.seeds,
                       families=_families(options.runs), variants=_variants(options.runs),
                       force=options.force, pages=not options.record)
        if options.record:
            names = write_references(report, project)
            print(f"{len(names)} reference(s) written to book/runs")
    for outcome in report.failures:
        print(f"htcv: {outcome.error}", file=sys.stderr)
    if report.failures:
        print("htcv: runs/staging holds what they had done, and tracebacks in their notebooks", file=sys.stderr)
    return 1 if report.failures else 0


def _run_changed(options: argparse.Namespace) -> int:
    """`htcv run family/variant -p name=value`: into scratch, not as the planned run."""
    from htcv_lib.runs.build import active_profile, build_lock, run_changed
    from htcv_lib.runs.plan import PlanError
    from htcv_lib.runs.project import Project

    if len(options.runs) != 1 or options.runs[0].count("/") not in (1, 2):
        raise PlanError("-p changes one run: name exactly one, family/variant or family/variant/s<seed>")
    if options.record or options.force or options.seeds is not None:
        raise PlanError("-p makes one scratch run: leave out --record, --force and --seeds")
    changes = dict(text.partition("=")[::2] for text in options.parameters if "=" in text)
    if len(changes) < len(options.parameters):
        raise PlanError("-p wants name=value, each name once")
    project = Project.find()
    with build_lock(project):
        outcome = run_changed(project, options.runs[0], active_profile(options.profile), changes)
    print(outcome.folder.relative_to(project.root) if outcome.ok else f"htcv: {outcome.error}",
          file=sys.stdout if outcome.ok else sys.stderr)
    return 0 if outcome.ok else 1


def try_pictures(options: argparse.Namespace) -> int:
    """Draw what a trained network makes of pictures of your own."""
    from htcv_lib import show
    from htcv_lib.runs.records import replaced

    figure = show(options.network, options.paths, options.label, lambda line: print(f"htcv: {line}", file=sys.stderr))
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.network.replace('/', '-')}.png"
    with replaced(path) as partial:
        figure.savefig(partial, format="png", dpi=220)
    print(path)
    return 0


def status(options: argparse.Namespace) -> int:
    """Print what is fresh, stale (and why) or missing."""
    from htcv_lib.runs.build import active_profile, check_settings
    from htcv_lib.runs.freshness import status_lines
    from htcv_lib.runs.project import Project
    from htcv_lib.runs.reference import renew_keys

    project = Project.find()
    check_settings(project)
    profile = active_profile(options.profile)
    chosen = {"families": _families(options.runs), "variants": _variants(options.runs)}
    if options.rekey:
        renew_keys(profile, project, like=options.like, **chosen)
    print("\n".join(status_lines(profile, project, **chosen)))
    return 0


def verify(options: argparse.Namespace) -> int:
    """Train references again and compare what they measure."""
    from htcv_lib.runs.build import active_profile
    from htcv_lib.runs.project import Project
    from htcv_lib.runs.reference import verify_references

    found = verify_references(Project.find(), active_profile(options.profile), options.count,
                              _families(options.runs), _variants(options.runs))
    for entry in found:
        worst = entry.get("different") or {}
        said = (entry["error"] or ", ".join(f"{name} was {was:.6g}, is {now:.6g}" for name, (was, now) in worst.items())
                or ("equal within tolerance" if entry["close"] else "equal to the digit"))
        print(f"  {entry['run']}: {said}")
    return 1 if any(entry["error"] or entry["different"] for entry in found) else 0


def data(options: argparse.Namespace) -> int:
    """List, fetch or verify data sets."""
    from htcv_lib.data.files import fetch_data, list_data, share_cache, verify_data
    from htcv_lib.runs.project import check_data_folder

    check_data_folder()
    if options.action == "list":
        print(list_data())
        return 0
    good = True
    for line in (fetch_data if options.action == "fetch" else verify_data)(options.names):
        print(line.text, flush=True)
        good = good and line.ok
    share_cache()
    return 0 if good else 1


def doctor(options: argparse.Namespace) -> int:
    """Try what a training needs; a line each."""
    from htcv_lib.bench import examine

    well = True
    for line in examine():
        print("ok  " if line.ok else "FAIL", line.text, flush=True)
        well = well and line.ok
    return 0 if well else 1


def bench(options: argparse.Namespace) -> int:
    """Measure our loop, renderer and runner against plain ones."""
    from htcv_lib.bench import report

    print(report(options.what, options.repeats))
    return 0


def _comparison(name: str) -> str:
    """One of those that `bench` knows; imported only for it, since it brings all that computes."""
    from htcv_lib.bench import COMPARISONS

    if name not in ("all", *COMPARISONS):
        raise argparse.ArgumentTypeError(f"no comparison {name!r}; choose from all, {', '.join(COMPARISONS)}")
    return name


def _families(runs: list[str]) -> list[str] | None:
    return sorted({run.split("/")[0] for run in runs}) or None


def _variants(runs: list[str]) -> list[str] | None:
    return [run for run in runs if "/" in run] or None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="htcv", description="Run, inspect and measure the report book.")
    commands = parser.add_subparsers(required=True, metavar="data|run|try|status|verify|doctor|bench")
    named = {"nargs": "*", "help": "family, family/variant or family/variant/s<seed>; default: all"}
    one = commands.add_parser("data", help="list, fetch or verify data sets")
    one.add_argument("action", choices=["list", "fetch", "verify"])
    one.add_argument("names", nargs="*", help="manifests; default: all")
    one.set_defaults(command=data)
    one = commands.add_parser("run", help="execute stale runs")
    one.add_argument("runs", **named)
    one.add_argument("--profile", help="quick, laptop, overnight, full or paper; default: full with a GPU, else quick")
    one.add_argument("--seeds", type=int, default=None, help="seeds of each run; default: as runs.yml says")
    one.add_argument("--where", help="local (default), gpus, or a file that names a cluster: cluster/slurm.yml")
    one.add_argument("--force", action="store_true", help="also what is fresh by its committed reference")
    one.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE",
                     help="another value for a parameter of the one run named: a scratch run")
    one.add_argument("--record", action="store_true", help="make the results references (needs a clean tree)")
    one.set_defaults(command=run)
    one = commands.add_parser("try", help="what a trained network makes of your own pictures, as one PNG")
    one.add_argument("network", help="family/variant: one with committed weights, or trained on this machine")
    one.add_argument("paths", nargs="+", help="pictures, or folders of pictures")
    one.add_argument("--label", type=int, choices=range(10), help="what your digits are; default: as they are read")
    one.add_argument("--out", type=Path, default=Path(), help="the folder of the PNG; default: here")
    one.set_defaults(command=try_pictures)
    one = commands.add_parser("status", help="what is fresh, stale (and why), missing")
    one.add_argument("runs", **named)
    one.add_argument("--profile")
    one.add_argument("--rekey", action="store_true", help="renew keys where the fingerprint reproduces exactly")
    one.add_argument("--like", default="", metavar="COMMIT",
                     help="with --rekey: compare with what the code of this commit gives on this machine")
    one.set_defaults(command=status)
    one = commands.add_parser("verify", help="train references again and compare every metric")
    one.add_argument("runs", **named)
    one.add_argument("--profile")
    one.add_argument("--count", type=int, default=12, help="references drawn at random, where no run is named")
    one.set_defaults(command=verify)
    one = commands.add_parser("doctor", help="try in two minutes what a training needs, and say what is missing")
    one.set_defaults(command=doctor)
    one = commands.add_parser("bench", help="throughput and overhead, as ratios")
    one.add_argument("what", nargs="?", default="all", type=_comparison,
                     help="a training task, phong, runner or all; a wrong name lists them")
    one.add_argument("--repeats", type=int, default=5)
    one.set_defaults(command=bench)
    return parser


if __name__ == "__main__":
    sys.exit(main())
