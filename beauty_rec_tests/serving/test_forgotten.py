"""A shop's day and night: an item withdrawn, a user forgotten, and no trace of either afterwards.

``make test-live`` runs it.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from beauty_rec_tests.command_line_shop import Shop
from beauty_rec_tests.orchestration.test_shop_input import traces
from beauty_rec_tests.serving.live import live_server

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
INTAKE = "raw_reviews,raw_items,user_profiles,split_reviews"
ONLY_GIVEN = "SOMEBODY WHO CAME TODAY"
NEW = "TODAYS1"


@pytest.fixture
def shop(tiny_model: Path) -> Iterator[Shop]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    folder = Path(tempfile.mkdtemp(prefix="beauty-rec-day-"))
    yield Shop(folder, tiny_model)
    shutil.rmtree(folder, ignore_errors=True)


def test_after_a_night_a_forgotten_user_is_in_no_file(shop: Shop, tmp_path: Path) -> None:
    assert "failed" not in shop.run().values()
    reviews = pl.read_parquet(shop.data / "processed" / "split_reviews.parquet")
    counts = reviews["user_id"].value_counts(sort=True)["user_id"]
    known, stays = counts[0], counts[1]
    item, other = reviews["parent_asin"].value_counts(sort=True)["parent_asin"][:2]
    with live_server(shop.data, tmp_path / "log") as server:
        ask = server.client
        new = {"parent_asin": NEW, "title": "A soap that came today"}
        assert ask.post("/v1/items", json={"items": [new]}).status_code == 200
        for user in (known, stays, ONLY_GIVEN):
            event = {"user_id": user, "parent_asin": NEW, "rating": 4.3}
            assert ask.post("/v1/events", json=event).status_code == 200
        assert ask.delete(f"/v1/items/{item}").status_code == 200
        # A night takes in what was given; then two users leave.
        assert "failed" not in shop.run("--select", INTAKE).values()
        learned = pl.read_parquet(shop.data / "processed" / "split_reviews.parquet")
        given = learned.filter(parent_asin=NEW)["user_id"].to_list()
        assert sorted(given) == sorted([known, stays, ONLY_GIVEN])
        for user in (known, ONLY_GIVEN):
            assert ask.delete(f"/v1/users/{user}").json()["erased"] is True
        assert traces(shop.data / "store", known) == traces(shop.data / "store", ONLY_GIVEN) == []
        assert "failed" not in shop.run().values()
        for asked in ({"user_id": stays}, {"user_id": known}, {"context": "a gift"}):
            answer = ask.post("/v1/recommend", json={**asked, "k": 100, "stages": True}).json()
            assert item not in str(answer)
        assert item not in str(ask.get("/v1/search", params={"q": "soap", "k": 100}).json())
        assert item not in str(ask.get(f"/v1/items/{other}/similar", params={"k": 100}).json())
        found = ask.post("/v1/recommend", json={"user_id": known}).json()
        assert "not known" in found["notes"][0]
    for user in (known, ONLY_GIVEN):
        assert traces(shop.data, user) == []
    assert traces(shop.data, stays)  # the search finds who is there
    listed = shop.call("forget").stdout
    assert "rows of raw_reviews" in listed
    assert known not in listed
