"""The imports of the package go one way, and loading the code location stays light."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "beauty_rec"
TRANSFORMERS = {"sentence_transformers", "transformers"}

FLOORS = (
    {"settings"},
    {"artifacts"},
    {"row_cache", "tracing", "verified"},
    {"vector_cache"},
    {"events", "search", "measures", "training"},
    {"language", "corpus", "sample"},
    {"keywords"},
    {"items"},
    {"retriever"},
    {"towers"},
    {"ranking"},
    {"recommender"},
    {"serving", "evaluation"},
    {"orchestration"},
    {"cli", "definitions"},
    {"__main__"},
)
"""Rooms from the ground up; a room imports what lies below its floor, and itself."""
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
CROWDED = 14


@cache
def imported_modules(path: Path) -> frozenset[str]:
    """Return every module that a file imports anywhere, also inside functions."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            if node.module == "beauty_rec":
                yield from (f"beauty_rec.{alias.name}" for alias in node.names)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if room_of(path) != "__init__"]


def test_a_room_imports_only_rooms_below_it() -> None:
    wrong = []
    for path in modules():
        room = room_of(path)
        for module in imported_modules(path):
            if module.startswith("beauty_rec."):
                other = module.split(".")[1]
                if other != room and FLOOR[other] >= FLOOR[room]:
                    wrong.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert not wrong


def test_every_room_has_its_floor() -> None:
    assert {room_of(path) for path in modules()} == set(FLOOR)


def test_no_two_modules_import_each_other() -> None:
    names = {".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts): p for p in modules()}
    edges = {
        name: {m for m in imported_modules(path) if m in names and m != name}
        for name, path in names.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " imports ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for other in sorted(edges[name]):
                visit(other, (*trail, name))
            done.add(name)

    for name in sorted(names):
        visit(name, ())


def test_no_room_is_crowded() -> None:
    for folder in {path.parent for path in modules()} - {PACKAGE}:
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= CROWDED, f"{folder.relative_to(PACKAGE)} has {len(files)} files"


APPLY = (
    "recommender",
    "serving",
    "ranking.apply",
    "ranking.features",
    "ranking.reranker",
    "retriever.contexts",
    "retriever.encoder",
    "towers.items.inputs",
    "towers.items.served",
    "towers.items.titles",
    "towers.users.candidates",
    "towers.users.fold_candidates",
    "towers.users.served",
)
"""Rooms and modules that ask a model which is trained already."""
RECIPES = re.compile(
    r"beauty_rec\.(training|retriever\.(finetune|pairs|losses|negatives|batches|chunks)"
    r"|towers\.items\.(train|losses)|towers\.users\.train|ranking\.(train|fit|draws)"
    r"|recommender\.fit)(\.|$)"
)


def test_what_applies_a_model_imports_no_training() -> None:
    """A server, and every stage that only asks a model, run without a training recipe."""
    names = {".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts): p for p in modules()}
    begin = {n for n in names if f"{n}.".startswith(tuple(f"beauty_rec.{a}." for a in APPLY))}
    begin = {name for name in begin if not RECIPES.match(name)}
    assert len(begin) >= len(APPLY)
    wrong = []
    for name in begin:
        reached, ahead = {name}, [name]
        while ahead:
            found = {m for m in imported_modules(names[ahead.pop()]) if m in names} - reached
            reached |= found
            ahead += found
        wrong += [f"{name} reaches {module}" for module in reached if RECIPES.match(module)]
    assert not wrong


def test_only_orchestration_imports_dagster() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] in {"orchestration", "definitions.py"}:
            continue
        assert not any(m.split(".")[0] == "dagster" for m in imported_modules(path)), path


def test_only_settings_reads_the_environment() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name in {"environment.py", "dagster_home.py"}:  # which sets DAGSTER_HOME
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not names & {"environ", "getenv"}, path


def test_no_pickle_in_the_package() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        modules = {m.split(".")[0] for m in imported_modules(path)}
        assert not modules & {"pickle", "cloudpickle", "joblib", "dill"}, path
        assert "torch.load" not in path.read_text(encoding="utf-8"), path


def test_transformers_are_imported_where_they_are_used() -> None:
    """They take three seconds: a server's help, or a search without an encoder, does not wait."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
                heavy = {name.split(".")[0] for name in names} & TRANSFORMERS
                assert not heavy, f"{path}: {heavy}"


def test_loading_the_code_location_stays_light() -> None:
    heavy = ["torch", "transformers", "sentence_transformers", "chromadb", "matplotlib", "scipy"]
    code = (
        "import sys, beauty_rec.definitions as location; assert location.defs;"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "[]"
    assert answer.stderr == ""
