"""Where Dagster keeps its records, whatever the data folder is called."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beauty_rec.orchestration.storage.dagster_home import dagster_home, open_copy, open_instance


@pytest.mark.parametrize("name", ["shop [new]", "a*b, {c}", "it's \"$HOME", "#1 ü ~", "c:d"])
def test_a_data_folder_may_be_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with open_instance(tmp_path / name) as instance:
        assert instance.get_runs_count() == 0
        assert instance.root_directory == str(tmp_path / name / "dagster")


@pytest.mark.parametrize("name", ["50%", "what?"])
def test_a_name_that_dagster_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no folder with"):
        dagster_home(tmp_path / name)
    assert not (tmp_path / name).exists()


def look(opened: Callable[[Path], Any], folder: Path) -> int:
    with opened(folder) as instance:
        return len(instance.all_asset_keys()) + int(instance.get_runs_count())


@pytest.mark.parametrize("name", ["history/runs.db", "history/runs/index.db"])
def test_a_damaged_database_is_named_with_the_remedy(tmp_path: Path, name: str) -> None:
    assert look(open_instance, tmp_path) == 0
    file = tmp_path / "dagster" / name
    file.write_bytes(b"no database" * 1_000)
    for opened in (open_instance, open_copy):
        with pytest.raises(RuntimeError, match=rf"{name}.* is damaged.*move it away"):
            look(opened, tmp_path)
    file.unlink()
    assert look(open_instance, tmp_path) == 0
