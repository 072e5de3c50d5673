"""Who may import whom, what is public, what is imported when, and how large a room is."""

import ast
import importlib
import inspect
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from htcv_lib.runs.code import counts_for_results

LIBRARY = Path(__file__).parents[1] / "htcv_lib"
FAMILIES = tuple(sorted(path.parent.name for path in (LIBRARY.parent / "notebooks").glob("*/*.ipynb")
                        if (LIBRARY / path.parent.name).is_dir()))
FAMILIES = tuple(dict.fromkeys(FAMILIES))
CORE = ("image", "networks", "training", "losses", "metrics", "data", "figures")
MAY_IMPORT = {  # room of the core -> rooms of the core besides itself
    "image": set(),
    "networks": set(),
    "figures": set(),
    "data": {"image"},
    "metrics": {"image", "data"},
    "losses": {"image", "metrics"},
    "training": {"image", "networks", "losses", "metrics", "data"},
}
TABLES = ("data", "figures", "losses", "metrics", "training", "runs", *FAMILIES)


def files(room: str) -> list[Path]:
    return sorted((LIBRARY / room).glob("**/*.py")) or [LIBRARY / f"{room}.py"]


def imported(path: Path) -> list[tuple[str, bool]]:
    """Absolute names a file imports (`a.b.name` for `from a.b import name`), and whether at its top level."""
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [(f"{node.module}.{alias.name}", id(node) in top) for alias in node.names]
    return found


def rooms_imported(room: str) -> set[tuple[str, str]]:
    """(file, room of the library) for every import of the library in a room."""
    return {(path.name, name.split(".")[1]) for path in files(room) for name, _ in imported(path)
            if name.split(".")[0] == "htcv_lib"}


def public_modules() -> list[tuple[str, str]]:
    return [(package, name) for package in TABLES for name in importlib.import_module(f"htcv_lib.{package}").__all__]


def test_every_room_has_a_rule():
    rooms = {path.stem if path.is_file() else path.name for path in LIBRARY.glob("[a-z]*")}
    assert rooms == {*CORE, *FAMILIES, "runs", "cli", "bench"}
    assert set(MAY_IMPORT) == set(CORE)


@pytest.mark.parametrize("room", CORE)
def test_the_core_imports_no_report_and_of_itself_what_it_may(room):
    assert {pair for pair in rooms_imported(room) if pair[1] not in MAY_IMPORT[room] | {room}} == set()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_report_imports_the_core_and_no_other_report(family):
    assert {pair for pair in rooms_imported(family) if pair[1] not in {*CORE, family}} == set()


def test_what_plans_runs_imports_only_manifests_and_files_of_data():
    wrong = [(path.name, name) for path in files("runs") for name, _ in imported(path) if name.startswith("htcv_lib.")
             and name.split(".")[1] != "runs" and name.split(".")[1:3] not in (["data", "manifest"], ["data", "files"])]
    assert wrong == []


@pytest.mark.parametrize("room", [*CORE, *FAMILIES])
def test_imports_within_the_library_are_at_the_top_and_from_the_defining_module(room):
    modules = {".".join(("htcv_lib", *path.relative_to(LIBRARY).with_suffix("").parts))
               for path in LIBRARY.glob("**/*.py") if path.name != "__init__.py"}
    wrong = [(path.name, name) for path in files(room) for name, top in imported(path)
             if name.startswith("htcv_lib.") and not (top and name.rpartition(".")[0] in modules)]
    assert wrong == []


@pytest.mark.parametrize("room", [*CORE, *FAMILIES])
def test_modules_hold_nothing_at_their_top_but_imports_definitions_and_assignments(room):
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    wrong = [(path.name, node.lineno) for path in files(room) for node in ast.parse(path.read_text()).body[1:]
             if not isinstance(node, allowed)]
    assert wrong == []  # keys are digests of definitions: what happens on import would escape them


def test_no_result_depends_on_annotations_of_arguments():
    words = ("get_type_hints", "inspect.signature", ".__annotations__")
    wrong = [(path.name, word) for path in LIBRARY.glob("**/*.py") for word in words
             if counts_for_results(".".join(("htcv_lib", *path.relative_to(LIBRARY).with_suffix("").parts)))
             and word in path.read_text()]
    assert wrong == []  # keys leave these annotations out


def test_the_books_extensions_import_nothing_that_computes():
    wrong = [(path.name, name) for path in (LIBRARY.parent / "book/_ext").glob("*.py") for name, _ in imported(path)
             if name.split(".")[0] in {"torch", "torchvision"}
             or (name.startswith("htcv_lib") and not {"runs", "figures"} & set(name.split(".")[1:3]))]
    assert wrong == []


def test_figures_and_runs_never_import_torch():
    shown = [path for path in LIBRARY.glob("**/*.py") if "figures" in path.relative_to(LIBRARY).with_suffix("").parts]
    assert len(shown) >= 8
    wrong = [(path.name, name) for path in (*shown, *files("runs")) for name, top in imported(path)
             if top and name.split(".")[0] in {"torch", "torchvision"}]
    assert wrong == []


def test_importing_packages_loads_nothing_heavy():
    code = (f"import sys, importlib\nfor name in {TABLES}: importlib.import_module('htcv_lib.' + name)\n"
            "print(sorted({'torch', 'torchvision', 'matplotlib', 'pandas', 'papermill'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], cwd=LIBRARY.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_of_the_torch_free_packages_loads_without_torch():
    code = ("import sys, importlib\nfor package in ('runs', 'figures'):\n"
            "    module = importlib.import_module('htcv_lib.' + package)\n"
            "    [getattr(module, name) for name in module.__all__]\n"
            "print('torch' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], cwd=LIBRARY.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("room", [*CORE, *FAMILIES])
def test_a_room_can_be_imported_on_its_own(room):
    code = f"import importlib, htcv_lib.{room} as room\n[getattr(room, name) for name in getattr(room, '__all__', ())]"
    subprocess.run([sys.executable, "-c", code], cwd=LIBRARY.parent, check=True)


@pytest.mark.parametrize(("package", "name"), public_modules())
def test_public_names_resolve_and_are_documented(package, name):
    value = getattr(importlib.import_module(f"htcv_lib.{package}"), name)
    if inspect.isfunction(value) or inspect.isclass(value):  # not constants and aliases of types
        assert value.__module__.startswith(f"htcv_lib.{package}."), f"{name} is defined in {value.__module__}"
        assert inspect.getdoc(value), f"{package}.{name} has no docstring"
        assert importlib.import_module(value.__module__).__doc__, f"{value.__module__} says nothing about itself"


@pytest.mark.parametrize("package", TABLES)
def test_no_public_name_is_also_that_of_a_module(package):
    # once the module is imported, the package's attribute of that name is the module, whatever the table says
    modules = {path.stem for path in files(package)}
    assert modules & set(importlib.import_module(f"htcv_lib.{package}").__all__) == set()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_report_says_what_it_is_and_names_every_file_of_its_folder(family):
    told = importlib.import_module(f"htcv_lib.{family}").__doc__
    parts = [path.name + ("/" if path.is_dir() else "") for path in (LIBRARY / family).iterdir()
             if not path.name.startswith("__")]
    assert [part for part in parts if part not in told] == []


def test_the_house_stays_small_enough_to_find_ones_way():
    lengths = [len(path.read_text().splitlines()) for path in LIBRARY.glob("**/*.py")]
    assert len(lengths) <= 120 and statistics.median(lengths) >= 140


SCRIPTS = ["data_manifests/make_samples.py", "data_manifests/render_sequences.py", "book/release.py",
           "book/live/export.py", "book/live/pictures.py", "book/live/vendor.py"]


def test_every_script_outside_the_library_finds_what_it_imports():
    code = ("import runpy, sys\nfor path in sys.argv[1:]:\n    sys.path.insert(0, path.rpartition('/')[0])\n"
            "    runpy.run_path(path, run_name='script')")
    done = subprocess.run([sys.executable, "-c", code, *SCRIPTS], cwd=LIBRARY.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    listed = {path.relative_to(LIBRARY.parent).as_posix() for folder in ("data_manifests", "book")
              for path in (LIBRARY.parent / folder).rglob("*.py") if "_ext" not in path.parts}
    assert listed == set(SCRIPTS)
