"""Where Dagster keeps its records, whatever the data folder is called."""

from pathlib import Path

import pytest

from beauty_rec.orchestration.storage.dagster_home import dagster_home, open_instance


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
