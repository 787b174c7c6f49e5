"""What code an asset depends on: its body, and the library modules that its imports reach.

Nothing is listed by hand. Of `orchestration` code is followed definition by definition, from the
asset's body on: a helper counts when something names it, a method when something calls a method of
that name. A library module counts as a whole, with all that it imports, wherever in the file, and
with the data files beside it. So do the layouts that artifacts are written and read in, and, of a
step on a GPU, how one is lent.

No part of it: what describes an artifact to people (`catalogue`, checks), how a step is run (an
asset's decorator: its settings count by their values, retries, tags and pools not at all), and the
code of `settings`.
"""

import ast
import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from beauty_rec.orchestration.stage.sources import (
    PACKAGE,
    ROOT,
    Function,
    bindings,
    data_files,
    definitions,
    imported_by,
    inside,
    mentions_of,
    modules_of,
    path_of,
    text_of,
)

ORCHESTRATION = f"{ROOT}.orchestration"
NOT_FOLLOWED = (f"{ROOT}.settings", f"{ORCHESTRATION}.catalogue")
LAYOUTS = (f"{ORCHESTRATION}.storage.io_managers", "LAYOUTS")
STORING = frozenset({"read", "write"})
LENDING = (f"{ORCHESTRATION}.stage.gpu", "GpuResource")
LENT = frozenset({"lend", "applied_to"})
PASSIVE = frozenset({"property", "classmethod", "staticmethod", "contextmanager", "abstractmethod"})
"""Decorators of methods that run only when something calls them."""


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
def code_of(module: str, function: str, gpu: bool = False) -> Code:
    """Return what the result of the asset ``function`` in ``module`` depends on.

    Args:
        module: of `orchestration`.
        function: the asset's name in it.
        gpu: whether it may run on a GPU.
    """
    trail = _Trail((module, function), called=set(STORING | LENT if gpu else STORING))
    while trail.grows():
        for start in (trail.asset, LAYOUTS, *([LENDING] if gpu else [])):
            trail.follow(*start)
    reached = frozenset[str]().union(*(reach(name) for name in trail.library))
    paths = {path for name in reached if (path := path_of(name)) is not None}
    data = {file for folder in {path.parent for path in paths} for file in data_files(folder)}
    return Code(trail.definitions, tuple(sorted(paths | data)))


@cache
def reach(module: str) -> frozenset[str]:
    """Return a library module, its packages, and every library module that they import."""
    found: set[str] = set()
    ahead = [module]
    while ahead:
        name = ahead.pop()
        if name not in found and name != ROOT and not inside(name, ORCHESTRATION, *NOT_FOLLOWED):
            found.add(name)
            ahead += [*imported_by(name), name.rpartition(".")[0]]
    return frozenset(found)


@dataclass
class _Trail:
    """What an asset names; rounds are walked until no method is called that was not before."""

    asset: tuple[str, str]
    called: set[str]
    definitions: dict[str, str] = field(default_factory=dict)
    library: set[str] = field(default_factory=set)
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _size: int = -1

    def grows(self) -> bool:
        """Whether another round may find more."""
        before, self._size = self._size, len(self.called)
        if before < self._size:
            self.definitions.clear()
            self._seen.clear()
            return True
        return False

    def follow(self, module: str, name: str) -> None:
        """Follow what a module of `orchestration` calls ``name``, be it only imported there."""
        if (module, name) in self._seen:
            return
        self._seen.add((module, name))
        for _, *imported in bindings(module).get(name, ()):
            self._enter(*imported)
        parts = [part for node in definitions(module).get(name, ()) for part in self._parts(node)]
        if not parts:
            return
        if (module, name) == self.asset:
            parts = [_undecorated(part) for part in parts]
        self.definitions[f"{module}.{name}"] = "\n".join(text_of(module, part) for part in parts)
        for part in parts:
            mentions = mentions_of(part)
            self.called |= mentions.attributes
            for _, *imported in mentions.imports:
                self._enter(*imported)
            for other in mentions.names:
                self.follow(module, other)

    def _parts(self, node: ast.stmt) -> Iterator[ast.stmt | ast.expr]:
        """Yield what counts of a definition: of a class no methods that nothing calls."""
        if isinstance(node, ast.ClassDef):
            yield from [*node.decorator_list, *node.bases, *(word.value for word in node.keywords)]
            yield from (part for part in node.body if self._runs(part))
        else:
            yield node

    def _runs(self, part: ast.stmt) -> bool:
        """Whether a part of a class may run: anything but a method without a caller.

        Python itself calls ``__iter__``; a framework calls what it decorates, like a validator.
        """
        if not isinstance(part, Function) or part.name in self.called or part.name[:2] == "__":
            return True
        return not {ast.unparse(each).split(".")[-1] for each in part.decorator_list} <= PASSIVE

    def _enter(self, source: str, name: str) -> None:
        """Follow a name of the module ``source``; all of the module when nothing of it is named."""
        if inside(source, *NOT_FOLLOWED):
            return
        for whole in modules_of(f"{source}.{name}" if name else source):
            if inside(whole, ORCHESTRATION):
                for defined in definitions(whole):
                    self.follow(whole, defined)
            else:
                self.library.add(whole)
        if inside(source, ORCHESTRATION):
            self.follow(source, name)
        else:
            self.library.add(source)


@cache
def _undecorated(part: ast.stmt | ast.expr) -> ast.stmt | ast.expr:
    bare = copy.copy(part)
    if isinstance(bare, Function):
        bare.decorator_list = []
    return bare
