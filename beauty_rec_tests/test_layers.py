"""The imports of the package go one way, and loading the code location stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "beauty_rec"

BASE = {"settings", "setting_groups", "artifacts", "reuse"}
BELOW: dict[str, set[str]] = {
    "setting_groups": set(),
    "corpus": BASE,
    "language": BASE,
    "indexes": BASE,
    "keywords": BASE | {"corpus", "language"},
}
BELOW["items"] = BELOW["keywords"] | {"keywords"}
BELOW["retriever"] = BELOW["items"] | {"items", "indexes"}
BELOW["towers"] = BELOW["retriever"] | {"retriever"}
BELOW["ranking"] = BELOW["towers"] | {"towers"}
BELOW["evaluation"] = BELOW["ranking"] | {"ranking"}
BELOW["serving"] = BELOW["ranking"] | {"ranking"}
BELOW["orchestration"] = BELOW["serving"] | {"serving", "evaluation"}


def imported_modules(path: Path) -> Iterator[str]:
    """Yield every module that a file imports anywhere, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            if node.module == "beauty_rec":
                yield from (f"beauty_rec.{alias.name}" for alias in node.names)


def files_of(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


@pytest.mark.parametrize("room", sorted(BELOW))
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    allowed = BELOW[room] | {room}
    for path in files_of(room):
        for module in imported_modules(path):
            if module.startswith("beauty_rec."):
                assert module.split(".")[1] in allowed, f"{path.name} imports {module}"


def test_every_folder_is_a_known_room() -> None:
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == set(BELOW)


def test_only_orchestration_imports_dagster() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] in {"orchestration", "definitions.py"}:
            continue
        assert not any(m.split(".")[0] == "dagster" for m in imported_modules(path)), path


def test_only_settings_reads_the_environment() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name in {"settings.py", "home.py"}:  # home.py sets DAGSTER_HOME for children
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not names & {"environ", "getenv"}, path


def test_no_pickle_in_the_package() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        modules = {m.split(".")[0] for m in imported_modules(path)}
        assert not modules & {"pickle", "cloudpickle", "joblib", "dill"}, path
        assert "torch.load" not in path.read_text(encoding="utf-8"), path


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
