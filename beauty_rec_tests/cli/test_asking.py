"""What the commands that ask hand on of what was typed."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from beauty_rec.cli import app
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.serving.state.engine import Engine


class Asked(Exception):
    """Ends a command where the served set would be asked."""


def test_a_history_is_parted_by_commas_and_an_id_may_have_blanks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Opened:
        def __enter__(self) -> "Opened":
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def recommend(self, requests: list[RecommendRequest]) -> Any:
            raise Asked(requests[0].history)

    monkeypatch.setattr(Engine, "open", lambda *_: Opened())
    given = ["--history", "SKU 12, B02,", "--history", "B03"]
    found = CliRunner().invoke(app, ["recommend", *given, "--data-dir", str(tmp_path)])
    assert isinstance(found.exception, Asked)
    assert found.exception.args == (["SKU 12", "B02", "B03"],)


def test_doctor_takes_the_settings_that_its_remedies_name(tmp_path: Path) -> None:
    given = ["--set", "llm.backend=openai", "--set", "llm.base_urls=http://127.0.0.1:9/v1"]
    found = CliRunner().invoke(app, ["doctor", *given, "--data-dir", str(tmp_path)])
    assert found.exit_code == 1
    assert "http://127.0.0.1:9/v1 nothing answers" in found.stdout
