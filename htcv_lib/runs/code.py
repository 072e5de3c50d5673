"""Digests of code by what it means: of a notebook's cells, and of every definition of the library that they reach.

A definition is a top-level function, class or assignment. Its digest covers its code with each name resolved: one of
the library stands for the digest of what it names, one of another package for its full dotted path, a local one for
itself. So a definition may move, its module may be split or merged, and it may be renamed: no digest changes.
Comments, docstrings, formatting and the annotations of arguments do not count.

It is sound because library modules hold nothing at their top level but imports, definitions and assignments (tested).
"""

import ast
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = "htcv_lib"
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Definition(NamedTuple):
    """A name at the top level of a module of the library."""

    module: str
    name: str


class CodeError(ValueError):
    """Code that cannot be digested; the message is one line."""


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def counts_for_results(module: str) -> bool:
    """Whether the code of a module can change numbers; what plans and shows (`runs`, `figures`, `cli`) cannot."""
    rooms = module.split(".")[1:]
    return bool(rooms) and rooms[0] not in ("runs", "cli", "bench") and "figures" not in rooms


def counts_for_pages(module: str) -> bool:
    """Whether the code of a module can change a page: all of it but the machinery of runs."""
    rooms = module.split(".")[1:]
    return bool(rooms) and rooms[0] not in ("runs", "cli", "bench")


class Module:
    """One file of the library: its definitions and what its names were imported as."""

    def __init__(self, name: str, tree: ast.Module):
        self.name = name
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, tuple[str, str]] = {}  # name -> (module, name in it, or "" for the module itself)
        self.public: dict[str, str] = {}  # of a package that imports on demand: name -> module
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                self.definitions[node.name] = [node]
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                self._assigned(node)
            else:
                self.imports.update(imported(node))

    def _assigned(self, node: ast.Assign | ast.AnnAssign) -> None:
        for keyword in getattr(node.value, "keywords", ()):
            if keyword.arg == "submod_attrs":  # lazy_loader.attach(...)
                table = ast.literal_eval(keyword.value)
                self.public.update({name: f"{self.name}.{module}" for module, names in table.items() for name in names})
        if getattr(getattr(node, "targets", [None])[0], "id", "") == "MODULES":
            table = ast.literal_eval(node.value)
            self.public.update({name: f"{self.name}.{module}" for module, names in table.items() for name in names})
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for part in ast.walk(target):
                if isinstance(part, ast.Name):
                    self.definitions.setdefault(part.id, []).append(node)


def imported(node: ast.AST) -> dict[str, tuple[str, str]]:
    """Name -> (module, name in it) for an import statement; empty for any other node."""
    if isinstance(node, ast.ImportFrom):
        return {alias.asname or alias.name: (node.module or "", alias.name) for alias in node.names}
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name.split(".")[0]: (alias.name if alias.asname else alias.name.split(".")[0], "")
                for alias in node.names}
    return {}


class Library:
    """The definitions of one checkout, digested on demand.

    Args:
        root: The folder that holds `htcv_lib`.
        counted: Of which modules definitions count; names of others stand for nothing but their module's room.
    """

    def __init__(self, root: Path, counted: Callable[[str], bool] = counts_for_results):
        self.root, self.counted = root, counted
        self._modules: dict[str, Module | None] = {}
        self._digests: dict[Definition, str] = {}
        self._own: dict[Definition, tuple[str, frozenset[Definition]]] = {}
        self._cells: dict[tuple[str, ...], tuple[str, dict[str, str]]] = {}
        self._reached: dict[Definition, frozenset[Definition]] = {}

    def module(self, name: str) -> Module | None:
        """The module of that dotted name, or None if the checkout has none."""
        if name not in self._modules:
            place = self.root.joinpath(*name.split("."))
            files = [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()]
            self._modules[name] = Module(name, _parsed(files[0].read_text(encoding="utf-8"))) if files else None
        return self._modules[name]

    def find(self, module: str, name: str) -> Definition | str:
        """What `name` imported from `module` is: a definition, or the dotted name of a module.

        Errors: CodeError if it is neither.
        """
        home = self.module(module)
        if not name:
            return module
        if home and name in home.public:
            return self.find(home.public[name], name)
        if home and name in home.definitions:
            return Definition(module, name)
        if home and name in home.imports and home.imports[name][0].split(".")[0] == ROOT:
            return self.find(*home.imports[name])
        if self.module(f"{module}.{name}"):
            return f"{module}.{name}"
        raise CodeError(f"{module} has no {name!r}")

    def cells(self, sources: Iterable[str]) -> tuple[str, dict[str, str]]:
        """Digest of a notebook's code cells, and name -> digest of each definition they reach, directly or not.

        The second digests are of each definition's own lines, to say which of them changed.
        """
        sources = tuple(sources)
        if sources not in self._cells:
            self._cells[sources] = self._digest_cells(sources)
        return self._cells[sources]

    def _digest_cells(self, sources: tuple[str, ...]) -> tuple[str, dict[str, str]]:
        trees = [_parsed(source) for source in sources]
        names = {name: target for tree in trees for node in ast.walk(tree) for name, target in imported(node).items()}
        text = _Text(self, None, names)
        lines = [line for tree in trees for node in tree.body for line in [text.of(node)] if line is not None]
        reached = {found for first in text.reached for found in (first, *self._reach(first))}
        own = {f"{found.module.partition('.')[2]}.{found.name}": self.own(found)[0] for found in reached}
        return digest(lines), dict(sorted(own.items()))

    def own(self, definition: Definition) -> tuple[str, frozenset[Definition]]:
        """Digest of a definition's own lines, with names in place of what they mean, and what these lines reach."""
        if definition not in self._own:
            text = _Text(self, definition, deep=False)
            nodes = self.module(definition.module).definitions[definition.name]
            lines = [text.of(node) for node in nodes]
            self._own[definition] = digest(lines)[:8], frozenset(text.reached)
        return self._own[definition]

    def digest_of(self, definition: Definition) -> str:
        """Digest of a definition with all that it reaches. Definitions that use one another in a circle share theirs,
        and in it go by their names."""
        if definition not in self._digests:
            circle = self._circle(definition)
            texts = []
            for member in sorted(circle):
                text = _Text(self, member, circle=circle - {member})
                texts.append([text.of(node) for node in self.module(member.module).definitions[member.name]])
            for member in circle:
                name = [member.name] if len(circle) > 1 else []
                self._digests[member] = digest([*name, *texts])
        return self._digests[definition]

    def _circle(self, definition: Definition) -> frozenset[Definition]:
        """The definition, and those it reaches that reach it."""
        back = {found for found in self._reach(definition) if definition in self._reach(found)}
        return frozenset({definition} | back)

    def _reach(self, definition: Definition) -> frozenset[Definition]:
        if definition not in self._reached:
            reached: set[Definition] = set()
            waiting = [*self.own(definition)[1]]
            while waiting:
                found = waiting.pop()
                if found not in reached:
                    reached.add(found)
                    waiting += self.own(found)[1]
            self._reached[definition] = frozenset(reached)
        return self._reached[definition]


class _Text:
    """A syntax tree as nested lists, with names resolved."""

    def __init__(self, library: Library, definition: Definition | None, imports: Mapping | None = None,
                 deep: bool = True, circle: frozenset[Definition] = frozenset()):
        self.library, self.definition, self.deep, self.circle = library, definition, deep, circle
        home = library.module(definition.module) if definition else None
        self.imports = dict(home.imports if home else imports or {})
        self.definitions = home.definitions if home else {}
        self.reached: list[Definition] = []
        self.scopes: list[tuple[bool, set[str]]] = []  # whether it is a class, and its names; innermost last

    def of(self, node: Any) -> Any:
        if isinstance(node, list):
            return [text for item in node for text in [self.of(item)] if text is not None]
        if not isinstance(node, ast.AST):
            return node if isinstance(node, str | int | float | bool | None) else repr(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            return None  # names say by themselves what they mean
        if isinstance(node, ast.Name | ast.Attribute):
            return self._name(node)
        if isinstance(node, (*SCOPES, *COMPREHENSIONS)):
            return self._scope(node)
        if isinstance(node, ast.ClassDef):
            return self._class(node)
        return self._node(node)

    def _node(self, node: ast.AST, leave_out: tuple[str, ...] = ()) -> list:
        fields = []
        for field, value in ast.iter_fields(node):
            if field in ("ctx", "type_comment", "kind", "type_params", *leave_out):
                continue
            if field == "annotation" and (isinstance(node, ast.arg) or (self.scopes and not self.scopes[-1][0])):
                continue  # it counts where it makes a field of a dataclass or a NamedTuple
            if field == "body" and isinstance(value, list):
                value = _without_docstring(node, value)
            if value not in (None, []):
                text = self.of(value)
                fields.append([field, text])
        return [type(node).__name__, *fields]

    def _class(self, node: ast.ClassDef) -> list:
        outside = [node.bases, node.keywords, node.decorator_list]
        around = [self.of(part) for part in outside]
        name = self._own_name(node.name)
        self.scopes.append((True, bound_names(node)))
        body = self._node(node, ("name", "bases", "keywords", "decorator_list"))
        self.scopes.pop()
        return [*body, name, *around]

    def _own_name(self, name: str) -> str:
        """What a definition is called does not count."""
        return "itself" if self.definition and not self.scopes and name == self.definition.name else name

    def _scope(self, node: ast.AST) -> list:
        """A function or a comprehension: its own names stand for themselves. Decorators and defaults are outside."""
        bound = bound_names(node)
        outside = []
        if isinstance(node, SCOPES):
            outside = [self.of([*getattr(node, "decorator_list", []), *node.args.defaults,
                                *(default or ast.Constant(None) for default in node.args.kw_defaults)])]
        local = {name: target for inner in _inside(node) for name, target in imported(inner).items()}
        before, self.imports = self.imports, {**self.imports, **local}
        name = self._own_name(getattr(node, "name", ""))
        self.scopes.append((False, bound - set(local)))
        text = self._node(node, ("name", "decorator_list", "returns"))
        self.scopes.pop()
        self.imports = before
        return [*text, name, *outside]

    def _name(self, node: ast.Name | ast.Attribute) -> Any:
        chain: list[str] = []
        base: ast.AST = node
        while isinstance(base, ast.Attribute):
            chain.insert(0, base.attr)
            base = base.value
        if not isinstance(base, ast.Name):
            return ["Attribute", self.of(node.value), node.attr]
        found: Any = self._meaning(base.id, isinstance(base.ctx, ast.Store))
        while chain and isinstance(found, str) and found.startswith(f"@{ROOT}"):  # a module of the library
            found = self._library(found[1:], chain.pop(0))
        if isinstance(found, str) and found.startswith("@") and not found.startswith((f"@{ROOT}", "@=")):
            return ".".join([found, *chain])  # another package: the same path however it was imported
        for attribute in chain:
            found = ["Attribute", found, attribute]
        return found

    def _meaning(self, name: str, stored: bool) -> Any:
        inner = self.scopes[-1:]
        if any(name in names for is_class, names in self.scopes if not is_class) or (inner and name in inner[0][1]):
            return ["Name", name]
        if self.definition and name == self.definition.name:
            return ["Name", "itself"]
        if stored:
            return ["Name", "another" if self.definition else name]
        if name in self.imports:
            module, inner = self.imports[name]
            if module.split(".")[0] == ROOT:
                return self._library(module, inner)
            return f"@{module}.{inner}" if inner else f"@{module}"
        if name in self.definitions:
            return self._definition(Definition(self.definition.module, name))
        return ["Name", name]

    def _library(self, module: str, name: str) -> Any:
        found = self.library.find(module, name)
        return self._definition(found) if isinstance(found, Definition) else f"@{found}"

    def _definition(self, found: Definition) -> Any:
        if not self.library.counted(found.module):
            return ["Shown"] if "figures" in found.module.split(".") else ["Name", found.name]
        self.reached.append(found)
        if not self.deep or found in self.circle:
            return ["Name", found.name]
        return f"@={self.library.digest_of(found)}"


def bound_names(node: ast.AST) -> set[str]:
    """The local names of a function, lambda, class or comprehension."""
    names: set[str] = set()
    if isinstance(node, SCOPES):
        arguments = node.args
        parts = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        names |= {part.arg for part in parts if part}
    free: set[str] = set()
    for inner in _inside(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store | ast.Del):
            names.add(inner.id)
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(inner.name)
        elif isinstance(inner, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and inner.name:
            names.add(inner.name)
        elif isinstance(inner, ast.Import | ast.ImportFrom):
            names |= set(imported(inner))
        elif isinstance(inner, ast.Global | ast.Nonlocal):
            free |= set(inner.names)
    return names - free


def _inside(node: ast.AST) -> Iterable[ast.AST]:
    """The nodes of a scope, without those of scopes inside it, but with these themselves."""
    waiting = list(ast.iter_child_nodes(node))
    if isinstance(node, (*SCOPES, ast.ClassDef)):
        waiting = list(node.body) if isinstance(node.body, list) else [node.body]
    while waiting:
        inner = waiting.pop()
        yield inner
        if isinstance(inner, ast.NamedExpr) or not isinstance(inner, (*SCOPES, *COMPREHENSIONS, ast.ClassDef)):
            waiting += ast.iter_child_nodes(inner)
        elif isinstance(inner, COMPREHENSIONS):  # `:=` inside binds a name outside
            waiting += [part.target for part in ast.walk(inner) if isinstance(part, ast.NamedExpr)]


def _without_docstring(node: ast.AST, body: list) -> list:
    described = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    first = body[0] if body else None
    if (described and isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)):
        return body[1:]
    return body


@cache
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def library_of(root: Path, counted: Callable[[str], bool] = counts_for_results) -> Library:
    """The library of a checkout as its files are now; digested once as long as they stay so."""
    files = sorted((root / ROOT).rglob("*.py"))
    stamp = tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files)
    return _library_at(root, counted, stamp)


@cache
def _library_at(root: Path, counted: Callable[[str], bool], stamp: tuple) -> Library:
    return Library(root, counted)
