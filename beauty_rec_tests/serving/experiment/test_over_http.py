"""An experiment over HTTP with a database: figures, promotion, shadow, chance, forgotten users."""

import errno
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.corpus.forgotten import Forgotten, Mark, digest_of
from beauty_rec.evaluation.online.outcomes import outcomes
from beauty_rec.evaluation.online.rates import online_rates
from beauty_rec.recommender.online.experiments.file import ExperimentError
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.serving.http.app import create_app
from beauty_rec.serving.published.kept import RELEASE
from beauty_rec.serving.published.manifest import MANIFEST
from beauty_rec.serving.published.release import manifest_of, rollback
from beauty_rec.serving.state.engine import Engine, load_set
from beauty_rec.serving.state.experiment import commands
from beauty_rec.serving.state.forgetting import drop_sets
from beauty_rec.serving.state.shown.reading import read_shown
from beauty_rec_tests.recommender.served_set import KEY, USER
from beauty_rec_tests.serving.experiment.two_sets import TwoSets, experiment

KEYED = {"X-API-Key": KEY}
SHOPPERS = 120
RATE = {"old": 0.3, "new": 0.05}
"""How probable a click is at each item that a set shows: a better one, and a worse one."""


@pytest.fixture(scope="module")
def client(shop: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(shop), base_url="http://127.0.0.1", headers=KEYED) as client:
        yield client


def start(sets: TwoSets, tmp_path: Path, text: str) -> str:
    file = tmp_path / "experiment.toml"
    file.write_text(text)
    return commands.start(sets.settings, file).name


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def running(client: TestClient, name: str | None) -> None:
    until(lambda: client.get("/readyz").json()["experiment"] == name)


def test_the_better_set_is_found_and_promoted(
    client: TestClient, sets: TwoSets, tmp_path: Path
) -> None:
    assert client.get("/v1/experiment").json()["state"] == "none"
    assert client.get("/v1/experiment", headers={"X-API-Key": "x" * 20}).status_code == 401
    start(sets, tmp_path, experiment(sets, "day", 'control = "new"'))
    with pytest.raises(ExperimentError, match="an experiment runs"):
        commands.start(sets.settings, tmp_path / "experiment.toml")
    running(client, "day")
    draw, shown, clicks = random.Random(3), {"old": 0, "new": 0}, {"old": 0, "new": 0}
    for start_at in range(0, SHOPPERS, 20):
        users = [f"s{number}" for number in range(start_at, start_at + 20)]
        asked = {"user_ids": users, "k": 10}
        found = client.post("/v1/recommend/batch", json=asked).json()["answers"]
        events = []
        for answer in found:
            assert answer["experiment"] == "day"
            shown[answer["variant"]] += len(answer["items"])
            for item in answer["items"]:
                if draw.random() < RATE[answer["variant"]]:
                    clicks[answer["variant"]] += 1
                    events.append(
                        {
                            "user_id": answer["user_id"],
                            "parent_asin": item["parent_asin"],
                            "type": "click",
                            "recommendation_id": answer["recommendation_id"],
                        }
                    )
        for at in range(0, len(events), 100):
            stored = client.post("/v1/events", json=events[at : at + 100]).json()
            assert stored["unattributed"] == 0
    time.sleep(1.1)
    state = client.get("/v1/experiment").json()
    by_name = {each["name"]: each for each in state["variants"]}
    assert {name: each["shown"] for name, each in by_name.items()} == shown
    assert {name: each["clicks"] for name, each in by_name.items()} == clicks
    assert sum(each["users"] for each in by_name.values()) == SHOPPERS
    assert by_name["old"]["ctr_low"] < RATE["old"] < by_name["old"]["ctr_high"]
    [ctr] = [each for each in state["comparisons"] if each["metric"] == "ctr"]
    assert (ctr["variant"], ctr["control"], ctr["significant"]) == ("old", "new", True)
    assert ctr["p"] < 0.01
    assert ctr["low"] < RATE["old"] - RATE["new"] < ctr["high"]
    assert (state["better"], state["state"]) == ("old", "running")
    assert commands.status(sets.settings)["comparisons"] == state["comparisons"]

    frames = read_shown(sets.settings)
    rates = online_rates(
        outcomes(frames.impressions, frames.events),
        samples=50,
        experiments=commands.began(sets.root),
    ).filter(kind="batch", dimension="experiment")
    own = rates.filter(value="day/old").to_dicts()[0]
    assert own["p"] == pytest.approx(ctr["p"])
    assert own["difference"] == pytest.approx(ctr["difference"])

    name, release = commands.promote_variant(sets.settings, None)
    assert (name, release.set) == ("old", sets.old)
    running(client, None)
    until(lambda: client.get("/version").json()["version"] == sets.old)
    answer = client.post("/v1/recommend", json={"user_id": "s1", "k": 3}).json()
    assert (answer["version"], answer["variant"]) == (sets.old, "default")
    with pytest.raises(ExperimentError, match="was used before"):
        commands.start(sets.settings, tmp_path / "experiment.toml")


def test_a_start_that_a_full_disk_ends_can_be_made_again(
    sets: TwoSets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "experiment.toml"
    file.write_text('name = "full-disk"\n[variants.all]\nshare = 1\n')

    for full in ("experiment.toml", "full-disk.toml"):

        def write(target: Path, text: str, full: str = full) -> None:
            if target.name == full:
                raise OSError(errno.ENOSPC, "No space left on device")
            write_text_atomic(target, text)

        monkeypatch.setattr(commands, "write_text_atomic", write)
        with pytest.raises(OSError, match="No space"):
            commands.start(sets.settings, file)
        assert "full-disk" not in commands.began(sets.root)
    monkeypatch.undo()
    assert commands.start(sets.settings, file).name == "full-disk"
    commands.stop(sets.settings)


def test_a_shadow_answers_and_is_not_shown(
    client: TestClient, sets: TwoSets, shop: Engine, tmp_path: Path
) -> None:
    shadow = f'[variants.all]\nshare = 1\n[shadow]\nname = "dark"\nset = "{sets.old}"\n'
    start(sets, tmp_path, f'name = "dark-day"\n{shadow}order = "popular"\n')
    running(client, "dark-day")
    answers = []
    for number in range(5):
        asked = {"user_id": f"d{number}", "k": 4}
        answers.append(client.post("/v1/recommend", json=asked).json())
        time.sleep(0.05)
    assert {answer["variant"] for answer in answers} == {"all"}
    until(lambda: client.get("/v1/experiment").json()["shadow"]["answered"] == 5)
    assert 0 <= client.get("/v1/experiment").json()["shadow"]["overlap_at_10"] <= 1
    time.sleep(1.0)
    kept = shop.store.read(
        "SELECT shadow_of, version, ordering FROM serving_impressions WHERE variant = 'dark'"
    )
    assert {row[0] for row in kept} == {answer["recommendation_id"] for answer in answers}
    assert {row[1:] for row in kept} == {(sets.old, "popular")}
    impressions = read_shown(sets.settings).impressions
    assert "dark" not in set(impressions["variant"])
    client.delete("/v1/users/d1")
    assert not shop.store.read("SELECT 1 FROM serving_impressions WHERE user_id = 'd1'")
    commands.stop(sets.settings)
    running(client, None)


def test_chance_is_logged_with_its_propensities(
    client: TestClient, sets: TwoSets, shop: Engine, tmp_path: Path
) -> None:
    text = 'name = "chance"\n[variants.all]\nshare = 1\nexplore = 0.4\n'
    start(sets, tmp_path, text)
    running(client, "chance")
    answers = [
        client.post("/v1/recommend", json={"user_id": f"c{number}", "k": 12}).json()
        for number in range(40)
    ]
    places = np.array([[item["propensity"] for item in a["items"]] for a in answers])
    assert places.shape == (40, 12)
    assert np.all(places[:, 10:] == 1)  # the first ten places alone
    drawn = places < 0.5
    assert 4 <= drawn.any(axis=1).sum() <= 28
    assert drawn.sum(axis=1).max() == 1
    assert np.allclose(places[:, :10][~drawn[:, :10]], 1 - 0.4 / 10)
    time.sleep(1.0)
    impressions = read_shown(sets.settings).impressions.filter(experiment="chance")
    logged = dict(impressions.select("recommendation_id", "propensities").iter_rows())
    for answer, row in zip(answers, places, strict=True):
        assert logged[answer["recommendation_id"]] == pytest.approx(row.tolist())
    commands.stop(sets.settings)
    running(client, None)


def test_a_damaged_release_is_refused_and_can_be_taken_back(
    client: TestClient, sets: TwoSets
) -> None:
    version = client.get("/version").json()["version"]
    (sets.root / RELEASE).write_text("{}")
    until(lambda: client.get("/readyz").json()["refuses_newest"])
    assert client.get("/v1/experiment").json()["served"]["set"] == version
    rollback(sets.root, "latest")
    until(lambda: client.get("/version").json()["version"] == sets.new)
    assert client.get("/readyz").json()["refuses_newest"] is False
    rollback(sets.root, sets.old)
    until(lambda: client.get("/version").json()["version"] == sets.old)


@pytest.mark.parametrize("damage", [lambda path: path.write_text("{}"), Path.unlink])
def test_without_a_whole_manifest_the_rest_is_told(
    client: TestClient, sets: TwoSets, damage: Callable[[Path], object]
) -> None:
    manifest, version = sets.root / MANIFEST, client.get("/version").json()["version"]
    whole = manifest.read_bytes()
    damage(manifest)
    try:
        state = client.get("/v1/experiment")
        assert state.status_code == 200
        assert state.json()["served"]["set"] == version
        assert str(manifest) in state.json()["served"]["why"]
        assert {one["set"]: one["is_latest"] for one in state.json()["sets"]} == {
            sets.old: False,
            sets.new: False,
        }
    finally:
        manifest.write_bytes(whole)
    latest = {one["set"]: one["is_latest"] for one in client.get("/v1/experiment").json()["sets"]}
    assert latest == {sets.old: False, sets.new: True}


def test_a_forgotten_user_leaves_the_sets_of_an_experiment(
    client: TestClient, sets: TwoSets, shop: Engine, tmp_path: Path
) -> None:
    start(sets, tmp_path, experiment(sets, "forgets"))
    running(client, "forgets")
    salt = b"0" * 16
    forgotten = Forgotten.of([Mark(salt, digest_of(salt, USER), 4_000_000_000_000)])
    known = sets.root / "versions" / sets.old / "events.parquet"
    assert USER in set(pl.read_parquet(known)["user_id"])
    drop_sets(sets.settings, forgotten)
    assert USER not in set(pl.read_parquet(known)["user_id"])
    again = load_set(sets.root, manifest_of(sets.root, sets.old), sets.settings.encoder)
    assert again.past(USER, None) is None
    assert shop.recommend([RecommendRequest(user_id=USER, k=2)])[0]["items"]
    commands.stop(sets.settings)
