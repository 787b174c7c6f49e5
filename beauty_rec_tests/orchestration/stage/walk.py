"""A second derivation of what each asset depends on, by other means than the one that is tested.

Run as a program in a copy of the package, which it edits file by file. It prints, as JSON, which
assets count each file as code of theirs, whether they notice its edit, and which assets reach it by
their *compiled* code: imports of the bytecode, names of running functions. It shares no code with
`stage/imports.py`.
"""

import dis
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, get_args

ROOT = "beauty_rec"
LIBRARY_ENDS = ("orchestration", "settings", "cli", "definitions")
IGNORED = (f"{ROOT}.settings", f"{ROOT}.orchestration.catalogue")
CALLED_BY_NAME = {"read", "write", "lend", "applied_to"}


def is_library(module: str) -> bool:
    parts = module.split(".")
    return parts[0] == ROOT and len(parts) > 1 and parts[1] not in LIBRARY_ENDS


def codes_of(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all that are nested in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_of(constant)


def imports_of(code: CodeType, modules: Iterable[str]) -> Iterator[str]:
    """Yield the modules of ``modules`` that the bytecode imports."""
    for part in codes_of(code):
        steps = list(dis.get_instructions(part))
        for place, step in enumerate(steps):
            if step.opname == "IMPORT_NAME":
                names = steps[place - 1].argval or ()
                yield from {step.argval, *(f"{step.argval}.{n}" for n in names)} & set(modules)


class Library:
    """The import graph of the compiled package."""

    def __init__(self, package: Path) -> None:
        self.files: dict[str, Path] = {}
        for path in package.rglob("*.py"):
            name = ".".join(path.relative_to(package.parent).with_suffix("").parts)
            self.files[name.removesuffix(".__init__")] = path
        self.edges = {
            name: set(imports_of(compile(path.read_text(), str(path), "exec"), self.files))
            for name, path in self.files.items()
        }

    def reach(self, starts: Iterable[str]) -> set[str]:
        found: set[str] = set()
        ahead = list(starts)
        while ahead:
            name = ahead.pop()
            if name not in found and is_library(name):
                found.add(name)
                ahead += [*self.edges[name], name.rpartition(".")[0]]
        return found


class Walk:
    """The library modules that a running function's globals, types and imports lead to."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.modules: set[str] = set()
        self.called: set[str] = set()
        self.seen: set[int] = set()
        self.classes: list[type] = []

    def all_from(self, *starts: Any) -> set[str]:
        for start in starts:
            self.visit(start)
        known = -1
        while known < len(self.called) + len(self.classes):
            known = len(self.called) + len(self.classes)
            for each in list(self.classes):
                self.visit_methods(each)
        return self.modules

    def visit(self, found: Any) -> None:
        if id(found) in self.seen:
            return
        self.seen.add(id(found))
        if isinstance(found, ModuleType):
            self.enter(found.__name__)
        elif isinstance(found, FunctionType):
            if self.enter(found.__module__):
                self.visit_function(found)
        elif isinstance(found, type):
            if self.enter(found.__module__):
                self.classes.append(found)
                for base in found.__mro__[1:]:
                    self.visit(base)
        elif isinstance(found, Mapping):
            for each in found.values():
                self.visit(each)
        elif isinstance(found, list | tuple | set | frozenset):
            for each in found:
                self.visit(each)
        else:
            for each in get_args(found):
                self.visit(each)

    def enter(self, module: str | None) -> bool:
        """Note a module of the library; whether it is one of orchestration, to be looked into."""
        name = module or ""
        if any(name == each or name.startswith(f"{each}.") for each in IGNORED):
            return False
        if is_library(name):
            self.modules.add(name)
        return name.startswith(f"{ROOT}.orchestration")

    def visit_function(self, function: Callable[..., Any]) -> None:
        bare = inspect.unwrap(function)
        for annotation in bare.__annotations__.values():
            self.visit(annotation)
        for module in imports_of(bare.__code__, self.library.files):
            if self.enter(module):
                self.visit_imports(bare.__code__, module)
        for code in codes_of(bare.__code__):
            for step in dis.get_instructions(code):
                if step.opname in {"LOAD_ATTR", "LOAD_METHOD"}:
                    self.called.add(str(step.argval))
                elif step.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
                    self.visit(bare.__globals__.get(step.argval))

    def visit_imports(self, code: CodeType, module: str) -> None:
        """Visit what a body takes from a module of orchestration."""
        for part in codes_of(code):
            for name in part.co_names:
                self.visit(getattr(sys.modules[module], name, None))

    def visit_methods(self, kind: type) -> None:
        for name, member in vars(kind).items():
            if name in self.called or name.startswith("__"):
                self.visit(getattr(member, "fget", None) or getattr(member, "__func__", member))


def main(package: Path, holes: list[str]) -> dict[str, Any]:
    from beauty_rec.orchestration.code_location import STAGES
    from beauty_rec.orchestration.stage import gpu, imports
    from beauty_rec.orchestration.storage import io_managers

    assert package in Path(imports.__file__).parents, "this must run in the copy"
    facts = {a.key.to_user_string(): a.metadata_by_key[a.key] for a in STAGES}
    on_gpu = {name: bool(found["beauty_rec/gpu"]) for name, found in facts.items()}

    def derived() -> dict[str, Any]:
        return {
            name: imports.code_of(*found["beauty_rec/function"], gpu=on_gpu[name])
            for name, found in facts.items()
        }

    def counting(path: Path, codes: dict[str, Any]) -> list[str]:
        return sorted(name for name, code in codes.items() if path in code.files)

    def is_noticed(path: Path, code: Any) -> bool:
        """Whether an edit of the file is another digest."""
        before, text = code.digest(), path.read_bytes()
        path.write_bytes(text + b"\n# changed\n")
        after = code.digest()
        path.write_bytes(text)
        return after != before

    library = Library(package)
    reached = {}
    for asset in STAGES:
        name = asset.key.to_user_string()
        walk = Walk(library)
        walk.called |= CALLED_BY_NAME
        starts = [io_managers.LAYOUTS, *([gpu.GpuResource] if on_gpu[name] else [])]
        body = asset.op.compute_fn.decorated_fn  # type: ignore[union-attr]
        reached[name] = library.reach(walk.all_from(inspect.unwrap(body), *starts))
    codes = derived()
    files = {name: path for name, path in library.files.items() if is_library(name)}
    data = [
        p for p in package.rglob("*") if p.is_file() and p.suffix not in {".py", ".pyc", ".typed"}
    ]
    found: dict[str, Any] = {
        "counted": {name: counting(path, codes) for name, path in files.items()},
        "reached": {
            name: sorted(a for a, modules in reached.items() if name in modules) for name in files
        },
        "data": {str(p.relative_to(package)): counting(p, codes) for p in data},
        "with_hole": {},
    }
    paths = {**files, **{str(p.relative_to(package)): p for p in data}}
    found["unnoticed"] = [
        name
        for name, counted in {**found["counted"], **found["data"]}.items()
        if counted and not is_noticed(paths[name], codes[counted[0]])
    ]
    patched: Any = imports
    real = patched.imported_by
    for hole in holes:
        patched.imported_by = lambda module, hole=hole: real(module) - {hole}
        imports.reach.cache_clear()
        imports.code_of.cache_clear()
        found["with_hole"][hole] = counting(files[hole], derived())
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2:])))
