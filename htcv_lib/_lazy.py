"""Public names without eager imports, so that a new module makes no other run stale (PEP 562)."""

import importlib
from collections.abc import Callable, Mapping, Sequence


def attach(package: str, modules: Mapping[str, Sequence[str]]) -> tuple[Callable, Callable, list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` for a subpackage.

    Args:
        package: The `__name__` of the subpackage.
        modules: Module of the subpackage -> the public names it defines.

    Errors: AttributeError for a name no module lists.
    """
    home = {name: module for module, names in modules.items() for name in names}
    public = sorted(home)

    def load(name: str):
        if name not in home:
            raise AttributeError(f"{package} has no public name {name!r}; it has {', '.join(public)}")
        return getattr(importlib.import_module(f"{package}.{home[name]}"), name)

    return load, lambda: public, public
