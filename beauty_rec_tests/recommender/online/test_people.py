"""What is known of users, and what cards say, against plain filters of the frames."""

import pickle

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from beauty_rec.recommender.online.people import Past, People, distinct, together
from beauty_rec.recommender.online.stock.cards import item_cards, sample_users, user_events

users = st.text("aé漢b", min_size=1, max_size=3)
rows = st.lists(st.tuples(users, st.sampled_from("xyz"), st.integers(0, 9)), max_size=30)


def frame(events: list[tuple[str, str, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(u, i, t, 3.0) for u, i, t in events],
        schema={
            "user_id": pl.String,
            "parent_asin": pl.String,
            "timestamp": pl.Int64,
            "rating": pl.Float32,
        },
        orient="row",
    )


NOBODY = pl.DataFrame(schema={"user_id": pl.String, "height_cm": pl.Float32})


@given(rows.filter(bool), users, st.integers(0, 10))
@settings(max_examples=80, deadline=None)
def test_events_of_a_user_are_those_before_the_moment(
    events: list[tuple[str, str, int]], user: str, before: int
) -> None:
    people = People.of(user_events(frame(events)), NOBODY)
    own = [Past(i, 3.0, t) for u, i, t in events if u == user]
    found = people.events(user, before)
    if not own:
        assert found is None
    else:
        assert found == sorted((e for e in own if e.time_ms < before), key=lambda e: e.time_ms)
        assert len(people.events(user) or []) == len(own)
    assert people.events("a longer name than any", before) is None


def test_a_long_name_makes_no_other_longer() -> None:
    names = [*(f"user {number}" for number in range(3_000)), "z" * 800]
    people = People.of(user_events(frame([(name, "x", len(name)) for name in names])), NOBODY)
    assert list(people.users) == sorted(names)
    for name in (*names[:3], "user 1500", names[-1]):
        assert people.events(name) == [Past("x", 3.0, len(name))]
    for stranger in ("", "user", "user 1500 ", "user 3000", "z" * 799, "z" * 801, "ü"):
        assert people.events(stranger) is None
    assert len(pickle.dumps(people.users)) < 30 * len(names)


def test_events_told_twice_count_once() -> None:
    one, two = Past("x", 5.0, 2), Past("y", 4.0, 1)
    assert together([[one], [two, one]]) == [two, one]
    assert together([[], [one, one]]) == [one, one]  # one source says what it says
    bought = one._replace(type="purchase", rating=4.0)
    assert distinct([one, two, one, bought]) == [two, bought]


def test_news_are_what_the_set_does_not_hold() -> None:
    people = People.of(user_events(frame([("a", "x", 1), ("a", "z", 2), ("b", "x", 3)])), NOBODY)
    bought, new = Past("x", 5.0, 1, "purchase"), Past("x", 4.0, 2)
    since = {"a": [bought, new], "c": [bought]}
    assert list(people.news(since)) == [new, bought]
    assert list(people.news(since)) == [new, bought]
    since = {**since, "a": [bought, new, new._replace(time_ms=9)], "b": [Past("x", 1.0, 3)]}
    assert list(people.news(since)) == [new, new._replace(time_ms=9), bought]
    assert list(people.news({"c": [bought]})) == [bought]


def test_cards_count_the_reviews_that_say_a_keyword() -> None:
    items = pl.DataFrame(
        {"parent_asin": ["a"], "title": ["Soap"], "store": [None], "price": [9.99],
         "average_rating": [4.25], "rating_number": [3]},
        schema_overrides={"store": pl.String, "price": pl.Float32},
    )  # fmt: skip
    keywords = pl.DataFrame(
        {
            "review_id": ["1", "2", "3"],
            "parent_asin": ["a", "a", "b"],
            "who": [["my mother"], ["my mother"], []],
            "when": [[], [], []],
            "why": [["smells nice"], ["my mother", "lasts"], ["lasts"]],
        },
        schema_overrides={"when": pl.List(pl.String)},
    )
    merged = pl.DataFrame({"parent_asin": ["a"], "keywords": [["lasts", "my mother"]]})
    attributes = pl.DataFrame({"parent_asin": ["a"], "category": ["soap"]})
    cards = item_cards(["b", "a"], items, attributes, merged, keywords).to_dicts()
    assert [card["parent_asin"] for card in cards] == ["b", "a"]
    assert cards[0]["title"] == ""
    assert cards[0]["keywords"] == []
    assert cards[1]["price"] == 9.99
    assert cards[1]["category"] == "soap"
    assert cards[1]["brand"] is None  # the domain has no such field
    counts = dict(zip(cards[1]["keywords"], cards[1]["keyword_reviews"], strict=True))
    assert counts == {"lasts": 1, "my mother": 2}
    assert list(counts) == ["lasts", "my mother"]


def test_sample_users_have_a_past_and_a_profile_first() -> None:
    events = frame([("a", "x", t) for t in range(3)] + [("b", "x", t) for t in range(8)])
    profiles = pl.DataFrame({"user_id": ["a"], "height_cm": [168.0]})
    cards = pl.DataFrame({"parent_asin": ["x", "y"], "title": ["Soap", ""]})
    chosen = sample_users(user_events(events), profiles, cards, 5)
    assert chosen.rows() == [("a", 3), ("b", 8)]
    assert sample_users(user_events(events.reverse()), profiles, cards, 5).equals(chosen)
