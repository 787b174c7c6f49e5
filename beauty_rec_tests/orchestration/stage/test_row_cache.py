"""What stands for a model in the caches of rows and vectors."""

from pathlib import Path
from typing import Any

import pytest

from beauty_rec.orchestration.stage import row_cache


def test_a_name_is_no_folder_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_cache, "used_code_version", lambda context: "1")
    context: Any = None

    def made(model: str | Path) -> str:
        return row_cache.maker_for(context, model, "beauty")

    monkeypatch.chdir(tmp_path)
    before = made("rules")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "shop.json").write_text("{}")
    assert made("rules") == before
    of_folder = made(tmp_path / "rules")
    (tmp_path / "rules" / "shop.json").write_text("[]")
    assert made("rules") == before
    assert made(tmp_path / "rules") == made(str(tmp_path / "rules")) != of_folder
