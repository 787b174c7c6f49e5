"""What events mean for an answer."""

from difflib import get_close_matches
from typing import Any

import pytest
from pydantic import ValidationError

from beauty_rec.recommender.online import events as module
from beauty_rec.recommender.online.events import EVENT_TYPES, meaning_of
from beauty_rec.recommender.online.people import Past, together
from beauty_rec.recommender.online.requests import NewEvent, RecommendRequest
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import EventSettings, EventType

PLAIN = EventSettings()


def done(*events: tuple[str, EventType]) -> list[Past]:
    return [Past(item, 5.0, place, kind) for place, (item, kind) in enumerate(events)]


def test_ratings_alone_mean_what_they_always_meant() -> None:
    events = [Past("a", 1.0, 1), Past("b", 4.5, 2), Past("a", 3.0, 3)]
    meaning = meaning_of(events, PLAIN)
    assert meaning.past == events
    assert meaning.seen == ["a", "b", "a"]
    assert not meaning.hidden


def test_a_purchase_is_a_liked_past_item_and_seen() -> None:
    meaning = meaning_of(done(("a", "purchase")), PLAIN)
    assert [(e.parent_asin, e.rating) for e in meaning.past] == [("a", 5.0)]
    assert meaning.seen == ["a"]


def test_looks_count_less_once_an_item_and_do_not_leave_it_out() -> None:
    events = done(("a", "view"), ("a", "click"), ("a", "view"), ("b", "view"), ("c", "cart"))
    meaning = meaning_of(events, PLAIN)
    found = {e.parent_asin: e.rating for e in meaning.past}
    assert len(meaning.past) == 3
    assert found == pytest.approx({"a": 3.5, "b": 3.0, "c": 4.5})
    assert meaning.seen == []


@pytest.mark.parametrize("order", [("purchase", "hide"), ("hide", "purchase")])
def test_a_hidden_item_is_no_past_whatever_else_was_done(order: tuple[EventType, ...]) -> None:
    meaning = meaning_of(done(("b", "click"), *(("a", kind) for kind in order)), PLAIN)
    assert [e.parent_asin for e in meaning.past] == ["b"]
    assert meaning.hidden == {"a"}


def test_settings_decide_what_counts() -> None:
    events = done(("a", "view"), ("b", "cart"), ("c", "rating"))
    chosen = EventSettings(view_weight=0, cart_weight=0.1, seen_events=("cart",))
    meaning = meaning_of(events, chosen)
    assert [(e.parent_asin, e.rating) for e in meaning.past] == [("b", 1.0), ("c", 5.0)]
    assert meaning.seen == ["b"]


def test_a_purchase_that_a_set_has_taken_in_counts_once() -> None:
    of_set, given = Past("a", 5.0, 7), Past("a", 5.0, 7, "purchase")
    hidden = Past("a", 5.0, 7, "hide")
    assert together([[of_set], [given, hidden]]) == [given, hidden]


@pytest.mark.parametrize(
    ("given", "kind"),
    [({}, "purchase"), ({"rating": 2.0}, "rating"), ({"type": "view", "rating": 2.0}, "view")],
)
def test_an_event_without_a_type_is_a_rating_where_one_is_given(
    given: dict[str, Any], kind: EventType
) -> None:
    event = NewEvent(user_id="u", parent_asin="a", **given).as_past(9)
    assert event == Past("a", given.get("rating", 5.0), 9, kind)


@pytest.mark.parametrize(("wrong", "near"), [("purchse", "purchase"), ("Click", "click")])
def test_an_unknown_type_is_refused_with_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(ValidationError) as caught:
        NewEvent.model_validate({"user_id": "u", "parent_asin": "a", "type": wrong})
    said = caught.value.errors()[0]["msg"]
    assert f"did you mean {near}" in said
    assert all(kind in said for kind in EVENT_TYPES)


def test_a_type_of_any_length_is_compared_by_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    matches, compared = get_close_matches, list[str]()

    def noted(word: str, *more: Any, **named: Any) -> list[str]:
        compared.append(word)
        return matches(word, *more, **named)

    monkeypatch.setattr(module, "get_close_matches", noted)
    wrong = {"user_id": "u", "parent_asin": "a", "type": "purchase" + "." * 1_000_000}
    with pytest.raises(ValidationError, match="is no type of event"):
        NewEvent.model_validate(wrong)
    assert [len(word) for word in compared] == [40]


def test_a_hidden_item_is_never_answered_and_a_viewed_one_is(engine: Engine) -> None:
    def answered(**more: Any) -> list[str]:
        asked = RecommendRequest(user_id="one who hides", k=1_000, **more)
        return [item["parent_asin"] for item in engine.recommend([asked])[0]["items"]]

    first, second, third = answered()[:3]
    events = [
        NewEvent(user_id="one who hides", parent_asin=first, type="hide"),
        NewEvent(user_id="one who hides", parent_asin=second, type="view"),
        NewEvent(user_id="one who hides", parent_asin=third, type="purchase"),
    ]
    engine.add_events(events)
    assert second in answered()
    assert not {first, third} & set(answered())
    assert {second, third} <= set(answered(exclude_seen=False))
    assert first not in answered(exclude_seen=False)
