"""What code an asset depends on: its body, and the library modules that its imports reach.

Nothing is listed by hand. Of `orchestration` an asset's body is followed definition by definition:
a helper counts when the body names it, a method of a resource when something calls a method of
that name. A library module counts as a whole, with all that it imports, wherever in the file.
What describes an artifact to people (`catalogue`) is no part of it.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2]
ROOT = PACKAGE.name
ORCHESTRATION = f"{ROOT}.orchestration"
CATALOGUE = f"{ORCHESTRATION}.catalogue"
SETTINGS = f"{ROOT}.settings"
"""Settings count by their values, not by their code."""
DATA = frozenset({".toml"})
"""Files that modules read from beside them: word lists, prompts, domains."""

_IMPORT = re.compile(
    rf"^\s*(?:from (?P<source>{ROOT}[\w.]*) import (?P<names>\([^)]*\)|.*)"
    rf"|import (?P<module>{ROOT}[\w.]*))",
    re.MULTILINE,
)
"""Imports as the formatter writes them; to parse every file takes half a second."""
_NAME = re.compile(r"\w+")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Code:
    """``definitions``: name → source, of `orchestration`; ``files``: of the library, sorted."""

    definitions: dict[str, str]
    files: tuple[Path, ...]

    def digest(self) -> str:
        """Return 64 hex digits that stand for all of it."""
        digest = hashlib.sha256()
        for name, source in sorted(self.definitions.items()):
            digest.update(f"{name}\0{source}\0".encode())
        for path in self.files:
            digest.update(f"{path.relative_to(PACKAGE)}\0".encode() + path.read_bytes())
        return digest.hexdigest()


@cache
def code_of(module: str, function: str) -> Code:
    """Return what the result of the asset ``function`` in ``module`` depends on."""
    trail = _Trail()
    while trail.grows():
        trail.follow(module, function)
    reached = frozenset[str]().union(*(reach(name) for name in trail.library))
    paths = {path for name in reached if (path := _path(name)) is not None}
    folders = {path.parent for path in paths} - {PACKAGE}
    data = {file for folder in folders for file in _data_files(folder)}
    return Code(trail.definitions, tuple(sorted(paths | data)))


@cache
def reach(module: str) -> frozenset[str]:
    """Return a library module, its packages, and every library module that they import."""
    found: set[str] = set()
    ahead = [module]
    while ahead:
        name = ahead.pop()
        if name not in found and name != ROOT and not name.startswith((ORCHESTRATION, SETTINGS)):
            found.add(name)
            ahead += [*_imports(name), name.rpartition(".")[0]]
    return frozenset(found)


@dataclass
class _Trail:
    """What a body names; rounds are walked until no method is called that was not before."""

    definitions: dict[str, str] = field(default_factory=dict)
    library: set[str] = field(default_factory=set)
    called: set[str] = field(default_factory=set)
    _size: int = -1

    def grows(self) -> bool:
        """Whether another round may find more."""
        before, self._size = self._size, len(self.called)
        if before < self._size:
            self.definitions.clear()
            return True
        return False

    def follow(self, module: str, name: str) -> None:
        """Follow one definition of `orchestration`."""
        node = _definitions(module).get(name)
        if node is None or f"{module}.{name}" in self.definitions:
            return
        parts = list(self._parts(node))
        source = _source(module)
        lines = [line for part in parts for line in source[part.lineno - 1 : part.end_lineno]]
        self.definitions[f"{module}.{name}"] = "\n".join(lines)
        # A parameter often has the name of the asset that it is the value of.
        own = {arg.arg for arg in ast.walk(node) if isinstance(arg, ast.arg)}
        for part in parts:
            for found in ast.walk(part):
                self._take(module, found, own)

    def _parts(self, node: ast.stmt) -> Iterator[ast.stmt | ast.expr | ast.arg]:
        """Yield what counts of a definition: no decorators, and of a class the called methods."""
        if isinstance(node, Function):
            yield from [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield from node.body
        elif isinstance(node, ast.ClassDef):
            yield from node.bases
            for part in node.body:
                called = self.called | {"__init__", "__call__", "__enter__", "__exit__"}
                if not isinstance(part, Function) or part.name in called:
                    yield part
        else:
            yield node

    def _take(self, module: str, node: ast.AST, own: set[str]) -> None:
        if isinstance(node, ast.Attribute):
            self.called.add(node.attr)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for source, name in _bindings(node).values():
                self._enter(source, name)
        else:
            said = node.id if isinstance(node, ast.Name) else getattr(node, "value", None)
            if not isinstance(said, str) or said in own:  # an annotation may stand in quotes
                return
            if said in _definitions(module):
                self.follow(module, said)
            elif said in (bound := _bound(module)):
                self._enter(*bound[said])

    def _enter(self, source: str, name: str) -> None:
        if source.split(".")[0] != ROOT or source.startswith((SETTINGS, CATALOGUE)):
            return
        whole = f"{source}.{name}" if name else source
        if _path(whole) is None:
            whole = source
        if not whole.startswith(ORCHESTRATION):
            self.library.add(whole)
        elif whole == source:
            self.follow(source, name)
        else:  # a module by its name: the body may use all that stands in it
            for defined in _definitions(whole):
                self.follow(whole, defined)


@cache
def _definitions(module: str) -> dict[str, ast.stmt]:
    """Return what a module defines at its top, by name."""
    found: dict[str, ast.stmt] = {}
    for node in _tree(module).body:
        if isinstance(node, Function | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                found |= {n.id: node for n in ast.walk(target) if isinstance(n, ast.Name)}
    return found


@cache
def _bound(module: str) -> dict[str, tuple[str, str]]:
    """Return what the imports at a module's top bind: local name → (module, name in it)."""
    found: dict[str, tuple[str, str]] = {}
    for node in _tree(module).body:
        found |= _bindings(node)
    return found


@cache
def _imports(module: str) -> frozenset[str]:
    """Return the modules of this package that a module imports, anywhere in it."""
    found: set[str] = set()
    for statement in _IMPORT.finditer("\n".join(_source(module))):
        source = statement["source"] or statement["module"]
        found.add(source)
        for name in _NAME.findall(statement["names"] or ""):
            if _path(f"{source}.{name}") is not None:
                found.add(f"{source}.{name}")
    return frozenset(found)


def _bindings(node: ast.AST) -> dict[str, tuple[str, str]]:
    """Return what an import binds: local name → (module, name in it, or nothing)."""
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name: (alias.name, "") for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {a.asname or a.name: (node.module or "", a.name) for a in node.names}
    return {}


@cache
def _source(module: str) -> list[str]:
    path = _path(module)
    return [] if path is None else path.read_text(encoding="utf-8").splitlines()


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse("\n".join(_source(module)))


@cache
def _path(module: str) -> Path | None:
    """Return the file of a module of this package; None when there is none."""
    base = PACKAGE.joinpath(*module.split(".")[1:])
    found = [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]
    return found[0] if found else None


@cache
def _data_files(folder: Path) -> tuple[Path, ...]:
    """Return the data files of a folder, and of those of its folders that hold no code."""
    bare = [
        f for f in folder.iterdir() if f.is_dir() and set(f.glob("*.py")) <= {f / "__init__.py"}
    ]
    return tuple(
        path for place in (folder, *bare) for path in place.iterdir() if path.suffix in DATA
    )
