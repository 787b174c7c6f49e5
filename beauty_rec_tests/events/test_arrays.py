import numpy as np
import polars as pl
import pytest

from beauty_rec.events.arrays import FIRST_EVENTS, latest_of_users, read_events


def frame(rows: list[tuple[str, str, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"user_id": u, "parent_asin": i, "timestamp": t, "rating": 4.0, "context": None}
            for u, i, t in rows
        ],
        schema_overrides={"context": pl.String},
    )


def test_histories_by_loops() -> None:
    rng = np.random.default_rng(0)
    rows = [
        (f"u{rng.integers(9)}", f"i{rng.integers(20)}", int(rng.integers(30))) for _ in range(200)
    ]
    events = read_events(frame(rows), [f"i{i}" for i in range(20)])
    found = events.histories(np.arange(200), limit=5)
    for row, (user, _, time) in enumerate(rows):
        earlier = [r for r, (u, _, t) in enumerate(rows) if u == user and t < time]
        assert sorted(events.seen(row)) == sorted(events.item[r] for r in earlier)
        mine = [r for r in found[row] if r >= 0]
        times = sorted(rows[r][2] for r in earlier)[-5:]
        assert [rows[r][2] for r in mine] == times
        assert set(mine) <= set(earlier)
        assert list(found[row][: 5 - len(mine)]) == [-1] * (5 - len(mine))


def test_a_history_reaches_back_over_the_latest_events_alone() -> None:
    rows = [("u", f"i{n % 7}", n) for n in range(50)] + [("v", "i1", 3), ("v", "i2", 4)]
    items = [f"i{n}" for n in range(7)]
    events = read_events(frame(rows), items, max_user_events=4)
    assert events.seen(49).tolist() == [45 % 7, 46 % 7, 47 % 7, 48 % 7]
    assert events.histories(np.array([49]), 50).tolist() == [[45, 46, 47, 48]]
    assert events.seen(2).tolist() == [0, 1]
    whole, same = read_events(frame(rows), items), read_events(frame(rows), items, None, 50)
    np.testing.assert_array_equal(whole.start, same.start)
    user, time = events.user[::-1], events.time_ms[::-1]
    kept = latest_of_users(user, time, 4)[::-1]
    assert np.flatnonzero(kept).tolist() == [46, 47, 48, 49, 50, 51]
    assert latest_of_users(user[:0], time[:0], 4).tolist() == []


def test_events_of_one_moment_do_not_see_one_another() -> None:
    events = read_events(frame([("u", "a", 1), ("u", "b", 1), ("u", "c", 2)]), ["a", "b", "c"])
    assert events.histories(np.array([0, 1]), 50).shape == (2, 0)
    assert sorted(events.histories(np.array([2]), 50)[0]) == [0, 1]


def test_an_unknown_item_has_no_code_and_is_not_seen() -> None:
    events = read_events(frame([("u", "?", 1), ("u", "a", 2)]), ["a"])
    assert events.item.tolist() == [-1, 0]
    assert events.seen(1).tolist() == []


def test_contexts_and_tags(reviews: pl.DataFrame) -> None:
    events = read_events(reviews.with_columns(context=pl.lit("  ")), ["i00"])
    assert events.contexts == []
    assert set(events.context.tolist()) == {-1}
    assert events.tag_values == {"fit": ["large", "small"], "note": ["x"]}
    assert set(events.tags["fit"].tolist()) == {0, 1}


def test_what_is_an_open_field_is_decided_by_the_earliest_events(reviews: pl.DataFrame) -> None:
    def tags(extras: pl.Expr) -> list[str]:
        return list(read_events(reviews.with_columns(extras=extras), ["i00"]).tags)

    order = pl.format('{{"order": "{}"}}', pl.int_range(pl.len()))
    later = pl.int_range(pl.len()) >= FIRST_EVENTS
    assert tags(order) == []
    assert tags(pl.when(later).then(order).otherwise(pl.lit('{"order": "0"}'))) == ["order"]


def test_no_events() -> None:
    events = read_events(frame([("u", "a", 1)]).clear(), ["a"])
    assert len(events) == 0
    assert events.histories(np.array([], np.int64), 50).shape == (0, 0)


def test_repeated_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="repeat"):
        read_events(frame([("u", "a", 1)]), ["a", "a"])
