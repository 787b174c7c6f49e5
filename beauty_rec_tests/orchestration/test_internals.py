"""What is private of Dagster stands in one file, so that a new release is tried in one place."""

from pathlib import Path

from beauty_rec.orchestration import dagster_internals


def test_one_file_leans_on_private_dagster() -> None:
    home = Path(dagster_internals.__file__)
    package = home.parents[1]
    leaning = [path for path in package.rglob("*.py") if "dagster._" in path.read_text()]
    assert leaning == [home]
