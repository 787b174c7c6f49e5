"""The rules' file while a server runs: changed, damaged, repaired."""

import os
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from beauty_rec.corpus.hidden import read_hidden
from beauty_rec.recommender.online.experiments.file import ExperimentError
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.rules.file import RulesError
from beauty_rec.serving.http.app import create_app
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.experiment.commands import start
from beauty_rec.serving.state.rules import RulesKeeper
from beauty_rec_tests.serving.http.doors import engine_with

PIN = '[[rules]]\nname = "first"\ndo = "pin"\nplace = 1\nfilter = {{brand = "{}"}}\n'


def brand_of_the_first(engine: Engine) -> str:
    return str(engine.recommend([RecommendRequest()])[0]["items"][0]["brand"])


def test_a_changed_file_is_at_work_and_a_wrong_one_refused(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(PIN.format("house 5"))
    other = engine_with(engine, rules=str(path), poll_seconds=1_000)
    other.rules = RulesKeeper(path, engine.shop)
    assert brand_of_the_first(other) == "house 5"
    path.write_text(PIN.format("house 7"))
    assert other.look_at_rules() is True
    assert brand_of_the_first(other) == "house 7"
    with TestClient(create_app(other), base_url="http://127.0.0.1") as client:
        for wrong in (PIN.format("hose 7"), PIN, "[[", None):
            path.unlink() if wrong is None else path.write_text(wrong)
            assert other.look_at_rules() is False
            assert str(path) in (other.rules.refused or "")
            assert brand_of_the_first(other) == "house 7"
            ready = client.get("/readyz").json()
            assert (ready["rules"], ready["refuses_rules"]) == (1, True)
            assert "beauty_rec_rules_refused 1.0" in client.get("/metrics").text
        path.write_text(PIN.format("hose 7"))
        other.look_at_rules()
        assert "line 1: rules.0: no item has brand 'hose 7'; the nearest known: house 7" in (
            other.rules.refused or ""
        )
        path.write_text(PIN.format("house 9"))
        assert other.look_at_rules() is True
        assert client.get("/readyz").json()["refuses_rules"] is False
        found = client.post("/v1/recommend", json={}).json()["items"][0]
        assert (found["brand"], found["rules"]) == ("house 9", ["first"])


def test_a_wrong_file_is_an_error_at_the_start(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"put the file there, or unset serve\.rules"):
        RulesKeeper(tmp_path / "rules.toml", engine.shop)


def test_a_pipe_is_waited_for_by_nobody(engine: Engine, tmp_path: Path) -> None:
    pipe = tmp_path / "rules.toml"
    os.mkfifo(pipe)
    with pytest.raises(RulesError, match=r"rules\.toml: is no file"):
        RulesKeeper(pipe, engine.shop)
    with pytest.raises(ExperimentError, match=r"rules\.toml is no file"):
        start(engine.settings, pipe)
    with pytest.raises(ValueError, match=r"rules\.toml is no file"):
        read_hidden(pipe)
