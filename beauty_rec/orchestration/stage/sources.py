"""The package as text: what its modules define and import, found without running them.

Imports are absolute, and none takes everything (``*``); the tests and the linter hold that.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2]
ROOT = PACKAGE.name
NO_DATA = frozenset({".py", ".pyc", ".typed"})

_IMPORT = re.compile(
    rf"(?:^|[;:\"'])[ \t]*(?:from[ \t]+(?P<source>{ROOT}[\w.]*)[ \t]+import[ \t]*"
    r"(?P<names>\((?:[^)#]|#[^\n]*)*\)|(?:[^\n\\;]|\\\n)*)"
    r"|import[ \t]+(?P<modules>(?:[^\n\\;]|\\\n)*))"
    rf"|[\"'](?P<quoted>{ROOT}\.[\w.]+)[\"']",
    re.MULTILINE,
)
"""Imports, and modules named in strings; to parse every file instead takes half a second."""
_COMMENT = re.compile(r"#[^\n]*")
_NAME = re.compile(r"[\w.]+")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Binding = tuple[str, str, str]
"""Local name, module that it comes from, name in that module or nothing for the module itself."""


@cache
def path_of(module: str) -> Path | None:
    """Return the file of a module of this package; None when there is none."""
    base = PACKAGE.joinpath(*module.split(".")[1:])
    found = [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]
    return found[0] if found else None


def inside(module: str, *packages: str) -> bool:
    """Tell whether a module is one of ``packages`` or lies in one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@cache
def modules_of(name: str) -> tuple[str, ...]:
    """Return a module; of a package all modules in it, since its name may lead to any."""
    path = path_of(name)
    if path is None or path.name != "__init__.py":
        return () if path is None else (name,)
    files = (file.relative_to(PACKAGE.parent).with_suffix("") for file in path.parent.rglob("*.py"))
    return tuple(".".join(file.parts).removesuffix(".__init__") for file in sorted(files))


@cache
def imported_by(module: str) -> frozenset[str]:
    """Return the modules of this package that a module imports, anywhere in it."""
    found: set[str] = set()
    for statement in _IMPORT.finditer("\n".join(_lines(module))):
        if statement["quoted"]:
            found.add(statement["quoted"])
        for name in _NAME.findall(_COMMENT.sub("", statement["modules"] or "")):
            if inside(name, ROOT):
                found.update(modules_of(name))
        if source := statement["source"]:
            found.add(source)
            for name in _NAME.findall(_COMMENT.sub("", statement["names"])):
                found.update(modules_of(f"{source}.{name}"))
    return frozenset(name for name in found if path_of(name) is not None)


@cache
def definitions(module: str) -> dict[str, list[ast.stmt]]:
    """Return the statements of a module that make, or change, what it calls a name."""
    found: dict[str, list[ast.stmt]] = {}
    for node in _tree(module).body:
        for name in set(_made_by(node)):
            found.setdefault(name, []).append(node)
    return found


@cache
def bindings(module: str) -> dict[str, list[Binding]]:
    """Return what the imports outside a module's functions bind, by local name."""
    found: dict[str, list[Binding]] = {}
    for node in _tree(module).body:
        if not isinstance(node, Function | ast.ClassDef):
            for inner in ast.walk(node):
                for binding in bindings_of(inner):
                    found.setdefault(binding[0], []).append(binding)
    return found


def bindings_of(node: ast.AST) -> Iterator[Binding]:
    """Yield what an import of this package binds; nothing of any other node."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if inside(alias.name, ROOT):
                yield alias.asname or ROOT, alias.name, ""
    elif isinstance(node, ast.ImportFrom) and inside(node.module or "", ROOT):
        for alias in node.names:
            yield alias.asname or alias.name, node.module or "", alias.name


@dataclass
class Mentions:
    """What a piece of code names: ``names`` outside itself, ``attributes`` and own ``imports``."""

    names: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    imports: set[Binding] = field(default_factory=set)


@cache
def mentions_of(part: ast.stmt | ast.expr) -> Mentions:
    """Return what a statement or an expression mentions, in quoted annotations too.

    The name of a function's parameter is no name outside it.
    """
    found = Mentions()
    _collect(part, frozenset(), found)
    return found


def _collect(node: ast.AST, hidden: frozenset[str], found: Mentions) -> None:
    if isinstance(node, ast.Name):
        found.names.update({node.id} - hidden)
    elif isinstance(node, ast.Attribute):
        found.attributes.add(node.attr)
    elif isinstance(node, ast.Import | ast.ImportFrom):
        found.imports.update(bindings_of(node))
    body: list[ast.AST] = []
    inner = hidden
    if isinstance(node, Function | ast.Lambda):
        inner |= {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
        body = [node.body] if isinstance(node, ast.Lambda) else [*node.body]
    for child in ast.iter_child_nodes(node):
        _collect(child, inner if child in body else hidden, found)
    for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
        for part in ast.walk(annotation) if annotation else ():
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                _collect(ast.parse(part.value, mode="eval"), hidden, found)


def text_of(module: str, node: ast.stmt | ast.expr) -> str:
    """Return the lines of a node, its decorators included."""
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
    return "\n".join(_lines(module)[first - 1 : node.end_lineno])


@cache
def data_files(folder: Path) -> tuple[Path, ...]:
    """Return the data files of a folder, and of those of its folders that hold no code."""
    bare = [
        f for f in folder.iterdir() if f.is_dir() and set(f.glob("*.py")) <= {f / "__init__.py"}
    ]
    files = (path for place in (folder, *bare) for path in place.iterdir() if path.is_file())
    return tuple(p for p in files if p.suffix not in NO_DATA and not p.name.startswith("."))


def _made_by(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, Function | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (name for target in node.targets for name in _names(target))
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        yield from _names(node.target)
    elif isinstance(node, ast.Expr):  # such as ``REGISTRY.update(…)``
        yield from _names(node)
    else:  # such as ``if``, with all that is defined under it
        for part in ast.walk(node):
            if isinstance(part, Function | ast.ClassDef):
                yield part.name
            elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id


def _names(node: ast.AST) -> Iterator[str]:
    return (part.id for part in ast.walk(node) if isinstance(part, ast.Name))


@cache
def _lines(module: str) -> list[str]:
    path = path_of(module)
    return [] if path is None else path.read_text(encoding="utf-8").splitlines()


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse("\n".join(_lines(module)))
