"""What answers showed, through HTTP: ids, impressions, and events that name them."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from beauty_rec.recommender.online.people import Past
from beauty_rec.recommender.online.requests import NewEvent, RecommendRequest
from beauty_rec.serving.http.app import create_app
from beauty_rec.serving.http.shown import ShownAnswers
from beauty_rec.serving.state.database import GivenEvent
from beauty_rec.serving.state.engine import Engine
from beauty_rec.serving.state.shown.impression import MOST_POSITIONS
from beauty_rec.serving.state.shown.writer import DAY_MS
from beauty_rec_tests.recommender.served_set import KEY, USER
from beauty_rec_tests.serving.http.doors import client_of, engine_with

KEYED = {"X-API-Key": KEY}
WITHIN_SECONDS = 1.0


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    app = create_app(engine)
    with TestClient(app, base_url="http://127.0.0.1", headers=KEYED) as client:
        yield client


def rows(engine: Engine) -> dict[str, tuple[Any, ...]]:
    """The kept impressions, by id."""
    found = engine.store.read(
        "SELECT recommendation_id, user_id, kind, version, variant, ordering, items, sources,"
        " catalogue_items FROM serving_impressions"
    )
    return {row[0]: row[1:] for row in found}


def metrics(client: TestClient) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Samples with their labels, by name."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_every_answer_is_kept_as_it_was_shown(client: TestClient, engine: Engine) -> None:
    asked = {"user_id": USER, "context": "rose soap", "k": 300}
    answers = {
        "recommend": client.post("/v1/recommend", json=asked).json(),
        "search": client.get("/v1/search", params={"q": "rose soap", "k": 4}).json(),
        "similar": client.get("/v1/items/B130000003/similar", params={"k": 3}).json(),
    }
    assert len({answer["recommendation_id"] for answer in answers.values()}) == 3
    time.sleep(WITHIN_SECONDS)
    kept = rows(engine)
    for kind, answer in answers.items():
        user, of_kind, version, variant, order, items, sources, catalogue = kept[
            answer["recommendation_id"]
        ]
        assert (of_kind, version, variant) == (kind, answer["version"], "default")
        assert user == (USER if kind == "recommend" else None)
        assert order == answer["order"]
        assert items == [item["parent_asin"] for item in answer["items"]][:MOST_POSITIONS]
        assert catalogue == len(engine.shop.catalogue)
        for source, item in zip(sources, answer["items"], strict=False):
            if kind != "recommend":
                assert source == answer["order"]
            else:
                standings = item["sources"]
                assert standings[source]["rank"] == min(s["rank"] for s in standings.values())
    assert len(kept[answers["recommend"]["recommendation_id"]][5]) == MOST_POSITIONS


def test_what_nobody_sees_now_is_no_impression(client: TestClient, engine: Engine) -> None:
    time.sleep(WITHIN_SECONDS)
    before = rows(engine).keys()
    past = {"user_id": USER, "at": 1_500_000_000_000}
    assert client.post("/v1/recommend", json=past).json()["recommendation_id"]
    assert client.head("/v1/search", params={"q": "rose soap"}).status_code == 200
    empty = {"filters": {"category": ["soap"], "min_price": 1e8}}
    assert client.post("/v1/recommend", json=empty).json()["items"] == []
    time.sleep(WITHIN_SECONDS)
    assert rows(engine).keys() == before


def test_warm_up_leaves_no_impression(engine: Engine) -> None:
    before = rows(engine).keys()
    with client_of(engine):
        pass
    assert rows(engine).keys() == before


def test_impressions_can_be_off(engine: Engine) -> None:
    before = rows(engine).keys()
    with client_of(engine, impressions=False) as client:
        answer = client.post("/v1/recommend", json={}).json()
    assert answer["recommendation_id"]
    assert rows(engine).keys() == before


def test_what_is_too_old_goes_where_no_impression_is_kept_either(engine: Engine) -> None:
    now, item = int(time.time() * 1000), engine.shop.space.ids[0]
    looks = [Past(item, 5.0, now - days * DAY_MS, "view") for days in (91, 89)]
    engine.store.put_events([GivenEvent("LOOKS", look) for look in looks])
    # No look goes before the impression that it may be owed to.
    with ShownAnswers(engine_with(engine, impressions=False, look_days=30)).kept():
        deadline = time.monotonic() + 10
        while engine.store.events()["LOOKS"] != looks[1:]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    engine.store.drop_events("LOOKS", None, None)


def test_an_event_is_owed_to_the_position_that_it_was_shown_at(client: TestClient) -> None:
    answer = client.post("/v1/recommend", json={"k": 12}).json()
    name, third = answer["recommendation_id"], answer["items"][2]["parent_asin"]
    last = answer["items"][11]["parent_asin"]
    labels = {"kind": "recommend", "order": answer["order"], "version": answer["version"]}

    def owed(position: str, kind: str) -> float:
        wanted = {**labels, "variant": "default", "position": position, "type": kind}
        found = metrics(client).get("beauty_rec_attributed_events_total", [])
        return sum(value for own, value in found if own == wanted)

    before = owed("3", "click"), owed("11+", "purchase")
    event = {"user_id": "a shopper", "parent_asin": third, "type": "click"}
    # The writer may not have come to it yet: it is known all the same.
    stored = client.post("/v1/events", json={**event, "recommendation_id": name}).json()
    assert (stored["stored"], stored["attributed"], stored["unattributed"]) == (1, 1, 0)
    time.sleep(WITHIN_SECONDS)
    bought = {"user_id": "a shopper", "parent_asin": last, "recommendation_id": name}
    not_shown = {**event, "parent_asin": "B130000299", "recommendation_id": name}
    unknown = {**event, "recommendation_id": "f" * 32}
    several = client.post("/v1/events", json=[bought, not_shown, unknown, event]).json()
    shown_last = "B130000299" in [item["parent_asin"] for item in answer["items"]]
    assert several["stored"] == 4
    assert several["attributed"] == 1 + shown_last
    assert several["unattributed"] == 2 - shown_last
    assert (owed("3", "click"), owed("11+", "purchase")) == (before[0] + 1, before[1] + 1)


def test_a_list_of_events_is_taken_whole_or_not_at_all(client: TestClient, engine: Engine) -> None:
    ids = engine.shop.space.ids
    events = [{"user_id": f"listed {n}", "parent_asin": ids[n], "type": "view"} for n in range(100)]
    assert client.post("/v1/events", json=events).json()["stored"] == 100
    for wrong in ([], [*events, events[0]]):
        assert client.post("/v1/events", json=wrong).status_code == 422
    mixed = [{"user_id": "half", "parent_asin": name} for name in (ids[0], "no such item")]
    assert client.post("/v1/events", json=mixed).status_code == 404
    assert engine.shop.past("half", None) is None
    assert "half" not in engine.store.events()


def test_an_unknown_type_names_the_nearest(client: TestClient) -> None:
    event = {"user_id": "u", "parent_asin": "B130000003", "type": "veiw"}
    for body in (event, [event]):
        response = client.post("/v1/events", json=body)
        assert response.status_code == 422
        assert "did you mean view" in response.json()["detail"]


def test_labels_are_bounded(client: TestClient) -> None:
    client.post("/v1/recommend", json={"k": 100})
    found = metrics(client)
    positions = {labels["position"] for labels, _ in found["beauty_rec_shown_items_total"]}
    assert positions == {*map(str, range(1, 11)), "11+"}
    names = {name for samples in found.values() for labels, _ in samples for name in labels}
    assert not {"user", "user_id", "parent_asin", "recommendation_id"} & names
    [(_, coverage)] = found["beauty_rec_coverage"]
    assert 0 < coverage <= 1
    [(_, ctr)] = found["beauty_rec_ctr"]
    assert 0 < ctr < 1


def samples(shown: ShownAnswers, name: str) -> dict[str, float]:
    """Samples of a metric by version."""
    return {
        sample.labels["version"]: sample.value
        for family in shown.collect()
        for sample in family.samples
        if sample.name == f"beauty_rec_{name}"
    }


def show(shown: ShownAnswers, version: str) -> str:
    """Show an answer of a version, with two items; return its id."""
    items = [{"parent_asin": "A"}, {"parent_asin": "B"}]
    answer = {"version": version, "order": "fused", "items": items}
    shown.note(answer, RecommendRequest(), is_seen=True)
    return str(answer["recommendation_id"])


def tell(shown: ShownAnswers, name: str, kind: str, item: str = "A") -> None:
    told = {"user_id": "u", "parent_asin": item, "type": kind, "recommendation_id": name}
    assert asyncio.run(shown.attribute([NewEvent.model_validate(told)])) == (1, 0)


def test_counts_keep_the_latest_versions_only(engine: Engine) -> None:
    shown = ShownAnswers(engine)
    for number in range(7):
        show(shown, f"set {number}")
    assert [*samples(shown, "ctr")] == [f"set {number}" for number in range(2, 7)]


def test_late_clicks_on_older_sets_leave_the_served_one_its_counts(engine: Engine) -> None:
    shown = ShownAnswers(engine)
    older = [show(shown, f"set {number}") for number in range(5)]
    show(shown, "served")
    tell(shown, older[0], "click")
    assert [*samples(shown, "ctr")] == [*(f"set {number}" for number in range(1, 5)), "served"]
    for number in range(5, 9):  # it is shown all along, as on a way back to it
        show(shown, f"set {number}")
        show(shown, "served")
    assert "served" in samples(shown, "ctr")


def test_a_shown_item_is_clicked_once_and_bought_once(engine: Engine) -> None:
    shown = ShownAnswers(engine)
    name = show(shown, "one")
    for kind in ("click", "click", "cart", "purchase", "purchase", "click"):
        tell(shown, name, kind)
    assert samples(shown, "ctr") == samples(shown, "conversion") == {"one": 0.5}
    assert samples(shown, "clicked_items_total") == {"one": 1}
    tell(shown, name, "view", "B")
    assert samples(shown, "ctr") == {"one": 0.5}
    tell(shown, name, "click", "B")
    assert (samples(shown, "ctr"), samples(shown, "conversion")) == ({"one": 1.0}, {"one": 0.5})


def test_clicks_on_what_was_shown_before_the_start_are_no_part_of_the_rate(
    engine: Engine,
) -> None:
    before, shown = ShownAnswers(engine), ShownAnswers(engine)
    with before.kept():
        name = show(before, "one")
    show(shown, "one")
    tell(shown, name, "click")
    assert samples(shown, "ctr") == {"one": 0.0}
