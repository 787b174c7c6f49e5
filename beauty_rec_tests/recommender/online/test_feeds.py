"""Feeds of a served set against counts by hand."""

import time
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from beauty_rec.recommender.online.feeds.answer import feed
from beauty_rec.recommender.online.feeds.question import FeedName, FeedQuestion, UnfitFeed
from beauty_rec.recommender.online.people import Past, People
from beauty_rec.recommender.online.search import similar
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.columns import UnknownFilter
from beauty_rec.recommender.online.stock.filters import Filter
from beauty_rec.recommender.online.stock.states import ItemState
from beauty_rec.recommender.sources import SOURCES
from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.recommender.served_set import USER

DAY_MS = 86_400_000


@pytest.fixture
def shop(engine: Engine) -> Snapshot:
    """The set, without what other tests gave."""
    return replace(engine._base, since={})


def names(answer: dict) -> list[str]:
    return [item["parent_asin"] for item in answer["items"]]


def events_of(shop: Snapshot) -> list[tuple[str, Past]]:
    people = shop.people
    return [(user, event) for user in people.users for event in people.events(user) or []]


def test_what_sells_more_than_usual_trends(shop: Snapshot) -> None:
    events = [event for _, event in events_of(shop)]
    present = sorted(event.time_ms for event in events)[-20]
    recent, usual = Counter[str](), Counter[str]()
    for event in events:
        days = max(present - event.time_ms, 0) / DAY_MS
        recent[event.parent_asin] += 2 ** (-days / 7)  # type: ignore[assignment]
        usual[event.parent_asin] += 2 ** (-days / 90) * 7 / 90  # type: ignore[assignment]
    excess = {n: (recent[n] - usual[n]) / np.sqrt(usual[n] + 1) for n in recent}
    answer = feed(shop, FeedQuestion("trending", k=5))
    wanted = sorted(excess, key=lambda n: -excess[n])[:5]
    assert names(answer) == wanted
    for item in answer["items"]:
        assert item["score"] == pytest.approx(excess[item["parent_asin"]])
        assert item["figures"]["recent"] == pytest.approx(recent[item["parent_asin"]], abs=1e-5)
    assert answer["version"] == shop.manifest.set
    soap = feed(shop, FeedQuestion("trending", k=300, filters=Filter(category="soap")))
    assert {item["category"] for item in soap["items"]} == {"soap"}


def test_an_event_of_now_trends_in_the_next_answer(shop: Snapshot) -> None:
    name = shop.space.ids[-1]  # nobody has bought it
    assert name not in names(feed(shop, FeedQuestion("trending", k=1_000)))
    now = int(time.time() * 1000)
    for user in ("a", "b", "c"):
        shop = shop.with_events({user: [Past(name, 5.0, now, "view")]})
    assert name not in names(feed(shop, FeedQuestion("trending", k=1_000)))  # a look is no choice
    for user in ("a", "b", "c"):
        shop = shop.with_events({user: [Past(name, 5.0, now)]})
    assert names(feed(shop, FeedQuestion("trending")))[0] == name


def test_what_was_given_counts_once_when_the_set_holds_it(shop: Snapshot) -> None:
    before = feed(shop, FeedQuestion("trending", k=300))
    own = sorted(events_of(shop), key=lambda told: told[1].time_ms)[-9:]
    given: dict[str, list[Past]] = {}
    for user, event in own:  # as they stand in the store, which the night has read
        given.setdefault(user, []).append(event._replace(rating=5.0, type="purchase"))
    night = shop.with_events(given)
    assert feed(night, FeedQuestion("trending", k=300)) == before
    user, event = own[0]
    again = night.with_events({user: [event._replace(time_ms=event.time_ms + 1)]})
    assert feed(again, FeedQuestion("trending", k=300)) != before


def test_one_event_long_after_the_others_is_no_trend_of_its_own(shop: Snapshot) -> None:
    before = feed(shop, FeedQuestion("trending", k=30))["items"]
    name, now = shop.space.ids[-1], int(time.time() * 1000)
    one = shop.with_events({"a": [Past(name, 5.0, now)]})
    after = feed(one, FeedQuestion("trending", k=30))["items"]
    assert before[0]["parent_asin"] in [item["parent_asin"] for item in after[:3]]
    assert {item["parent_asin"] for item in before[:8]} <= {item["parent_asin"] for item in after}
    assert after[0]["parent_asin"] != name
    assert {item["parent_asin"]: item for item in after}[name]["figures"]["recent"] == 1
    # When the present is made of new events alone, what is long past trends no more.
    new = [Past(other, 5.0, now) for other in shop.space.ids[-20:]]
    late = shop.with_events({f"u{i}": [event] for i, event in enumerate(new)})
    assert set(names(feed(late, FeedQuestion("trending", k=100)))) == set(shop.space.ids[-20:])


def test_trends_do_not_depend_on_when_a_set_was_made(shop: Snapshot) -> None:
    tallies = shop.people.tallies
    order = np.argsort(tallies.times, kind="stable")
    kept = np.sort(order[:-50])  # as if the last 50 had come over the API
    users = np.repeat(np.arange(len(tallies.starts) - 1), np.diff(tallies.starts))[kept]
    starts = np.searchsorted(users, np.arange(len(tallies.starts)))
    earlier = replace(tallies, starts=starts, items=tallies.items[kept], times=tallies.times[kept])
    events = [(tallies.names[tallies.items[n]], int(tallies.times[n])) for n in order[-50:]]
    whole, grown = tallies.trends([]), earlier.trends(events)
    np.testing.assert_allclose(grown.recent, whole.recent, atol=1e-9)
    np.testing.assert_allclose(grown.usual, whole.usual, atol=1e-9)


def test_an_empty_feed_says_why(shop: Snapshot) -> None:
    def notes_of(feed_name: FeedName, shop: Snapshot = shop, **asked: Any) -> str:
        answer = feed(shop, FeedQuestion(feed_name, **asked))
        assert not answer["items"]
        assert not answer["shelves"]
        (note,) = answer["notes"]
        return str(note)

    now, known, alone = int(time.time() * 1000), shop.space.ids[0], shop.space.ids[-1]
    because: FeedName = "because-you-bought"
    assert "not known" in notes_of(because, user_id="a stranger")
    looked = shop.with_events({"new": [Past(known, 5.0, now, "view")]})
    assert "nothing yet" in notes_of(because, looked, user_id="new")
    disliked = shop.with_events({"new": [Past(known, 1.0, now)]})
    assert "3 stars or more" in notes_of(because, disliked, user_id="new")
    lonely = shop.with_events({"new": [Past(alone, 5.0, now)]})
    assert "nobody else" in notes_of(because, lonely, user_id="new")
    filtered = Filter(max_price=0.01)
    assert "filters" in notes_of(because, user_id=USER, filters=filtered)
    assert "nobody" in notes_of("bought-together", parent_asin=alone)
    assert "filters" in notes_of("trending", filters=filtered)
    every = {row: ItemState(hidden=True) for row in range(shop.catalogue.rows)}
    closed = replace(shop, catalogue=shop.catalogue.with_states(every))
    assert notes_of("trending", closed) == "the shop has no item that may be shown"


def test_company_is_counted_by_users(shop: Snapshot) -> None:
    takers: dict[str, set[str]] = {}
    for user, event in events_of(shop):
        takers.setdefault(event.parent_asin, set()).add(user)
    name = max(takers, key=lambda n: len(takers[n]))
    own, everybody = takers[name], {user for users in takers.values() for user in users}
    both = {n: len(own & users) for n, users in takers.items() if n != name and own & users}
    chance = {n: len(own) * len(takers[n]) / len(everybody) for n in both}
    score = {n: both[n] / (chance[n] + 5) for n in both}
    answer = feed(shop, FeedQuestion("bought-together", k=1_000, parent_asin=name))
    assert len(answer["items"]) == len(both)
    assert [i["score"] for i in answer["items"]] == sorted(score.values(), reverse=True)
    for item in answer["items"]:
        other, figures = item["parent_asin"], item["figures"]
        assert item["score"] == pytest.approx(score[other])
        assert figures["users"] == both[other]
        assert figures["support"] == pytest.approx(both[other] / len(everybody), abs=1e-6)
        assert figures["confidence"] == pytest.approx(both[other] / len(own), abs=1e-6)
        assert figures["lift"] == pytest.approx(both[other] / chance[other], abs=1e-6)


def test_a_user_has_a_shelf_for_each_liked_item_and_sees_nothing_twice(shop: Snapshot) -> None:
    past = shop.past(USER, None) or []
    liked = [e.parent_asin for e in reversed(past) if e.rating >= 3]
    answer = feed(shop, FeedQuestion("because-you-bought", k=4, user_id=USER, shelves=3))
    because = [shelf["because"]["parent_asin"] for shelf in answer["shelves"]]
    assert len(because) == 3
    assert because == [name for name in dict.fromkeys(liked) if name in because]
    shown = [item["parent_asin"] for shelf in answer["shelves"] for item in shelf["items"]]
    assert len(shown) == len(set(shown))
    assert not set(shown) & {event.parent_asin for event in past}
    for shelf in answer["shelves"]:
        alone = FeedQuestion("bought-together", 300, parent_asin=shelf["because"]["parent_asin"])
        company = names(feed(shop, alone))
        assert set(names(shelf)) <= set(company)
    nobody = feed(shop, FeedQuestion("because-you-bought", user_id="a stranger"))
    assert nobody["shelves"] == []
    assert "a stranger" in nobody["notes"][0]


def test_what_is_withdrawn_or_hidden_heads_no_shelf(shop: Snapshot) -> None:
    def because(shop: Snapshot) -> list[str]:
        answer = feed(shop, FeedQuestion("because-you-bought", k=4, user_id=USER, shelves=3))
        return [shelf["because"]["parent_asin"] for shelf in answer["shelves"]]

    first, second = because(shop)[:2]
    gone = shop.with_states({first: ItemState(hidden=True)})
    assert first not in because(gone)
    now = int(time.time() * 1000)
    unwanted = shop.with_events({USER: [Past(second, 5.0, now, "hide")]})
    assert second not in because(unwanted)
    assert len(because(gone)) == len(because(unwanted)) == 3


def test_an_event_that_is_told_many_times_counts_once(shop: Snapshot) -> None:
    event = Past(shop.space.ids[-1], 5.0, int(time.time() * 1000), "purchase")
    told = shop.with_events({"a": [event] * 100}).with_events({"a": [event]})
    assert told.since["a"] == [event]
    (item,) = [
        item
        for item in feed(told, FeedQuestion("trending", k=1_000))["items"]
        if item["parent_asin"] == event.parent_asin
    ]
    assert item["figures"]["recent"] == 1


@pytest.mark.parametrize("name", ["trending", "new-arrivals", "popular", "bought-together"])
def test_what_is_gone_or_seen_is_in_no_feed(shop: Snapshot, name: str) -> None:
    taken = shop.people.events(USER) or []
    item = taken[-1].parent_asin if name == "bought-together" else None
    all_of_it = names(feed(shop, FeedQuestion(name, 1_000, parent_asin=item)))  # type: ignore[arg-type]
    seen = {event.parent_asin for event in taken}
    own = names(feed(shop, FeedQuestion(name, 1_000, user_id=USER, parent_asin=item)))  # type: ignore[arg-type]
    assert own == [other for other in all_of_it if other not in seen]
    first = all_of_it[0]
    alive = shop.catalogue.alive.copy()
    alive[shop.space.row_of[first]] = False
    without = replace(shop, catalogue=replace(shop.catalogue, alive=alive))
    assert names(feed(without, FeedQuestion(name, 1_000, parent_asin=item))) == all_of_it[1:]  # type: ignore[arg-type]


def test_popular_is_within_the_occasion(shop: Snapshot) -> None:
    table, source = shop.path.table, shop.path.sources[SOURCES.index("popular")]
    occasion = table.events.contexts[0]
    answer = feed(shop, FeedQuestion("popular", context=occasion.upper()))
    sold = table.events.in_context.log_counts(table.context_row_of[occasion])
    best = [table.row_of[name] for name in names(answer)[:3]]
    assert sold[best].min() >= np.sort(sold)[::-1][10]
    assert source.name == "popular"
    assert names(answer) != names(feed(shop, FeedQuestion("popular")))
    with pytest.raises(UnfitFeed, match=f"nearest are .*{occasion}"):
        feed(shop, FeedQuestion("popular", context=f"{occasion}x"))


def test_new_arrivals_are_the_latest_first(shop: Snapshot) -> None:
    ages = [
        item["figures"].get("days_since_first_sold", -1.0)
        for item in feed(shop, FeedQuestion("new-arrivals", k=300))["items"]
    ]
    assert ages[0] == -1
    assert ages == sorted(ages)


def test_what_sold_after_train_is_no_arrival_and_popular(shop: Snapshot) -> None:
    """The item table counts train alone; the set holds the events since, too."""
    name, now = shop.space.ids[-1], int(time.time() * 1000)
    assert name in names(feed(shop, FeedQuestion("new-arrivals", k=1)))
    assert name not in names(feed(shop, FeedQuestion("popular", k=1_000)))
    table = [
        {"user_id": user, "parent_asin": past.parent_asin, "rating": 5.0, "timestamp": past.time_ms}
        for user, past in [
            *events_of(shop),
            *((f"late{user:03}", Past(name, 5.0, now - 2 * DAY_MS)) for user in range(200)),
        ]
    ]
    events = pl.DataFrame(table).sort("user_id", "timestamp")
    night = replace(shop, people=People.of(events, pl.DataFrame({"user_id": ["nobody"]})))
    first = feed(night, FeedQuestion("popular"))["items"][0]
    assert first["parent_asin"] == name
    assert first["score"] == pytest.approx(np.log1p(200 / 0.1))
    newest = feed(night, FeedQuestion("new-arrivals", k=1_000))["items"]
    unsold = [item["parent_asin"] for item in newest if not item["figures"]]
    assert name not in unsold
    assert not {*unsold} & {event.parent_asin for _, event in events_of(shop)}
    (own,) = (item for item in newest if item["parent_asin"] == name)
    assert own["figures"]["days_since_first_sold"] == pytest.approx(2, abs=0.01)
    assert newest.index(own) == len(unsold)


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"feed": "bought-together"}, "parent_asin"),
        ({"feed": "because-you-bought"}, "user_id"),
        ({"feed": "trending", "parent_asin": "B1"}, "parent_asin"),
        ({"feed": "new-arrivals", "context": "gym"}, "context"),
    ],
)
def test_a_feed_reads_what_it_reads(question: dict, field: str) -> None:
    with pytest.raises(UnfitFeed) as fault:
        FeedQuestion(**question)
    assert fault.value.field == field


def test_unknown_names_are_said(shop: Snapshot) -> None:
    name = shop.space.ids[7]
    with pytest.raises(UnfitFeed, match=name):
        feed(shop, FeedQuestion("bought-together", parent_asin=f"{name}X"))
    with pytest.raises(UnknownFilter, match="soap"):
        feed(shop, FeedQuestion("trending", filters=Filter(category="soaap")))


def test_similar_by_the_vectors_of_the_item_tower(shop: Snapshot) -> None:
    vectors = shop.space.matrix.numpy()[: len(shop.space), : shop.space.tower_stop]
    cosines = vectors.astype(np.float64) @ vectors[5].astype(np.float64)
    cosines[5] = -np.inf
    best = np.argsort(-cosines, kind="stable")[:6]
    near = similar(shop, 5, 6, "vectors")
    assert near["order"] == "item_tower"
    assert names(near) == [shop.space.ids[row] for row in best]
    np.testing.assert_allclose([hit["score"] for hit in near["items"]], cosines[best], atol=1e-6)
