"""Who may import whom, what is public, and what is imported when."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "htcv_lib"
MAY_IMPORT = {  # package -> packages of the project besides itself; the table in the house style
    "models": set(),
    "metrics": set(),
    "losses": {"metrics"},
    "data": set(),
    "training": {"losses", "metrics"},
    "figures": set(),
    "runs": {"data"},  # data.manifest alone, for the digests of data; it needs no torch
}
NO_TORCH = ("figures", "runs")


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


def files(package: str) -> list[Path]:
    return sorted((LIBRARY / package).glob("**/*.py"))


def public_modules() -> list[tuple[str, str, tuple[str, ...]]]:
    """(package, module, names) of every entry of every MODULES table."""
    tables = ((package, importlib.import_module(f"htcv_lib.{package}")) for package in MAY_IMPORT)
    return [(package, module, tuple(names)) for package, table in tables for module, names in table.MODULES.items()]


def test_every_package_has_a_rule():
    packages = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert packages == set(MAY_IMPORT)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package):
    allowed = MAY_IMPORT[package] | {package, "_lazy"}
    wrong = [(path.name, name) for path in files(package) for name, _ in imported(path)
             if name.split(".")[0] == "htcv_lib" and name.split(".")[1] not in allowed]
    assert wrong == []


@pytest.mark.parametrize("package", ["models", "metrics", "losses", "data", "training", "figures"])
def test_imports_within_the_library_are_at_the_top_and_from_the_defining_module(package):
    modules = {".".join(("htcv_lib", *path.relative_to(LIBRARY).with_suffix("").parts))
               for path in LIBRARY.glob("**/*.py") if path.name != "__init__.py"}
    wrong = [(path.name, name) for path in files(package) for name, top in imported(path)
             if name.startswith("htcv_lib.") and not (top and name.rpartition(".")[0] in modules)]
    assert wrong == []


def test_the_books_extensions_import_nothing_that_computes():
    wrong = [(path.name, name) for path in (LIBRARY.parent / "book/_ext").glob("*.py") for name, _ in imported(path)
             if name.split(".")[0] in {"torch", "torchvision"}
             or (name.startswith("htcv_lib") and name.split(".")[1] not in {"runs", "figures"})]
    assert wrong == []


@pytest.mark.parametrize("package", NO_TORCH)
def test_these_packages_never_import_torch(package):
    wrong = [(path.name, name) for path in files(package) for name, top in imported(path)
             if top and name.split(".")[0] in {"torch", "torchvision"}]
    assert wrong == []


def test_importing_packages_loads_nothing_heavy():
    code = ("import sys, htcv_lib.runs, htcv_lib.figures, htcv_lib.models, htcv_lib.training\n"
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


@pytest.mark.parametrize(("package", "module", "names"), public_modules(), ids=lambda value: str(value)[:30])
def test_public_names_resolve_and_are_documented(package, module, names):
    home = importlib.import_module(f"htcv_lib.{package}.{module}")
    table = importlib.import_module(f"htcv_lib.{package}")
    assert home.__doc__, f"{package}/{module}.py says nothing about itself"
    for name in names:
        value = getattr(home, name)
        assert getattr(table, name) is value
        if inspect.isfunction(value) or inspect.isclass(value):  # not constants and aliases of types
            assert value.__module__ == home.__name__, f"{name} is defined in {value.__module__}"
            assert inspect.getdoc(value), f"{package}.{name} has no docstring"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_public_name_is_also_that_of_a_module(package):
    # once the module is imported, the package's attribute of that name is the module, whatever the table says
    modules = {path.stem for path in files(package)}
    assert modules & set(importlib.import_module(f"htcv_lib.{package}").__all__) == set()


def test_a_name_no_module_lists_is_refused_with_the_names_there_are():
    with pytest.raises(AttributeError, match="no public name 'VNet'; it has .*UNet"):
        _ = importlib.import_module("htcv_lib.models").VNet
